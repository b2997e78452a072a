"""Pictures of a solved problem: slices, residual history, and for the plume its divergence.

Figures are made without pyplot, so that nothing depends on a display or on global state.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from .data.smoke_plume import SmokePlume
from .data.staggered import divergence

Array = NDArray[np.floating]
Mask = NDArray[np.bool_]

AXIS_NAMES = "xyz"
SOLID_COLOUR = "0.6"
LINE_COLOUR = "#1f4e79"
LONGEST_EQUAL_ASPECT = 4.0


def draw_solution(
    solution: Array,
    rhs: Array,
    spacing: Sequence[float],
    residuals: Array,
    tolerance: float,
    solid: Mask | None = None,
) -> Figure:
    """Right-hand side, solution and residual history of a 1D, 2D or 3D problem.

    Arrays are [nx], [nx, ny] or [nx, ny, nz]; of a 3D one the middle plane across y is drawn.
    `residuals` [iterations + 1] are relative to the right-hand side.
    """
    figure = Figure(figsize=(13.5, 4.2), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    if solution.ndim == 1:
        _draw_line(left, rhs, spacing[0], solid, "Right-hand side f")
        _draw_line(middle, solution, spacing[0], solid, "Solution u")
    else:
        plane = _Plane(solution.shape, spacing, solid)
        source = plane.cut(rhs)
        plane.draw_signed(left, source, f"Right-hand side f{plane.place}", limit=_bulk(source))
        plane.draw_signed(middle, plane.cut(solution), f"Solution u{plane.place}")
        plane.draw_contours(middle, plane.cut(solution))
    _draw_residuals(right, residuals, tolerance)
    return figure


def draw_plume(plume: SmokePlume, pressure: Array, residuals: Array, tolerance: float) -> Figure:
    """The smoke plume before and after its pressure projection, on a vertical middle plane.

    `pressure` [shape] solves -div(grad p) = plume.rhs; `residuals` [iterations + 1] are relative.
    """
    plane = _Plane(pressure.shape, plume.spacing, plume.solid, unit="m")
    velocity = plume.projected(pressure)
    figure = Figure(figsize=(14, 8.8), layout="constrained")
    axes = figure.subplots(2, 3)
    smoke = plane.draw(axes[0, 0], plane.cut(plume.density), "Smoke", cmap="magma", vmin=0, vmax=1)
    _colour_bar(smoke, "density")
    shown = plane.cut(pressure)
    plane.draw_signed(axes[0, 1], shown, "Solution: pressure", "p Δt / ρ  [m²/s]")
    plane.draw_contours(axes[0, 1], shown)
    _draw_residuals(axes[0, 2], residuals, tolerance)
    _draw_divergence(axes[1, 0], axes[1, 1], plane, -plume.rhs, divergence(velocity, plume.spacing))
    _draw_speed(axes[1, 2], plane, velocity)
    cells = " × ".join(map(str, pressure.shape))
    figure.suptitle(f"Pressure projection of a smoke plume on {cells} cells{plane.place}")
    return figure


class _Plane:
    """The plane a picture shows: all of a 2D grid, the middle across y of a 3D one."""

    def __init__(self, shape: tuple[int, ...], spacing: Sequence[float], solid: Mask | None, unit: str = "") -> None:
        self.shown = (0, 1) if len(shape) == 2 else (0, 2)
        self.lengths = [shape[axis] * spacing[axis] for axis in self.shown]
        self.unit = unit
        self.middle = shape[1] // 2
        self.place = ""
        if len(shape) == 3:
            self.place = f", y = {(self.middle + 0.5) * spacing[1]:.3g} {unit}".rstrip()
        self.solid = None if solid is None else self.cut(solid)

    def cut(self, array: NDArray[Any]) -> NDArray[Any]:
        """The plane's values [across, up] of an array in cells."""
        return array if array.ndim == 2 else array[:, self.middle]

    def draw(self, axes: Axes, values: Array, title: str, **style: Any) -> AxesImage:
        """Draw [across, up] values with the solid over them, to scale unless far too long."""
        across, up = self.lengths
        longest = max(across, up) / min(across, up)
        frame: dict[str, Any] = {
            "extent": (0, across, 0, up),
            "origin": "lower",
            "aspect": "equal" if longest <= LONGEST_EQUAL_ASPECT else "auto",
        }
        image = axes.imshow(values.T, **frame, **style)
        if self.solid is not None:
            cover = np.ma.masked_where(~self.solid, self.solid).T
            axes.imshow(cover, cmap=ListedColormap([SOLID_COLOUR]), **frame)
        names = [AXIS_NAMES[axis] + (f" [{self.unit}]" if self.unit else "") for axis in self.shown]
        axes.set(title=title, xlabel=names[0], ylabel=names[1])
        return image

    def draw_signed(
        self,
        axes: Axes,
        values: Array,
        title: str,
        quantity: str = "",
        limit: float | None = None,
        cmap: str = "RdBu_r",
    ) -> None:
        """Draw with white at zero; the colours end at `limit`, by default the largest value.

        Without a limit, a field of one sign gets a scale of one sign.
        """
        end = limit or float(np.abs(values).max()) or 1.0
        low, high = -end, end
        if limit is None and values.min() * values.max() >= 0 and np.ptp(values) > 0:
            low, high, cmap = float(values.min()), float(values.max()), "viridis"
        image = self.draw(axes, values, title, cmap=cmap, vmin=low, vmax=high)
        _colour_bar(image, quantity, extend="neither" if limit is None else "both")

    def draw_contours(self, axes: Axes, values: Array) -> None:
        """Draw lines of equal [across, up] values, around the solid."""
        if min(values.shape) == 1 or not np.ptp(values) > 0:
            return
        x, up = self.ticks(values.shape)
        fluid = values if self.solid is None else np.ma.masked_where(self.solid, values)
        axes.contour(x, up, fluid.T, 14, colors="0.2", linewidths=0.5, alpha=0.6)

    def ticks(self, shape: tuple[int, ...]) -> list[Array]:
        """Cell centres along both shown axes."""
        return [(np.arange(n) + 0.5) * length / n for n, length in zip(shape, self.lengths, strict=True)]


