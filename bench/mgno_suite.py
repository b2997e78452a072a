"""All comparisons of MgNO with an FNO on one GPU, in the order of their weight, within a given time.

A GPU stands in for a CPU: each model takes the steps that an hour of the CPU allows it, fewer by one factor for all
where the time is too short; every row says how many.
"""

from __future__ import annotations

import gc
import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from fastsciml.data import OperatorData

from . import mgno_steps
from .mgno_problems import Task, load
from .mgno_together import Job, Trained, train_together
from .mgno_training import ModelName, Recipe, has_neuraloperator

RATES = (5e-4, 1e-3, 2e-3, 4e-3)
SEEDS = 3
HOUR = 3600.0
HELD_OUT = 100  # of the samples to train on, for tuning
# Of the time that is left, by stage: what one does not use the next ones have.
SHARES = {"tune": 28, "vary": 14, "main": 50, "small-tune": 8, "small": 14, "boundary": 10}
TUNED = 0.12  # of an hour's steps
VARIED = 0.2
BOUNDARY_STEPS = 5000
# Points inside a grid's ends have their coarse ones at 2 i + 1, so that all levels end at the boundary.
INNER = {"width": 24, "transfers": "inner", "prolongation": 3}
BOUNDARIES = (
    ("dirichlet", Recipe("mgno", INNER, scale="deviation")),
    # Where solutions are small along the boundary, they would hardly count otherwise.
    ("dirichlet", Recipe("mgno", INNER, loss="scaled", scale="point")),
    ("neumann", Recipe("mgno", {"width": 24})),
    ("periodic", Recipe("mgno", {"width": 24})),
    ("darcy-cells", Recipe("mgno", {"width": 24}, scale="point")),
)


def first_recipes(name: str) -> list[Recipe]:
    """What is tried first for a problem, at every rate."""
    modes = (12, 16, 24) if name == "darcy-rough" else (8, 12, 16)
    fno = [Recipe("fno", {"modes": m, "width": w}, rate) for m in modes for w in (24, 32) for rate in RATES]
    mgno = [Recipe("mgno", {"width": 24}, rate) for rate in RATES]
    if name == "darcy-small":
        fno = [recipe for recipe in fno if recipe.rate in RATES[1:3]]
        mgno = [recipe for recipe in mgno if recipe.rate in RATES[:3]]
    return [*mgno, *(fno if has_neuraloperator() else [])]


def variants(best: Recipe) -> list[Recipe]:
    """Recipes with one change each."""
    own: list[dict[str, Any]] = [{"width": 32}, {"width": 16}]
    if best.model == "fno":
        own = [{"domain_padding": 0.1}, {"modes": 32}]
    changed = [replace(best, arguments={**best.arguments, **change}) for change in own]
    both: list[Any] = [{"loss": "l2"}, {"scale": "point"}, {"batch": 4}, {"rate": best.rate * math.sqrt(2)}]
    changed += [replace(best, **change) for change in both]
    return [*changed, replace(best, weight_decay=1e-4)] if best.model == "fno" else changed


def measured_pairs(folder: Path | None, samples: int = 40) -> list[tuple[Task, Recipe]]:
    """Everything whose steps on a CPU the suite wants to know, each architecture once."""
    found: dict[str, tuple[Task, Recipe]] = {}
    for name in ("darcy-rough", "darcy-small"):
        task = load(name, samples, 8, folder=folder)
        recipes = first_recipes(name)
        if name == "darcy-rough":
            recipes += [variant for recipe in recipes for variant in variants(recipe)]
        for recipe in recipes:
            found.setdefault(mgno_steps.key(task, recipe), (task, recipe))
    return list(found.values())


