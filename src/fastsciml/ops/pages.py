"""Memory for arrays that kernels sweep over."""

from __future__ import annotations

import torch
from torch import Tensor


def empty_in_huge_pages(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """`torch.empty` on the CPU, in huge pages where the array is large and the system grants them."""
    tensor = torch.empty(shape, dtype=dtype)
    advise_huge_pages(tensor)
    return tensor


def advise_huge_pages(memory: Tensor) -> None:
    """Fresh memory shall come in huge pages; small arrays are left as they are."""
    torch.ops.fastsciml.advise_huge_pages(memory)


@torch.library.register_fake("fastsciml::advise_huge_pages")  # type: ignore[untyped-decorator]
def _fake(memory: Tensor) -> None:
    pass


def advise_spare(memory: Tensor) -> None:
    """What is in the memory is no longer needed: the system may take its pages where it runs short, or leave them."""
    torch.ops.fastsciml.advise_spare(memory)
