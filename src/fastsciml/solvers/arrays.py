"""Arrays as users give them, checked and turned into tensors, and back."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from math import isfinite
from numbers import Real
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fastsciml._library import LOADED
from fastsciml.solvers.result import ArrayT

ArrayLike = Tensor | npt.NDArray[Any]
Coefficient = float | ArrayLike | Sequence[ArrayLike]

CPU = torch.device("cpu")


def to_device(device: torch.device | str) -> torch.device:
    """The CPU or a CUDA device, by its index.

    Raises:
        ValueError: another device.
        RuntimeError: a CUDA device, and fastsciml's CUDA library is not loaded.
    """
    try:
        found = torch.device(device)
    except RuntimeError:
        raise ValueError(f"device must be the CPU or a CUDA device, got {device!r}") from None
    if found.type == "cuda" and found.index is None and LOADED.cuda:
        found = torch.device("cuda", torch.cuda.current_device())
    _check_kind(found, "the solver")
    return CPU if found.type == "cpu" else found


def check_device(tensor: Tensor, name: str, device: torch.device | None = None) -> None:
    """Raise where a tensor is neither on the CPU nor on a CUDA device, that of the right-hand sides if it is given.

    Raises:
        ValueError: it is elsewhere.
        RuntimeError: it is on a CUDA device, and fastsciml's CUDA library is not loaded.
    """
    _check_kind(tensor.device, name)
    if device is not None and tensor.device not in (CPU, device):
        raise ValueError(f"{name} is on {tensor.device} and rhs on {device}: move it there, or to the CPU")


def to_tensor(array: ArrayLike, name: str) -> Tensor:
    """A contiguous float32 or float64 tensor that shares memory where it can; TypeError or ValueError otherwise."""
    if isinstance(array, np.ndarray):
        if array.dtype not in (np.float32, np.float64):
            raise TypeError(f"{name} must be float32 or float64, got {array.dtype}")
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The given NumPy array is not writable")
            return torch.from_numpy(np.asarray(array, order="C"))
    if not isinstance(array, Tensor):
        raise TypeError(f"{name} must be a torch tensor or a NumPy array, got {type(array).__name__}")
    if array.dtype not in (torch.float32, torch.float64):
        raise TypeError(f"{name} must be float32 or float64, got {array.dtype}")
    if array.layout != torch.strided:
        raise TypeError(f"{name} must be dense, got {array.layout}")
    check_device(array, name)
    return array.contiguous()


def moved(array: ArrayLike, name: str, device: torch.device, to: torch.device) -> Tensor:
    """The same for what goes with right-hand sides on `device`, moved to one of the two. Differentiable."""
    tensor = to_tensor(array, name)
    check_device(tensor, name, device)
    return tensor.to(to)


def to_guess(initial_guess: ArrayLike, f: Tensor) -> Tensor:
    """The initial guess for the right-hand side f."""
    guess = moved(initial_guess, "initial_guess", f.device, f.device).detach()
    if guess.shape != f.shape or guess.dtype != f.dtype:
        raise ValueError(
            f"initial_guess must have rhs's shape {tuple(f.shape)} and dtype {f.dtype}, "
            f"got {tuple(guess.shape)} and {guess.dtype}"
        )
    return guess


def to_mask(mask: ArrayLike | None, name: str, shape: tuple[int, ...], device: torch.device) -> Tensor | None:
    """Bool [*batch, *shape] on the CPU, or None where it is False throughout; `device` is that of right-hand sides."""
    if mask is None:
        return None
    tensor = torch.as_tensor(np.ascontiguousarray(mask) if isinstance(mask, np.ndarray) else mask)
    if tensor.dtype != torch.bool:
        raise TypeError(f"{name} must be bool, got {tensor.dtype}")
    check_device(tensor, name, device)
    _check_trailing(tensor, name, shape)
    tensor = tensor.cpu()
    # NumPy's any() ends at the first True; torch's takes a tenth of the whole set-up.
    return tensor.contiguous() if tensor.numpy().any() else None


def to_alpha(
    alpha: float | ArrayLike, shape: tuple[int, ...], dtype: torch.dtype, device: torch.device
) -> Tensor | None:
    """One entry, or [*batch, *shape], on the CPU; None where it is the number 0. `device` is that of right-hand sides.

    Raises:
        TypeError, ValueError: not a real number or array, NaN, Inf or negative, or of another shape.
    """
    if isinstance(alpha, np.ndarray):
        alpha = to_tensor(alpha, "alpha")
    if isinstance(alpha, Tensor):
        if not alpha.is_floating_point():
            raise TypeError(f"alpha must be a number or a floating array, got {alpha.dtype}")
        check_device(alpha, "alpha", device)
        tensor = alpha.to(dtype).cpu()
        if tensor.numel() != 1:
            _check_trailing(tensor, "alpha", shape)
    elif isinstance(alpha, Real):
        if alpha == 0:
            return None
        tensor = torch.tensor(float(alpha), dtype=dtype)
    else:
        raise TypeError(f"alpha must be a number or an array, got {type(alpha).__name__}")
    least, most = _extremes(tensor, "alpha")
    if not (isfinite(most) and least >= 0):
        got = f"{float(tensor.detach()):g}" if tensor.numel() == 1 else f"{least:g} among its entries"
        raise ValueError(f"alpha must be finite and not negative, which would leave A indefinite, got {got}")
    return tensor


def to_coefficient(
    coefficient: Coefficient, shape: tuple[int, ...], dtype: torch.dtype, device: torch.device
) -> Tensor | list[Tensor] | None:
    """At the unknowns, [*batch, *shape], or at the faces, one [*batch, shape with one more along its axis] per axis, on
    the CPU; None where it is the number 1. `device` is that of right-hand sides.

    Raises:
        TypeError, ValueError: not real, of another shape, NaN or Inf, not positive (at unknowns), negative (at faces).
    """
    if isinstance(coefficient, Real):
        if coefficient == 1:
            return None
        coefficient = torch.full(shape, float(coefficient), dtype=dtype)
    if isinstance(coefficient, Tensor | np.ndarray):
        cells = moved(coefficient, "coefficient", device, CPU).to(dtype)
        _check_trailing(cells, "coefficient", shape)
        _check_range(cells, "coefficient", least_is_positive=True)
        return cells
    if not isinstance(coefficient, Sequence) or isinstance(coefficient, str):
        raise TypeError(
            f"coefficient must be a number, an array, or one array of faces per axis, got {type(coefficient).__name__}"
        )
    if len(coefficient) != len(shape):
        raise ValueError(f"coefficient at faces must be one array per axis ({len(shape)}), got {len(coefficient)}")
    faces = []
    for axis, given in enumerate(coefficient):
        face = moved(given, "coefficient", device, CPU).to(dtype)
        _check_trailing(face, "coefficient", tuple(n + (a == axis) for a, n in enumerate(shape)))
        _check_range(face, "coefficient", least_is_positive=False)
        faces.append(face)
    return faces


def like(given: ArrayT, solution: Tensor) -> ArrayT:
    """The solution as the kind of array that was given."""
    converted: ArrayT = cast(Any, solution.detach().numpy() if isinstance(given, np.ndarray) else solution)
    return converted


def _check_trailing(tensor: Tensor, name: str, shape: tuple[int, ...]) -> None:
    if tuple(tensor.shape[max(0, tensor.ndim - len(shape)) :]) != shape:
        raise ValueError(
            f"{name} must have the shape of one right-hand side {shape}, or of a batch of them, "
            f"got {tuple(tensor.shape)}"
        )


def _check_range(tensor: Tensor, name: str, *, least_is_positive: bool) -> None:
    least, most = _extremes(tensor, name)
    if not (isfinite(most) and (least > 0 if least_is_positive else least >= 0)):
        must = "positive" if least_is_positive else "at least 0"
        raise ValueError(f"{name} must be finite and {must}, or A would not be elliptic, got {least:g} to {most:g}")


def _extremes(tensor: Tensor, name: str) -> tuple[float, float]:
    least, most = tensor.detach().aminmax()
    try:
        return float(least), float(most)
    except RuntimeError:
        raise ValueError(
            f"{name} is mapped by torch.func.vmap, which goes over right-hand sides only: give it a batch axis instead"
        ) from None


def _check_kind(device: torch.device, name: str) -> None:
    if device.type not in ("cpu", "cuda"):
        raise ValueError(f"{name} is on {device}, and fastsciml solves on CPU and CUDA devices: move it to one")
    if device.type == "cuda" and not LOADED.cuda:
        raise RuntimeError(
            f"{name} is on {device}, but fastsciml's CUDA library is not loaded ({LOADED.cuda_absent_because}): "
            "install fastsciml where nvcc is found, or move it to the CPU"
        )
