"""A linear operator as users give it, as a function of tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from scipy.sparse import issparse
from scipy.sparse.linalg import LinearOperator
from torch import Tensor

LinearMap = Callable[[Tensor], Tensor]
LAYOUTS = (torch.strided, torch.sparse_csr, torch.sparse_coo)


def linear_map(a: Any, b: Tensor) -> LinearMap:
    """A as a function that takes a tensor like b, and returns a new one.

    Args:
        a: a dense or sparse tensor or NumPy array, a SciPy sparse matrix or array, or a SciPy `LinearOperator`, where b
            is a vector; or a function of tensors of b's shape.
        b: the right-hand side.

    Raises:
        TypeError: none of these, or of a dtype that b has not.
        ValueError: a matrix whose shape or device is not b's.
    """
    if isinstance(a, np.ndarray):
        a = torch.from_numpy(a)
    if isinstance(a, Tensor):
        return _of_tensor(a, b)
    if issparse(a) or isinstance(a, LinearOperator):
        return _of_scipy(a, b)
    if not callable(a):
        raise TypeError(
            f"a must be a matrix (torch, NumPy or SciPy), a SciPy LinearOperator or a function of tensors, "
            f"got {type(a).__name__}"
        )
    return lambda q: _checked(a(q), b).clone(memory_format=torch.contiguous_format)


def _of_tensor(a: Tensor, b: Tensor) -> LinearMap:
    if a.layout not in LAYOUTS:
        raise TypeError(f"a must be dense or sparse by rows, got {a.layout}: a.to_sparse_csr() makes it so")
    _check_shape(tuple(a.shape), b)
    if a.dtype != b.dtype:
        raise TypeError(f"a must have b's dtype {b.dtype}, got {a.dtype}")
    if a.device != b.device:
        raise ValueError(f"a is on {a.device} and b on {b.device}: move one of them")
    return lambda q: torch.mv(a, q)


def _of_scipy(a: Any, b: Tensor) -> LinearMap:
    _check_shape(tuple(a.shape), b)
    if b.device.type != "cpu":
        raise ValueError(f"a is a SciPy operator, which is on the CPU, and b on {b.device}: move b to the CPU")
    dtype = b.new_empty(0).numpy().dtype
    if np.issubdtype(a.dtype, np.complexfloating):
        raise TypeError(f"a must be real, got {a.dtype}")
    if issparse(a):
        matrix = a.tocsr().astype(dtype)
        return lambda q: torch.from_numpy(matrix @ q.numpy())
    # Its matvec may return what it keeps.
    return lambda q: torch.from_numpy(np.array(a.matvec(q.numpy()), dtype=dtype))


def _check_shape(shape: tuple[int, ...], b: Tensor) -> None:
    if b.ndim != 1:
        raise ValueError(f"b must be a vector where a is a matrix, got the shape {tuple(b.shape)}")
    if shape != (len(b), len(b)):
        raise ValueError(f"a must have the shape {(len(b), len(b))} for a b of {len(b)} entries, got {shape}")


def _checked(image: Any, b: Tensor) -> Tensor:
    if not isinstance(image, Tensor):
        raise TypeError(f"a must return a tensor, got {type(image).__name__}")
    if image.shape != b.shape or image.dtype != b.dtype or image.device != b.device:
        raise ValueError(
            f"a must return b's shape {tuple(b.shape)} and dtype {b.dtype} on {b.device}, "
            f"got {tuple(image.shape)} and {image.dtype} on {image.device}"
        )
    return image
