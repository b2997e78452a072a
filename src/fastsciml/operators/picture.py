"""Pictures of a trained operator. Without pyplot, so that nothing depends on a display."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from torch import Tensor

from fastsciml.operators.losses import RelativeL2
from fastsciml.operators.training import Record

COLOURS = {"train": "0.55", "l2": "#1f4e79", "h1": "#c05020"}
NAMES = {"l2": "relative L2", "h1": "relative H1"}


def draw_samples(x: Tensor, prediction: Tensor, y: Tensor | None = None) -> Figure:
    """A row for each sample: the input's first channel, and the last channel of truth, prediction and error.

    Truth and prediction have one scale, the error its own. Of a 3D grid the middle plane of the last axis is drawn.

    Args:
        x: [N, channels, *grid].
        prediction: [N, channels, *grid].
        y: the truth, or None where it is not known.
    """
    columns = 2 if y is None else 4
    rows = len(x)
    figure = Figure(figsize=(3.6 * columns, 3.0 * rows), layout="constrained")
    all_axes = np.asarray(figure.subplots(rows, columns, squeeze=False))
    for row in range(rows):
        axes = all_axes[row]
        _draw(axes[0], _plane(x[row, 0]), "input" if row == 0 else "")
        guess = _plane(prediction[row, -1])
        if y is None:
            _draw(axes[1], guess, "prediction" if row == 0 else "")
            continue
        truth = _plane(y[row, -1])
        scale = {"vmin": float(truth.min()), "vmax": float(truth.max())}
        _draw(axes[1], truth, "truth" if row == 0 else "", **scale)
        _draw(axes[2], guess, "prediction" if row == 0 else "", **scale)
        error = float(RelativeL2()(prediction[row : row + 1], y[row : row + 1]))
        end = float(np.abs(guess - truth).max()) or 1.0
        _draw(axes[3], guess - truth, f"error, {error:.2%} in L2", cmap="RdBu_r", vmin=-end, vmax=end)
    return figure


def draw_history(records: Sequence[Record], loss: str) -> Figure:
    """The training loss and both errors of the test data over the epochs.

    Args:
        records: of the trainer.
        loss: "l2" or "h1", which was trained with.
    """
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.subplots()
    epochs = [record.epoch for record in records]
    style: dict[str, Any] = {"marker": "." if len(epochs) < 40 else None}
    train = [record.train_loss for record in records]
    axes.semilogy(epochs, train, color=COLOURS["train"], label=f"training, {NAMES[loss]}", **style)
    for name in ("h1", "l2"):
        values = [getattr(record, f"test_{name}") for record in records]
        axes.semilogy(epochs, values, color=COLOURS[name], label=f"test, {NAMES[name]}", **style)
    axes.set(title="Mean relative error", xlabel="epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend()
    axes.grid(which="both", color="0.92")
    return figure


def _plane(field: Tensor) -> NDArray[Any]:
    """[n] or [nx, ny] of a field on a grid of 1 to 3 axes."""
    array: NDArray[Any] = field.float().numpy()
    return array[..., array.shape[-1] // 2] if array.ndim == 3 else array


def _draw(axes: Axes, values: NDArray[Any], title: str, **style: Any) -> None:
    axes.set_title(title)
    if values.ndim == 1:
        axes.plot(np.linspace(0, 1, len(values)), values, color=COLOURS["l2"])
        axes.grid(color="0.92")
        if "vmin" in style:
            room = 0.05 * (style["vmax"] - style["vmin"])
            axes.set_ylim(style["vmin"] - room, style["vmax"] + room)
        return
    image = axes.imshow(values.T, origin="lower", **style)
    axes.set(xticks=[], yticks=[])
    axes.figure.colorbar(image, ax=axes, shrink=0.9)