@dataclass
class Suite:
    """One run of all stages.

    Attributes:
        folder: of the data files.
        out: where results.jsonl and the weights go.
        seconds: for all.
        cpu_seconds: of a step, as `mgno_steps.read` has them.
        device: where.
        graph: whether steps are CUDA graphs.
        samples: of the Darcy problems, to train on.
        test: likewise, to test on.
    """

    folder: Path
    out: Path
    seconds: float
    cpu_seconds: dict[str, float]
    device: torch.device
    graph: bool
    samples: int = 1000
    test: int = 100

    def run(self) -> None:
        self.began = time.monotonic()
        self.left = dict(SHARES)
        self.out.mkdir(parents=True, exist_ok=True)
        rough = load("darcy-rough", self.samples, self.test, folder=self.folder)
        best = _best(self.stage("tune", self.jobs(_held_out(rough), first_recipes("darcy-rough"), TUNED)))
        varied = [variant for recipe in best for variant in (recipe, *variants(recipe))]
        best = _best(self.stage("vary", self.jobs(_held_out(rough), varied, VARIED)))
        self.keep(self.stage("main", self.jobs(rough, best, 1.0, SEEDS)))
        small = load("darcy-small", self.samples, self.test, folder=self.folder)
        best = _best(self.stage("small-tune", self.jobs(_held_out(small), first_recipes("darcy-small"), TUNED)))
        self.keep(self.stage("small", self.jobs(small, best, 1.0, SEEDS)))
        tasks = {name: load(name, min(800, self.samples), self.test) for name in {name for name, _ in BOUNDARIES}}
        of_boundary = [(tasks[name], recipe) for name, recipe in BOUNDARIES]
        boundary = [Job(task, recipe, seed, BOUNDARY_STEPS) for task, recipe in of_boundary for seed in range(2)]
        self.stage("boundary", boundary)

    def jobs(self, task: Task, recipes: Sequence[Recipe], share: float, seeds: int = 1) -> list[Job]:
        """Each with its share of an hour's steps on the CPU; those of unmeasured architectures are left out."""
        found = []
        for recipe in recipes:
            seconds = self.cpu_seconds.get(mgno_steps.key(task, recipe))
            if seconds is None:
                self.write({"stage": "left out", "why": f"no step measured of {mgno_steps.key(task, recipe)}"})
                continue
            found += [Job(task, recipe, seed, max(1, int(share * HOUR / seconds))) for seed in range(seeds)]
        return found

    def stage(self, name: str, jobs: Sequence[Job]) -> list[Trained]:
        remaining = self.seconds - (time.monotonic() - self.began)
        seconds = remaining * self.left[name] / sum(self.left.values())
        del self.left[name]
        self.write({"stage": name, "begun_at": round(time.monotonic() - self.began, 1), "given": round(seconds, 1)})
        try:
            return train_together(jobs, self.device, seconds=seconds, graph=self.graph, stage=name, write=self.write)
        except RuntimeError as error:  # of the device: the other stages may go all the same
            self.write({"stage": name, "why": f"{type(error).__name__}: {error}"[:500]})
            return []
        finally:
            gc.collect()

    def write(self, row: dict[str, Any]) -> None:
        # One call, so that threads do not mix their lines.
        with (self.out / "results.jsonl").open("a") as file:
            file.write(json.dumps(row) + "\n")
        shown = ("stage", "problem", "model", "rate", "seed", "steps", "l2", "edge", "inside", "given", "why")
        print(
            *(f"{k} {row[k]:.4g}" if isinstance(row[k], float) else f"{k} {row[k]}" for k in shown if k in row),
            flush=True,
        )

    def keep(self, trained: Sequence[Trained]) -> None:
        for one in trained:
            state = {
                name: value.cpu() for name, value in one.lane.operator.state_dict().items() if torch.is_tensor(value)
            }
            torch.save(state, self.out / f"{one.job.task.name}-{one.job.recipe.model}-{one.job.seed}.pt")


def _held_out(task: Task) -> Task:
    """For tuning: the last samples to train on are tested with instead, and the test samples are not looked at."""
    kept = len(task.train) - min(HELD_OUT, len(task.train) // 4)
    parts = [OperatorData(task.train.x[part], task.train.y[part]) for part in (slice(kept), slice(kept, None))]
    return replace(task, train=parts[0], test=parts[1])


def _best(trained: Sequence[Trained]) -> list[Recipe]:
    """The best recipe of each model."""
    models: tuple[ModelName, ...] = ("mgno", "fno")
    of_model = [[one for one in trained if one.job.recipe.model == model] for model in models]
    return [min(ones, key=lambda one: one.error).job.recipe for ones in of_model if ones]
