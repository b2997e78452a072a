"""Several trainings on one device at once, each a CUDA graph on a stream of its own, within a given time.

Steps of such small models leave most of a GPU idle. Processes would take turns on it; streams of one process share it.
"""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import torch

from .mgno_problems import Task
from .mgno_training import Lane, Recipe

PROBED = 40  # steps of the longest training, to learn how fast all go
MARGIN = 0.85
Write = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Job:
    """One training of so many steps."""

    task: Task
    recipe: Recipe
    seed: int
    steps: int

    def row(self) -> dict[str, Any]:
        return {
            "problem": self.task.name,
            "points": self.task.points,
            "samples": len(self.task.train),
            **self.recipe.to_dict(),
            "seed": self.seed,
            "steps_allowed": self.steps,
        }


@dataclass(frozen=True)
class Trained:
    job: Job
    row: dict[str, Any]
    lane: Lane

    @property
    def error(self) -> float:
        """In L2; infinite where the training broke down."""
        l2 = float(self.row["l2"])
        return l2 if math.isfinite(l2) else math.inf


def train_together(
    jobs: Sequence[Job],
    device: torch.device,
    *,
    seconds: float = math.inf,
    graph: bool = False,
    together: int = 32,
    stage: str = "",
    write: Write = lambda _: None,
) -> list[Trained]:
    """Train them all, with fewer steps than they ask for, all by the same factor, where these would take too long.

    Args:
        jobs: what to train.
        device: where. On a CPU one after another.
        seconds: for all of it.
        graph: whether steps are replays of a CUDA graph.
        together: trainings at once.
        stage: a name in the rows.
        write: called with a row as soon as a training ends; it says which steps were taken, and why not all.
    """
    began = time.monotonic()
    if device.type != "cuda":
        together = 1
    trained: list[Trained] = []
    for first in range(0, len(jobs), together):
        group = jobs[first : first + together]
        left = (seconds - (time.monotonic() - began)) * len(group) / (len(jobs) - first)
        trained += _train_group(group, device, left, graph, stage, write)
    return trained


def _train_group(
    jobs: Sequence[Job], device: torch.device, seconds: float, graph: bool, stage: str, write: Write
) -> list[Trained]:
    began = time.monotonic()
    lanes = [Lane(job.recipe, job.task, job.seed, job.steps, device) for job in jobs]
    if graph:
        for lane in lanes:
            lane.capture()
    with ThreadPoolExecutor(len(jobs)) as pool:
        share = min(1.0, PROBED / max(job.steps for job in jobs))
        probes = [max(1, round(share * job.steps)) for job in jobs]
        if math.isfinite(seconds):
            for lane, probe in zip(lanes, probes, strict=True):
                lane.begin(probe)
            started = time.monotonic()
            list(pool.map(Lane.advance, lanes, probes))
            full = (time.monotonic() - started) * max(
                job.steps / probe for job, probe in zip(jobs, probes, strict=True)
            )
            factor = min(1.0, MARGIN * max(0.0, seconds - (time.monotonic() - began)) / full)
        else:
            factor = 1.0
        for lane, job in zip(lanes, jobs, strict=True):
            lane.begin(max(1, round(factor * job.steps)))
        deadline = began + seconds

        def run(lane: Lane, job: Job) -> Trained:
            started = time.monotonic()
            done = lane.advance(lane.steps, lambda: time.monotonic() > deadline)
            took = time.monotonic() - started
            row = {
                "stage": stage,
                **job.row(),
                "steps": done,
                "steps_planned": lane.steps,
                "scaled": round(factor, 4),
                "cut_off": done < lane.steps,
                "seconds": round(took, 3),
                "at_once": len(jobs),
                "device": device.type,
                "graph": lane.replayed,
                "parameters": lane.count(),
                "train_loss": float(lane.losses[max(0, done - 100) : done].mean()),
                **lane.errors(),
            }
            write(row)
            return Trained(job, row, lane)

        trained = list(pool.map(run, lanes, jobs))
    gc.collect()
    return trained
