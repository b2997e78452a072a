"""Training a neural operator step by step, the same way whatever the model, on a CPU or as a CUDA graph."""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Literal

import torch
from torch import Tensor, nn

from fastsciml.nn import MgConv2d
from fastsciml.operators import MgNO, NormalisedOperator, Normaliser, RelativeL2

from .mgno_problems import Task

ModelName = Literal["mgno", "fno", "cycle"]
Scale = Literal["channel", "point", "deviation"]
START, END = 25.0, 1e4  # of the one-cycle schedule, as torch's: rate / START, up to rate, down to rate / START / END
RISING = 0.3
WARM_UP = 3
TRIED = 4  # of cuDNN's algorithms for each convolution
QUEUED = 64  # replays that a stream may be behind
EVALUATED = 50  # samples at once


@dataclass(frozen=True)
class Recipe:
    """What is trained and how, but for how long.

    Attributes:
        model: "mgno", "fno", or "cycle", one V-cycle of MgNO alone, which is linear.
        arguments: of the model, that differ from the preset darcy-rough (mgno) or neuraloperator's own (fno).
        rate: the largest one of the one-cycle schedule.
        loss: "h1" or "l2", relative; or "scaled", L2 of what the model's output is before `scale` is undone, so that
            points where solutions are small count as others do.
        scale: of y: by mean and deviation per "channel" or per "point"; or of x and y by a deviation alone, so that
            a model without biases and activations stays linear.
    """

    model: ModelName
    arguments: dict[str, Any] = field(default_factory=dict)
    rate: float = 1e-3
    loss: str = "h1"
    scale: Scale = "channel"
    batch: int = 8
    weight_decay: float = 0.0

    def architecture(self) -> str:
        """The model alone, for people and as a key of its time of a step."""
        told = ", ".join(f"{name} {value}" for name, value in sorted(self.arguments.items()))
        return f"{self.model} {told}".rstrip() + f", batch {self.batch}"

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def has_neuraloperator() -> bool:
    return find_spec("neuralop") is not None


def build(recipe: Recipe, task: Task, seed: int) -> nn.Module:
    """The model with its first weights.

    Raises:
        ModuleNotFoundError: it is an FNO, and neuraloperator is not installed.
    """
    torch.manual_seed(seed)
    channels = {"in_channels": task.train.x.shape[1], "out_channels": task.train.y.shape[1]}
    if recipe.model != "fno":
        levels = {"levels": min(6, int(math.log2(task.points))), "boundary": task.boundary}
        if recipe.model == "mgno":
            return MgNO.preset("darcy-rough", **{**channels, **levels, **recipe.arguments})
        changes: dict[str, Any] = {**levels, **recipe.arguments}
        width = changes.pop("width", 24)
        cycle = MgConv2d(channels["in_channels"], width, **changes)
        return nn.Sequential(cycle, nn.Conv2d(width, channels["out_channels"], 1, bias=False))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        FNO: Any = import_module("neuralop.models").FNO

    changes = dict(recipe.arguments)
    modes = changes.pop("modes", 16)
    fno: nn.Module = FNO(n_modes=(modes, modes), **{**channels, "hidden_channels": changes.pop("width", 32), **changes})
    return fno


def scaling(y: Tensor, scale: Scale) -> Normaliser:
    if scale != "deviation":
        return Normaliser.fit(y, scale)
    fitted = Normaliser.fit(y, "channel")
    return Normaliser(torch.zeros_like(fitted.mean), fitted.std)


def one_cycle(rate: float, steps: int) -> Tensor:
    """The rate of each step: a quarter of a cosine's period up and one down, as torch's OneCycleLR has it."""
    top = max(1.0, RISING * steps - 1)
    place = torch.arange(steps, dtype=torch.float64)
    up, down = (place / top).clamp(max=1), ((place - top) / max(1.0, steps - 1 - top)).clamp(0, 1)
    low = rate / START
    risen = low + (rate - low) * (1 - torch.cos(math.pi * up)) / 2
    fallen = low / END + (rate - low / END) * (1 + torch.cos(math.pi * down)) / 2
    return torch.where(place <= top, risen, fallen).float()


