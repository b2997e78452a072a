"""Training steps of the one-layer experiment in context, beside the same with attention as einsums in PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from fastsciml.incontext.experiment import Experiment
from fastsciml.incontext.training import Trainer
from fastsciml.nn import InContextLearner, LinearSelfAttention

from .measure import DisagreementError

# von Oswald et al.: 10 examples of 10 numbers, one linear layer, 2,048 tasks a step.
ONE_LAYER = Experiment(batch=2048, init_std=0.05)
STEPS = 20  # in one timing
AGREEMENT = 1e-4  # of losses after as many steps


def einsum_attention(attention: LinearSelfAttention, tokens: Tensor, context: int | None = None) -> Tensor:
    """As one writes it without kernels: queries, keys, values, state, output, projection."""
    seen = tokens[:, :context]
    q = torch.einsum("bnt,hdt->bhnd", tokens, attention.query)
    k = torch.einsum("bnt,hdt->bhnd", seen, attention.key)
    v = torch.einsum("bnt,hdt->bhnd", seen, attention.value)
    S = torch.einsum("bhnd,bhne->bhde", k, v)
    o = torch.einsum("bhnd,bhde->bhne", q, S)
    return torch.einsum("bhne,hte->bnt", o, attention.projection)


def trainer(by_einsum: bool, layers: int = 1) -> Trainer:
    made = Trainer(Experiment.from_dict({**ONE_LAYER.to_dict(), "layers": layers}))
    assert isinstance(made.learner, InContextLearner)
    for module in made.learner.modules():
        if by_einsum and isinstance(module, LinearSelfAttention):
            module.forward = partial(einsum_attention, module)  # type: ignore[method-assign]
    return made


def check() -> None:
    """Raises DisagreementError unless both trainings follow the same losses."""
    ours, peer = (float(trainer(by_einsum).advance(STEPS)) for by_einsum in (False, True))
    if not abs(ours - peer) <= AGREEMENT * peer:
        raise DisagreementError(f"training by our kernels comes to a loss of {ours}, by einsums of {peer}")


def competitors() -> dict[str, Callable[[], object]]:
    """STEPS training steps: fresh tasks, forward, backward, Adam."""
    made: dict[str, Callable[[], object]] = {}
    for layers in (1, 5):
        for name, by_einsum in (("ours", False), ("einsum", True)):
            made[f"{name}, {layers} layer{'s' * (layers > 1)}"] = partial(trainer(by_einsum, layers).advance, STEPS)
    return made
