"""The training and test data of a run: from files, or generated into the run's folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from fastsciml.data import OperatorData, generate, load_operator_data
from fastsciml.operators.distributed import Ranks
from fastsciml.operators.problems import problem_named
from fastsciml.operators.settings import RunSettings

GENERATED = "data.npz"


def training_data(
    settings: RunSettings,
    folder: Path,
    ranks: Ranks | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[OperatorData, OperatorData]:
    """What is trained on, and what is tested on.

    Args:
        settings: which say so.
        folder: of the run, for generated data; what it holds of them already is not made again.
        ranks: the first process generates, and the others wait for it.
        progress: called as progress(done, samples) while generating.

    Raises:
        ValueError: a file is refused, or holds too few samples.
    """
    if settings.generate is None:
        data = load_operator_data(str(settings.data))
    else:
        data = _generated(settings, folder, ranks or Ranks(), progress)
    if settings.test_data is None:
        train, test = _split(data, settings)
    else:
        other = load_operator_data(settings.test_data)
        train, test = _taken(data, settings.train, "train"), _taken(other, settings.test, "test")
    step = settings.subsample
    train, test = (OperatorData(thinned(data.x, step), thinned(data.y, step), data.about) for data in (train, test))
    return (one_step_pairs(train), one_step_pairs(test)) if settings.one_step else (train, test)


def one_step_pairs(data: OperatorData) -> OperatorData:
    """Trajectories, y [N, records, *grid] after x [N, 1, *grid], as N * records pairs of a state and the next.

    Raises:
        ValueError: x is not one state on y's grid.
    """
    x, y = data.x, data.y
    if x.shape[1] != 1 or x.shape[2:] != y.shape[2:]:
        raise ValueError(f"for single steps x must be one channel on y's grid, got {tuple(x.shape)}, {tuple(y.shape)}")
    states = torch.cat([x, y], 1)
    before, after = (s.flatten(0, 1).unsqueeze(1).contiguous() for s in (states[:, :-1], states[:, 1:]))
    return OperatorData(before, after, data.about)


def thinned(t: Tensor, step: int) -> Tensor:
    """Every so manyth point of each axis of [N, channels, *grid]."""
    for axis in range(2, t.ndim):
        t = t[(slice(None),) * axis + (slice(None, None, step),)]
    return t.contiguous()


def _generated(
    settings: RunSettings, folder: Path, ranks: Ranks, progress: Callable[[int, int], None] | None
) -> OperatorData:
    problem = problem_named(str(settings.generate), settings.resolution, settings.refine)
    if settings.samples <= settings.test:
        raise ValueError(f"samples must be more than are tested on, {settings.test}, got {settings.samples}")
    path = folder / GENERATED
    if ranks.first:
        folder.mkdir(parents=True, exist_ok=True)
        generate(problem, settings.samples, path, seed=settings.data_seed, progress=progress)
    ranks.wait()
    return load_operator_data(path)


def _split(data: OperatorData, settings: RunSettings) -> tuple[OperatorData, OperatorData]:
    left = len(data) - settings.test
    train = left if settings.train is None else settings.train
    if left < 1 or train > left:
        asked = "some" if settings.train is None else str(settings.train)
        raise ValueError(
            f"the data have {len(data)} samples, too few to train on {asked} and test on {settings.test} others"
        )
    return _part(data, 0, train), _part(data, left, len(data))


def _taken(data: OperatorData, samples: int | None, name: str) -> OperatorData:
    if samples is not None and samples > len(data):
        raise ValueError(f"{name} must be at most the data's {len(data)} samples, got {samples}")
    return _part(data, 0, len(data) if samples is None else samples)


def _part(data: OperatorData, first: int, end: int) -> OperatorData:
    return OperatorData(data.x[first:end], data.y[first:end], data.about)
