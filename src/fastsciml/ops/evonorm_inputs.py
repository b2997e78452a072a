"""What the EvoNorm operators ask of their tensors, and how they bring them into a layout that the kernels take."""

from __future__ import annotations

from torch import Tensor

from fastsciml.kernels.dtypes import real_dtype


def check_input(x: Tensor, channel_tensors: dict[str, Tensor | None]) -> None:
    """Raise unless x is a floating [N, C, ...] tensor and the others have C elements.

    Raises:
        TypeError: x is not floating.
        ValueError: a shape does not fit.
    """
    if not x.is_floating_point():
        raise TypeError(f"x must be floating, got {x.dtype}")
    if x.dim() < 2:
        raise ValueError(f"x must be [N, C, ...], got {x.dim()} dimensions")
    for name, tensor in channel_tensors.items():
        if tensor is not None and tensor.shape != (x.shape[1],):
            raise ValueError(f"{name} must have shape ({x.shape[1]},) for x with {x.shape[1]} channels, "
                             f"got {tuple(tensor.shape)}")  # fmt: skip


def real(tensor: Tensor | None, x: Tensor) -> Tensor | None:
    return None if tensor is None else tensor.to(real_dtype(x)).contiguous()


def dense(x: Tensor) -> Tensor:
    """X as it is where it is contiguous or channels_last, a contiguous copy elsewhere."""
    return x if x.is_contiguous() or x.movedim(1, -1).is_contiguous() else x.contiguous()


def laid_out_like(tensor: Tensor, x: Tensor) -> Tensor:
    """The tensor in x's memory layout, which is dense."""
    if x.is_contiguous():
        return tensor.contiguous()
    return tensor.movedim(1, -1).contiguous().movedim(-1, 1)


def per_channel(tensor: Tensor, x: Tensor) -> Tensor:
    """[C] or [N, C] with dimensions of 1 for x's space."""
    shape = (*tensor.shape, *[1] * (x.dim() - 2))
    return tensor.reshape(shape if tensor.dim() == 2 else (1, *shape))