class Lane:
    """One training. All that a step needs is on the device, its place included, so that a graph replays it as it is.

    Args:
        recipe: what is trained and how.
        task: on what.
        seed: of first weights and order.
        most: steps that it may take.
        device: where.
    """

    def __init__(self, recipe: Recipe, task: Task, seed: int, most: int, device: torch.device) -> None:
        self.recipe, self.task, self.seed, self.device = recipe, task, seed, device
        self.most = most = max(most, WARM_UP)
        self.x, self.y, self.test_x, self.test_y = (
            t.to(device) for t in (task.train.x, task.train.y, task.test.x, task.test.y)
        )
        of_x: Scale = "deviation" if recipe.scale == "deviation" else "channel"
        normalisers = scaling(self.x, of_x), scaling(self.y, recipe.scale)
        model = build(recipe, task, seed).to(device)
        self.operator = NormalisedOperator(model, *normalisers).to(device)
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        self._first = [p.detach().clone() for p in self.parameters]
        self._on_device = device.type == "cuda"
        self.optimizer = torch.optim.Adam(
            self.parameters,
            lr=torch.zeros((), device=device) if self._on_device else 0.0,
            weight_decay=recipe.weight_decay,
            foreach=True,
            capturable=self._on_device,
        )
        self._loss = task.h1() if recipe.loss == "h1" else RelativeL2()
        self._rates = torch.zeros(most, device=device)
        self._order = torch.zeros((most, recipe.batch), dtype=torch.long, device=device)
        self._place = torch.zeros(1, dtype=torch.long, device=device)
        self.losses = torch.zeros(most, device=device)
        self._stream = torch.cuda.Stream(device) if self._on_device else None  # type: ignore[no-untyped-call]
        self._graph: Any = None
        self.steps = 0

    def begin(self, steps: int) -> None:
        """Go back to the first weights, with the schedule of so many steps."""
        self.steps = min(steps, self.most)
        generator = torch.Generator().manual_seed(self.seed)
        samples, batch = len(self.x), self.recipe.batch
        epochs = -(-self.steps * batch // samples)
        order = torch.cat([torch.randperm(samples, generator=generator) for _ in range(epochs)])
        with torch.no_grad():
            self._order[: self.steps] = order[: self.steps * batch].view(self.steps, batch).to(self.device)
            self._rates[: self.steps] = one_cycle(self.recipe.rate, self.steps).to(self.device)
            for parameter, first in zip(self.parameters, self._first, strict=True):
                parameter.copy_(first)
            # In place: a graph knows these tensors by their addresses.
            for state in self.optimizer.state.values():
                for value in state.values():
                    value.zero_()
            self._place.zero_()
            self.losses.zero_()
        self.operator.train()
        if self._on_device:
            torch.cuda.synchronize()  # its stream would not wait for this one

    def step(self) -> None:
        indices = self._order.index_select(0, self._place)[0]
        rate = self._rates.index_select(0, self._place)[0]
        if self._on_device:
            self.optimizer.param_groups[0]["lr"].copy_(rate)
        else:
            self.optimizer.param_groups[0]["lr"] = float(rate)
        predicted, y = self.operator(self.x.index_select(0, indices)), self.y.index_select(0, indices)
        if self.recipe.loss == "scaled":
            std = self.operator.y.std
            predicted, y = predicted / std, y / std
        loss = self._loss(predicted, y)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        self.losses.index_copy_(0, self._place, loss.detach().view(1))
        self._place += 1

    def capture(self) -> None:
        """Make steps replays of a CUDA graph; they go on without where it cannot be captured, and say so."""
        cudnn: Any = torch.backends.cudnn
        cudnn.benchmark_limit = TRIED
        for measured in (True, False):
            # Only here: evaluations in threads would measure algorithms anew in each.
            cudnn.benchmark = measured
            try:
                self._capture()
                return
            except RuntimeError as error:
                torch.cuda.synchronize()
                print(f"no CUDA graph of {self.recipe.architecture()}: {error}", file=sys.stderr, flush=True)
            finally:
                cudnn.benchmark = False

    def _capture(self) -> None:
        assert self._stream is not None
        self.begin(WARM_UP)
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            for _ in range(WARM_UP):
                self.step()
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=self._stream):
            self.step()
        self._graph = graph

    @property
    def replayed(self) -> bool:
        """Whether steps are replays of a CUDA graph."""
        return self._graph is not None

    def advance(self, steps: int, stop: Callable[[], bool] = lambda: False) -> int:
        """Take so many steps or until `stop`; how many. Lanes may do so at once, each in a thread."""
        done = 0
        with torch.cuda.stream(self._stream):
            while done < steps and not stop():
                queued = min(QUEUED, steps - done) if self._on_device else 1
                for _ in range(queued):
                    if self._graph is None:
                        self.step()
                    else:
                        self._graph.replay()
                self._wait()
                done += queued
        return done

    def _wait(self) -> None:
        if self._stream is not None:
            self._stream.synchronize()

    @torch.no_grad()
    def predictions(self) -> Tensor:
        self.operator.eval()
        with torch.cuda.stream(self._stream):
            predicted = torch.cat([self.operator(x) for x in torch.split(self.test_x, EVALUATED)])
            self._wait()
        self.operator.train()
        return predicted

    def errors(self) -> dict[str, float]:
        """Mean relative errors of the test samples; at the outermost points and inside of them each by their norm.

        Solutions that are 0 at the outermost points have no "edge".
        """
        predicted, y = self.predictions(), self.test_y
        with torch.cuda.stream(self._stream):
            edge = torch.ones(y.shape[2:], dtype=torch.bool, device=self.device)
            edge[1:-1, 1:-1] = False
            parts = {"edge": edge, "inside": ~edge} if y[:, :, edge].any() else {}
            return {
                "l2": float(RelativeL2()(predicted, y)),
                "h1": float(self.task.h1()(predicted, y)),
                **{name: float(RelativeL2()(predicted[:, :, part], y[:, :, part])) for name, part in parts.items()},
            }

    def count(self) -> int:
        """Real numbers among the weights."""
        return sum(p.numel() * (2 if p.is_complex() else 1) for p in self.parameters)
