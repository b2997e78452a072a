"""Inputs for linear attention, and its result and gradients by the operator and by the definition."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from fastsciml.ops import linear_attention
from fastsciml.ops.linear_attention import linear_attention_definition


@dataclass
class Case:
    batch: int = 2
    heads: int = 4
    groups: int = 2
    length: int = 100
    depth: int = 20
    width: int = 33
    causal: bool = True
    decay: str | None = None  # "head", "token"
    stated: bool = False
    lengths: tuple[int, ...] | None = None
    scale: float = 0.3
    dtype: torch.dtype = torch.float64
    device: str = "cpu"
    cu_seqlens: Tensor | None = field(init=False, default=None)

    def __post_init__(self):
        if self.lengths is not None:
            self.batch, self.length = 1, sum(self.lengths)
            self.cu_seqlens = torch.tensor([0, *self.lengths]).cumsum(0)

    @property
    def real(self) -> torch.dtype:
        return torch.float64 if self.dtype == torch.float64 else torch.float32

    def tensors(self) -> dict[str, Tensor]:
        """q, k, v, and decay and state where there are such."""
        b, h, g, n, d, e = self.batch, self.heads, self.groups, self.length, self.depth, self.width
        rows = {"q": (b, h, n, d), "k": (b, g, n, d), "v": (b, g, n, e)}
        made = {name: torch.randn(shape, dtype=torch.float64).to(self.dtype) for name, shape in rows.items()}
        if self.decay is not None:
            shape = (h,) if self.decay == "head" else (b, h, n)
            made["decay"] = (torch.rand(shape, dtype=torch.float64) * 0.3 + 0.7).to(self.real)
        if self.stated:
            count = b if self.lengths is None else len(self.lengths)
            made["state"] = torch.randn(count, h, d, e, dtype=torch.float64).to(self.real)
        return {name: tensor.to(self.device) for name, tensor in made.items()}

    def ours(self, q, k, v, decay=None, state=None):
        return linear_attention(
            q, k, v, causal=self.causal, decay=decay, state=state, return_state=True, scale=self.scale,
            cu_seqlens=self.cu_seqlens,
        )  # fmt: skip

    def definition(self, q, k, v, decay=None, state=None):
        log_decay = None
        if decay is not None:
            log_decay = decay.log() if decay.dim() == 3 else decay.log()[None, :, None].expand(q.shape[:3])
        return linear_attention_definition(q, k, v, log_decay, state, self.cu_seqlens, self.causal, self.scale)


def with_gradients(function, tensors: dict[str, Tensor], dtype: torch.dtype | None = None) -> dict[str, Tensor]:
    """Output, last state, and the gradient of every input for random gradients of both, which `dtype` can hold."""
    leaves = {name: tensor.detach().requires_grad_() for name, tensor in tensors.items()}
    out, last = function(**leaves)
    generator = torch.Generator().manual_seed(1)
    dout, dlast = (
        torch.randn(t.shape, dtype=torch.float64, generator=generator).to(dtype or out.dtype).to(t) for t in (out, last)
    )
    gradients = torch.autograd.grad([out, last], list(leaves.values()), [dout, dlast])
    found = {f"gradient of {name}": gradient for name, gradient in zip(leaves, gradients, strict=True)}
    return {"out": out.detach(), "last": last.detach(), **found}


def error(out: Tensor, reference: Tensor) -> float:
    apart = out.detach().double() - reference.detach().double()
    return float(apart.norm() / reference.detach().double().norm().clamp(min=1e-300))
