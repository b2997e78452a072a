"""Pictures of a trained direction network. Without pyplot, so that nothing depends on a display."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from torch import Tensor

from fastsciml.directions.matrix import Matrix
from fastsciml.directions.training import Record, Trainer

TRAINING, VALIDATION = "0.55", "#1f4e79"
TOLERANCE = 1e-4  # of the true solution; float32 holds it


def draw_run(trainer: Trainer) -> Figure:
    """Loss curves; a validation right-hand side, what the network makes of it, and the true solution, in a slice."""
    figure = Figure(figsize=(16, 4), layout="constrained")
    all_axes = figure.subplots(1, 4)
    draw_losses(all_axes[0], trainer.records)
    geometry = trainer.geometries[0]
    rhs = geometry.to_validate(0, 1)
    with torch.no_grad():
        direction = trainer.proposals[0](rhs.to(trainer.device)).float().cpu()
    truth = geometry.solver.solve(rhs[0, 0], tol=TOLERANCE).solution
    matrix = Matrix(geometry.solver)
    fields = {"right-hand side": rhs[0, 0], "network's direction": direction[0, 0], "true solution": truth}
    for axes, (title, values) in zip(all_axes[1:], fields.items(), strict=True):
        _draw(axes, _plane(values, matrix.unknown), title)
    s = trainer.settings
    figure.suptitle(f"{s.network} on {s.problem}, {' × '.join(map(str, s.shape))}, epoch {trainer.epoch}")
    return figure


def draw_losses(axes: Axes, records: Sequence[Record]) -> None:
    epochs = [record.epoch for record in records]
    style: dict[str, Any] = {"marker": "." if len(epochs) < 40 else None}
    axes.semilogy(epochs, [record.loss for record in records], color=TRAINING, label="training", **style)
    axes.semilogy(epochs, [r.validation_loss for r in records], color=VALIDATION, label="validation", **style)
    axes.set(title="Loss: mean of ||b − α A z||²", xlabel="epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend()
    axes.grid(which="both", color="0.92")


def _plane(field: Tensor, unknown: Tensor | None) -> NDArray[Any]:
    """[nx, nz], a middle plane along the last axis; NaN where there is no unknown."""
    shown = field.double() if unknown is None else torch.where(unknown, field.double(), torch.nan)
    plane: NDArray[Any] = (shown if field.ndim == 2 else shown[:, field.shape[1] // 2]).numpy()
    return plane


def _draw(axes: Axes, values: NDArray[Any], title: str) -> None:
    end = float(np.nanmax(np.abs(values))) or 1.0
    image = axes.imshow(values.T, origin="lower", cmap="RdBu_r", vmin=-end, vmax=end)
    axes.set(title=title, xticks=[], yticks=[], facecolor="0.7")
    axes.figure.colorbar(image, ax=axes, shrink=0.9)
