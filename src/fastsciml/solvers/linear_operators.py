"""The Poisson operator and its V-cycle for SciPy's solvers."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.sparse.linalg import LinearOperator
from torch import Tensor

from fastsciml.ops.multigrid_v_cycle import multigrid_v_cycle, multigrid_workspace
from fastsciml.ops.split_rows import join_rows, split_rows
from fastsciml.solvers.discretisation import Discretisation

Flat = npt.NDArray[Any]


def apply_operator(sample: Discretisation, shape: tuple[int, ...], scale: float, by_volume: bool) -> LinearOperator:
    """Scale * A, times the volumes if so asked."""
    volumes = sample.volumes if by_volume else None

    def apply(x: Flat) -> Flat:
        u = _on_grid(x, sample)
        out = sample.operator(u[None])[0]
        return _flat(scale * out if volumes is None else scale * volumes * out)

    return _operator(apply, shape, sample)


def cycle_operator(sample: Discretisation, shape: tuple[int, ...], scale: float, by_volume: bool) -> LinearOperator:
    """Scale * B, B being a symmetric V-cycle, or scale * B / volumes if so asked."""
    hierarchy = sample.hierarchy(symmetric=True)
    volumes = sample.volumes if by_volume else None

    def apply(x: Flat) -> Flat:
        f = _on_grid(x, sample)
        if sample.unknown is not None:
            f = torch.where(sample.unknown, f, 0)
        f = f if volumes is None else f / volumes
        size = float(f.abs().max())
        if size == 0:
            return np.zeros_like(x)
        # float32 holds what is neither large nor small.
        out = torch.empty(hierarchy.padded_shape)
        multigrid_v_cycle(split_rows(f, 1 / size), out, hierarchy, torch.empty(multigrid_workspace(hierarchy)))
        return _flat(join_rows(out, f.shape[-1]).to(f.dtype) * (size * scale))

    return _operator(apply, shape, sample)


def _operator(apply: Any, shape: tuple[int, ...], sample: Discretisation) -> LinearOperator:
    n = int(np.prod(shape))
    dtype = torch.empty(0, dtype=sample.operator.couplings.dtype).numpy().dtype
    return LinearOperator((n, n), matvec=apply, rmatvec=apply, dtype=dtype)


def _on_grid(x: Flat, sample: Discretisation) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(x)).to(sample.operator.couplings).reshape(sample.grid.extents)


def _flat(values: Tensor) -> Flat:
    return values.reshape(-1).numpy()
