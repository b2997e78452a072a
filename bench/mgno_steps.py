"""Seconds that a training step of each model takes on this CPU, and the steps that a time allows."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from fastsciml.files import replacing

from . import machine
from .measure import interleave
from .mgno_problems import Task
from .mgno_training import Lane, Recipe


def measure(pairs: Sequence[tuple[Task, Recipe]], rounds: int, tell: Callable[[str], None]) -> dict[str, float]:
    """Seconds of a step by `key`, the least of `rounds` interleaved ones: others' work only ever adds to it."""
    lanes = {}
    for task, recipe in pairs:
        tell(f"first steps of {key(task, recipe)}")
        lane = Lane(recipe, task, 0, rounds + 2, torch.device("cpu"))
        lane.begin(rounds + 2)
        lane.advance(2)
        lanes[key(task, recipe)] = lane
    tell(f"{rounds} rounds of {len(lanes)} trainings")
    timings = interleave({name: lambda lane=lane: lane.advance(1) for name, lane in lanes.items()}, rounds)  # type: ignore[misc]
    return {name: min(timing.seconds) for name, timing in timings.items()}


def key(task: Task, recipe: Recipe) -> str:
    return f"{task.name} {task.points}: {recipe.architecture()}"


def write(seconds: dict[str, float], path: Path) -> None:
    """With what was measured before: a file gathers several runs, keeping the least."""
    before = read(path) if path.is_file() else {}
    least = {**before, **{name: min(value, before.get(name, value)) for name, value in seconds.items()}}
    with replacing(path) as file:
        file.write(json.dumps({"machine": machine.describe(), "seconds": least}, indent=1).encode())


def read(path: Path) -> dict[str, float]:
    """Seconds of a step by `key`.

    Raises:
        ValueError: `path` holds no such file.
    """
    try:
        found: dict[str, float] = json.loads(path.read_text())["seconds"]
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(f"{path} holds no measured steps: {error}") from error
    return found
