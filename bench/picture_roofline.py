"""Every kernel under the roof of measured copy bandwidth and matrix products."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

MARKERS = "osD^v<>PX*hdp8"  # more than there are colours: no two kernels look alike


@dataclass(frozen=True)
class Point:
    """A kernel: flops per byte that must move, flops per second, and the share of the limit there."""

    kernel: str
    size: str
    intensity: float
    rate: float
    share: float


@dataclass(frozen=True)
class Roof:
    """Bytes and flops per second."""

    bandwidth: float
    rate: float

    def at(self, intensity: float) -> float:
        return min(self.bandwidth * intensity, self.rate)


def points(cores: dict[str, Any]) -> tuple[list[Point], Roof] | None:
    """Of the file's core "roofline"; None where it has not run."""
    if "roofline" not in cores:
        return None
    kernels, ((limit,)) = (table["rows"] for table in cores["roofline"]["figures"])
    made = [
        Point(
            row["kernel"],
            row["size"],
            row["flop/byte"],
            1e6 * row["Mflop"] / (1e-3 * row["ms"]["median"]),
            row["share"]["median"],
        )
        for row in kernels
    ]
    return made, Roof(1e9 * limit["copy, GB/s"], 1e9 * limit["torch.mm, Gflop/s"])


def draw(cores: dict[str, Any]) -> Figure | None:
    found = points(cores)
    if found is None:
        return None
    kernels, roof = found
    figure = Figure(figsize=(9.5, 5.5), layout="constrained")
    axes = figure.subplots()
    meet = roof.rate / roof.bandwidth
    x = np.geomspace(
        min(0.5, *(p.intensity / 2 for p in kernels)), max(2 * meet, *(2 * p.intensity for p in kernels)), 200
    )
    axes.plot(x, [roof.at(i) / 1e9 for i in x], color="0.3", zorder=1)
    for number, p in enumerate(kernels):
        label = f"{p.kernel}, {p.size}: {p.share:.0%}"
        axes.plot(p.intensity, p.rate / 1e9, MARKERS[number % len(MARKERS)], color=f"C{number}", label=label)
    axes.set(xscale="log", yscale="log", xlabel="flops per byte that must move", ylabel="Gflop/s")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter(NullFormatter())
    axes.set_title(
        "Kernels under the measured limits, float32\n"
        f"copy {roof.bandwidth / 1e9:.3g} GB/s, torch.mm {roof.rate / 1e9:.3g} Gflop/s",
    )
    axes.grid(which="major", color="0.9")
    axes.set_axisbelow(True)
    figure.legend(loc="outside right upper", frameon=False, fontsize="small", title="share of the nearer limit")
    return figure
