"""What a user would write in the place of linear attention: its chunked form in PyTorch, and attention with softmax."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional

from fastsciml.ops import linear_attention
from fastsciml.ops.linear_attention import linear_attention_definition

from .measure import DisagreementError

AGREEMENT = 1e-5
# The fastest here at widths of 64; larger ones waste flops, smaller ones move states.
CHUNKS = (64, 128, 256)
Function = Callable[[Tensor, Tensor, Tensor], Tensor]


def ours(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return _output(linear_attention(q, k, v, causal=True))


def decayed(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """A decay for every token."""
    return _output(linear_attention(q, k, v, causal=True, decay=torch.full(q.shape[:3], 0.95)))


def bidirectional(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return _output(linear_attention(q, k, v, causal=False))


def _output(result: Tensor | tuple[Tensor, Tensor]) -> Tensor:
    assert isinstance(result, Tensor)
    return result


def chunked(chunk: int) -> Function:
    """Causal linear attention as batched products of all chunks at once."""

    def function(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        width = q.shape[-1]
        q_, k_, v_ = (t.reshape(-1, chunk, width) for t in (q, k, v))
        added = torch.bmm(k_.mT, v_).view(q.shape[0] * q.shape[1], -1, width, width)
        before = (added.cumsum(1) - added).flatten(0, 1)
        within = torch.bmm(torch.bmm(q_, k_.mT).tril(), v_)
        return torch.baddbmm(within, q_, before).reshape(q.shape)

    return function


def flash_linear_attention() -> Function | None:
    """flash-linear-attention's chunked Triton kernels, of [batch, length, heads, width]; None where not installed."""
    try:
        from fla.ops.linear_attn import chunk_linear_attn
    except ImportError:
        return None

    def function(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        out: Tensor = chunk_linear_attn(q, k, v, scale=1.0, normalize=False)[0]
        return out

    return function


def softmax(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return functional.scaled_dot_product_attention(q, k, v, is_causal=True)


@dataclass
class Case:
    """One size with its tensors."""

    length: int
    width: int = 64
    heads: int = 8
    batch: int = 1
    dtype: torch.dtype = torch.float32
    device: str = "cpu"
    tokens_first: bool = False  # [batch, length, heads, width], as some peers have it
    rows: list[Tensor] = field(init=False)
    dout: Tensor = field(init=False)

    def __post_init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        shape = (self.batch, self.heads, self.length, self.width)
        tensors = [torch.randn(shape, generator=generator).to(self.device, self.dtype) for _ in range(4)]
        *self.rows, self.dout = [t.transpose(1, 2).contiguous() for t in tensors] if self.tokens_first else tensors

    @property
    def name(self) -> str:
        dtype = str(self.dtype).removeprefix("torch.")
        return f"{self.batch} x {self.heads} x {self.length:,} x {self.width} {dtype}"

    @property
    def flops(self) -> float:
        """The state's update and use, and the triangles of scores and of values in chunks of 64."""
        tokens = self.batch * self.heads * self.length
        return tokens * (4 * self.width**2 + 2 * 64 * self.width)

    def forward(self, function: Function) -> Callable[[], Sequence[Tensor]]:
        def run() -> Sequence[Tensor]:
            with torch.no_grad():
                return [function(*self.rows)]

        return run

    def both(self, function: Function) -> Callable[[], Sequence[Tensor]]:
        """Forward and backward, to q, k and v."""
        leaves = [t.detach().requires_grad_() for t in self.rows]

        def run() -> Sequence[Tensor]:
            y = function(*leaves)
            return [y.detach(), *torch.autograd.grad(y, leaves, self.dout)]

        return run

    def check(self, functions: Sequence[Function]) -> None:
        """Compare outputs and gradients with the definition's in float64.

        Raises:
            DisagreementError: they differ.
        """
        leaves = [t.detach().double().requires_grad_() for t in self.rows]
        q, k, v = leaves
        y, _ = linear_attention_definition(q, k, v)
        exact = [y.detach(), *torch.autograd.grad(y, leaves, self.dout.double())]
        for function in functions:
            for out, reference in zip(self.both(function)(), exact, strict=True):
                error = float((out.double() - reference).norm() / reference.norm())
                if not error <= AGREEMENT:
                    raise DisagreementError(
                        f"linear attention differs from its definition by {error:.1e} at {self.name}, so no time is "
                        "reported"
                    )
