"""One training run, written down: the tasks, the learner and how it is trained."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from fastsciml.incontext.descent import DescentLearner
from fastsciml.incontext.tasks import LinearTasks, Placing, SineTasks, TaskDistribution, Tasks, TeacherTasks
from fastsciml.nn import InContextLearner, InContextTransformer, LinearSelfAttention, SoftmaxSelfAttention

TaskName = Literal["linear", "sine", "teacher"]
Schedule = Literal["constant", "cosine"]
LearnerName = Literal["linear", "softmax", "transformer", "descent", "descent++"]


@dataclass(frozen=True)
class Experiment:
    """Everything that the result depends on.

    Attributes:
        task: linear, sine or teacher.
        x_dim: width of x.
        y_dim: width of y.
        x: of linear tasks, as in `LinearTasks`.
        noise: likewise.
        nonzero: likewise.
        hidden: of teachers, as in `TeacherTasks`.
        examples: in a task.
        learner: linear or softmax attention over joint tokens, a causal transformer over x, y, x, y, ..., or gradient
            descent itself with learned rates.
        layers: depth, or steps of descent.
        looped: whether layers share their weights.
        heads: of the attention.
        mlp_width: of an MLP with GELU after each attention. None: none.
        layer_norm: whether a LayerNorm stands before each attention and MLP.
        features: widths of an MLP before a learner over joint tokens; its last one is what the tokens hold.
        width: of a transformer's tokens.
        init_std: of the attention's first weights. None: Xavier's.
        steps: of training.
        batch: tasks in a step.
        rate: Adam's, constant or after a warm-up on a cosine to 0.
        schedule: "constant" or "cosine", of the rate.
        clip: largest norm of a gradient.
        seed: of first weights and tasks.

    Raises:
        ValueError: a number or a name does not fit.
    """

    task: TaskName = "linear"
    x_dim: int = 10
    y_dim: int = 1
    x: Placing = "uniform"
    noise: float = 0.0
    nonzero: int | None = None
    hidden: int = 16
    examples: int = 10

    learner: LearnerName = "linear"
    layers: int = 1
    looped: bool = False
    heads: int = 1
    mlp_width: int | None = None
    layer_norm: bool = False
    features: tuple[int, ...] = ()
    width: int = 64
    init_std: float | None = None

    steps: int = 5000
    batch: int = 2048
    rate: float = 1e-3
    schedule: Schedule = "constant"
    clip: float = 10.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name, known in (("task", TaskName), ("learner", LearnerName), ("schedule", Schedule)):
            if getattr(self, name) not in get_args(known):
                raise ValueError(f"{name} must be one of {', '.join(get_args(known))}, got {getattr(self, name)!r}")
        for name in ("examples", "layers", "heads", "width", "steps", "batch", *(["mlp_width"] * bool(self.mlp_width))):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        for name in ("rate", "clip"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        if self.features and (self.learner == "transformer" or min(self.features) < 1):
            raise ValueError("features must be positive widths before attention or descent, not before a transformer")
        self.tasks()

    def tasks(self) -> TaskDistribution:
        """Where its tasks come from.

        Raises:
            ValueError: a number or a name does not fit.
        """
        if self.task == "linear":
            return LinearTasks(self.x_dim, self.y_dim, self.x, noise=self.noise, nonzero=self.nonzero)
        if self.noise or self.nonzero is not None:
            raise ValueError(f"noise and nonzero are for linear tasks, not for {self.task}")
        if self.task == "sine":
            return SineTasks(self.x_dim, self.y_dim)
        return TeacherTasks(self.x_dim, self.y_dim, self.hidden)

    def build(self) -> nn.Module:
        """The learner with its first weights, which the seed decides, on the CPU."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            return self._build()

    def _build(self) -> nn.Module:
        if self.learner == "transformer":
            return InContextTransformer(
                self.x_dim,
                self.y_dim,
                width=self.width,
                depth=self.layers,
                num_heads=self.heads,
                max_examples=self.examples + 1,
            )
        features = _mlp(self.x_dim, self.features) if self.features else None
        if self.learner in ("descent", "descent++"):
            plus_plus = self.learner == "descent++"
            return DescentLearner(self.layers, plus_plus=plus_plus, shared=self.looped, features=features)
        learner = InContextLearner.of_depth(
            self.features[-1] if self.features else self.x_dim,
            self.y_dim,
            self.layers,
            looped=self.looped,
            attention="linear" if self.learner == "linear" else "softmax",
            num_heads=self.heads,
            mlp_width=self.mlp_width,
            layer_norm=self.layer_norm,
            features=features,
        )
        for module in learner.modules():
            if isinstance(module, LinearSelfAttention | SoftmaxSelfAttention):
                module.reset_parameters(self.init_std)
        return learner

    def loss(self, learner: nn.Module, tasks: Tasks) -> Tensor:
        """Half the mean squared error at the queries, or of a transformer after every prefix."""
        if isinstance(learner, InContextTransformer):
            y = tasks.all_y
            return 0.5 * (learner.prefixes(tasks.all_x, y) - y).square().sum(-1).mean()
        prediction: Tensor = learner(*tasks.given)
        return 0.5 * (prediction - tasks.y_query).square().sum(-1).mean()

    def to_dict(self) -> dict[str, Any]:
        """What `from_dict` takes, of types that JSON has."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Experiment:
        """Of what `to_dict` gave, also after JSON.

        Raises:
            ValueError: a name is unknown, or a value does not fit.
        """
        unknown = set(values) - {field.name for field in fields(cls)}
        if unknown:
            raise ValueError(f"unknown settings: {', '.join(sorted(unknown))}")
        return cls(**{**values, "features": tuple(values.get("features", ()))})


def _mlp(x_dim: int, widths: tuple[int, ...]) -> nn.Sequential:
    """Linear layers with GELU between them."""
    layers: list[nn.Module] = []
    for before, after in zip((x_dim, *widths), widths, strict=False):
        layers += [nn.Linear(before, after), nn.GELU()]
    return nn.Sequential(*layers[:-1])
