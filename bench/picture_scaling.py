"""Seconds of a solve over its unknowns, beside a line of slope 1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure

from .scaling import SIZES_TITLE, SLOPES_TITLE

COLOURS = {"multigrid": "#1f4e79", "auto": "#c55a11"}
STYLES = {"float32": "--", "float64": "-"}


@dataclass(frozen=True)
class Curve:
    """seconds: median, least and most of each size; the slope is of the larger half of the sizes."""

    method: str
    dtype: str
    slope: float
    unknowns: list[int]
    seconds: list[tuple[float, float, float]]


def curves(cores: dict[str, Any]) -> list[Curve]:
    """Of the file's core "scaling"; none where it has not run."""
    tables = {table["title"]: table["rows"] for table in cores.get("scaling", {}).get("figures", [])}
    made = []
    for fitted in tables.get(SLOPES_TITLE, []):
        rows = [row for row in tables[SIZES_TITLE] if all(row[key] == fitted[key] for key in ("method", "dtype"))]
        spreads = [row["seconds"] for row in rows]
        seconds = [(spread["median"], spread["least"], spread["most"]) for spread in spreads]
        unknowns = [row["unknowns"] for row in rows]
        made.append(Curve(fitted["method"], fitted["dtype"], fitted["of the larger half"], unknowns, seconds))
    return made


def draw(cores: dict[str, Any]) -> Figure | None:
    drawn = curves(cores)
    if not drawn:
        return None
    figure = Figure(figsize=(7, 5.5), layout="constrained")
    axes = figure.subplots()
    for curve in drawn:
        medians = [median for median, _, _ in curve.seconds]
        colour = COLOURS[curve.method]
        axes.fill_between(
            curve.unknowns, [least for _, least, _ in curve.seconds], [most for *_, most in curve.seconds],
            color=colour, alpha=0.12, linewidth=0,
        )  # fmt: skip
        label = f'method="{curve.method}", {curve.dtype}: slope {curve.slope:.2f}'
        axes.plot(curve.unknowns, medians, STYLES[curve.dtype], color=colour, marker=".", label=label)
    ends = [drawn[0].unknowns[0], drawn[0].unknowns[-1]]
    # Below all curves, so that it hides none, from where it comes into sight.
    per_unknown = 0.5 * min(s[0] / n for curve in drawn for n, s in zip(curve.unknowns, curve.seconds, strict=True))
    axes.plot(ends, [per_unknown * n for n in ends], ":", color="0.4", label="slope 1")
    axes.set(xscale="log", yscale="log", xlabel="unknowns", ylabel="seconds a solve, set-up included")
    axes.set_ylim(bottom=0.5 * min(least for curve in drawn for _, least, _ in curve.seconds))
    axes.set_title("solve_poisson, 3D Dirichlet box, white noise")
    axes.grid(which="major", color="0.9")
    axes.legend(frameon=False)
    return figure
