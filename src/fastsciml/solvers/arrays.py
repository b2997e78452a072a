"""Arrays as users give them, checked and turned into tensors, and back."""

from __future__ import annotations

import warnings
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fastsciml.solvers.result import ArrayT

ArrayLike = Tensor | npt.NDArray[Any]


def to_tensor(array: ArrayLike, name: str) -> Tensor:
    """A contiguous float32 or float64 CPU tensor that shares memory where it can; TypeError or ValueError otherwise."""
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
    _check_device(array, name)
    return array.contiguous()


def to_guess(initial_guess: ArrayLike, f: Tensor) -> Tensor:
    """The initial guess for the right-hand side f."""
    guess = to_tensor(initial_guess, "initial_guess").detach()
    if guess.shape != f.shape or guess.dtype != f.dtype:
        raise ValueError(
            f"initial_guess must have rhs's shape {tuple(f.shape)} and dtype {f.dtype}, "
            f"got {tuple(guess.shape)} and {guess.dtype}"
        )
    if not torch.isfinite(guess).all():
        raise ValueError("initial_guess has NaN or Inf")
    return guess


def to_fluid(solid: ArrayLike | None, shape: tuple[int, ...], extents: tuple[int, int, int]) -> Tensor | None:
    """Bool [nx, ny, nz], True where there is fluid, or None where every cell is."""
    if solid is None:
        return None
    mask = torch.as_tensor(np.ascontiguousarray(solid) if isinstance(solid, np.ndarray) else solid)
    if mask.dtype != torch.bool:
        raise TypeError(f"solid must be bool, got {mask.dtype}")
    _check_device(mask, "solid")
    if tuple(mask.shape) != shape:
        raise ValueError(f"solid must have the shape of one right-hand side {shape}, got {tuple(mask.shape)}")
    if mask.all():
        raise ValueError("solid leaves no fluid cell")
    return ~mask.reshape(extents).contiguous() if mask.any() else None


def like(given: ArrayT, solution: Tensor) -> ArrayT:
    """The solution as the kind of array that was given."""
    converted: ArrayT = cast(Any, solution.detach().numpy() if isinstance(given, np.ndarray) else solution)
    return converted


def _check_device(tensor: Tensor, name: str) -> None:
    if tensor.device.type != "cpu":
        raise ValueError(f"{name} is on {tensor.device}, and this version solves on the CPU only: pass {name}.cpu()")
