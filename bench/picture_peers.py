"""How many times as long each peer takes, all cores in one chart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure

FASTER, SLOWER = "#1f4e79", "#c55a11"


@dataclass(frozen=True)
class Bar:
    """A peer's seconds over ours."""

    label: str
    median: float
    least: float
    most: float


def bars(cores: dict[str, Any]) -> list[Bar]:
    """Of all reports in the file, in their order."""
    return [
        Bar(f"{one['what']}: {one['peer']}", *(one["times"][key] for key in ("median", "least", "most")))
        for core in cores.values()
        for one in core.get("peers", [])
    ]


def draw(cores: dict[str, Any]) -> Figure | None:
    drawn = bars(cores)
    if not drawn:
        return None
    figure = Figure(figsize=(10, 1.4 + 0.27 * len(drawn)), layout="constrained")
    axes = figure.subplots()
    for place, bar in enumerate(drawn):
        colour = FASTER if bar.median >= 1 else SLOWER
        axes.barh(place, bar.median - 1, left=1, color=colour, height=0.7)
        axes.plot([bar.least, bar.most], [place, place], color="0.2", linewidth=1, marker="|", markersize=5)
        axes.annotate(f" {bar.median:.3g}", (max(bar.most, 1), place), xytext=(3, 0), textcoords="offset points",
                      va="center", fontsize="small")  # fmt: skip
    axes.axvline(1, color="0.2", linewidth=1)
    axes.set_yticks(range(len(drawn)), [bar.label for bar in drawn], fontsize="small")
    axes.set(xscale="log", xlabel="the peer's seconds / ours: median, least and most of the rounds")
    axes.set_ylim(len(drawn) - 0.4, -0.6)
    axes.margins(x=0.1)
    axes.grid(which="major", axis="x", color="0.9")
    axes.set_axisbelow(True)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_title("Against peers: right of 1, the peer takes longer")
    return figure