def _draw_divergence(left: Axes, right: Axes, plane: _Plane, before: Array, after: Array) -> None:
    """Both fields on one colour scale, which the strongest cells of the first may leave."""
    limit = _bulk(plane.cut(before)) or float(np.abs(before).max()) or 1.0
    for axes, field, when in ((left, before, "before"), (right, after, "after")):
        title = f"Divergence {when}, at most {np.abs(field).max():.3g} 1/s"
        plane.draw_signed(axes, plane.cut(field), title, "1/s", limit, cmap="PuOr_r")


def _draw_speed(axes: Axes, plane: _Plane, velocity: Sequence[Array]) -> None:
    """Speed in the plane after the projection, with streamlines."""
    across, up = velocity[0], velocity[-1]
    u = plane.cut(0.5 * (across[:-1] + across[1:]))
    w = plane.cut(0.5 * (up[..., :-1] + up[..., 1:]))
    speed = np.hypot(u, w)
    top = float(np.percentile(speed, 99.8)) or 1.0
    image = plane.draw(axes, speed, "Speed after the projection", cmap="viridis", vmin=0, vmax=top)
    _colour_bar(image, "m/s", extend="max")
    x, z = plane.ticks(u.shape)
    width = 0.3 + 1.2 * np.minimum(speed / top, 1.0).T
    axes.streamplot(x, z, u.T, w.T, color="w", linewidth=width, density=1.3, arrowsize=0.6)
    axes.set(xlim=(0, plane.lengths[0]), ylim=(0, plane.lengths[1]))


def _bulk(values: Array) -> float | None:
    """Magnitude of all but the few strongest cells, where those would drown the others."""
    bulk, largest = np.percentile(np.abs(values), [98.5, 100])
    return float(bulk) if 0 < 5 * bulk < largest else None


def _colour_bar(image: AxesImage, quantity: str, extend: str = "neither") -> None:
    """A bar exactly as high as its picture, which matplotlib's own placement does not give."""
    beside = image.axes.inset_axes((1.03, 0.0, 0.045, 1.0))
    image.axes.figure.colorbar(image, cax=beside, label=quantity, extend=extend)


def _draw_residuals(axes: Axes, residuals: Array, tolerance: float) -> None:
    steps = len(residuals) - 1
    shown = np.where(residuals > 0, residuals, np.nan)
    axes.semilogy(shown, "o-", color=LINE_COLOUR, markersize=4 if steps < 40 else 0)
    axes.axhline(tolerance, color="0.4", linestyle="--", linewidth=1)
    beside_line = axes.get_yaxis_transform()
    note: dict[str, Any] = {"color": "0.4", "va": "bottom", "transform": beside_line}
    axes.text(0.02, tolerance, f"tolerance {tolerance:.0e}", **note)
    if steps and 0 < residuals[-1] < residuals[0]:
        factor = (residuals[-1] / residuals[0]) ** (1 / steps)
        text = f"× {factor:.2g} per iteration"
        axes.text(0.97, 0.95, text, transform=axes.transAxes, ha="right", va="top")
    axes.set(title="Residual history", xlabel="iteration", ylabel="true relative residual")
    axes.set_box_aspect(1)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(which="major", color="0.9")


def _draw_line(axes: Axes, values: Array, h: float, solid: Mask | None, title: str) -> None:
    x = (np.arange(len(values)) + 0.5) * h
    axes.plot(x, values, color=LINE_COLOUR)
    if solid is not None:
        axes.fill_between(x, 0, 1, where=solid, transform=axes.get_xaxis_transform(), color=SOLID_COLOUR)
    axes.set(title=title, xlabel=AXIS_NAMES[0])
    axes.grid(color="0.9")
