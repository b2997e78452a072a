"""What proposes directions: the residual, an incomplete factorisation, deflation, networks. All go through one loop."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from itertools import product
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fastsciml import PoissonSolver
from fastsciml.data.poisson_matrix import poisson_matrix

DEFLATION_VECTORS = (4, 2, 2)  # boxes, 16 as published


class Map(nn.Module):
    """A function of residuals [1, 1, *shape] as a network."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, residual: Tensor) -> Tensor:
        return self.function(residual)


class Timed(nn.Module):
    """A network that counts the seconds it takes."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network, self.seconds, self.calls = network, 0.0, 0

    def forward(self, residual: Tensor) -> Tensor:
        start = perf_counter()
        direction: Tensor = self.network(residual)
        self.seconds, self.calls = self.seconds + perf_counter() - start, self.calls + 1
        return direction


def has_incomplete_cholesky() -> bool:
    return find_spec("ilupp") is not None


def incomplete_cholesky(solver: PoissonSolver, solid: Any) -> Map:
    """IC(0) by ilupp, in double precision."""
    import ilupp
    from scipy.sparse import csr_matrix, diags_array

    # Solid cells have no equation: 1 on their diagonal.
    kinds = [tuple(str(kind) for kind in pair) for pair in solver._kinds]
    spacing = [float(h) for h in solver.spacing]
    matrix = poisson_matrix(solver.shape, spacing, kinds, solid)
    matrix = matrix + diags_array((matrix.diagonal() == 0).astype(np.float64))
    parts = (matrix.data, matrix.indices.astype(np.int32), matrix.indptr.astype(np.int32))
    factor = ilupp.IChol0Preconditioner(csr_matrix(parts, matrix.shape))

    def propose(residual: Tensor) -> Tensor:
        z = factor @ residual.reshape(-1).double().numpy()
        return torch.from_numpy(z).float().reshape(residual.shape)

    return Map(propose)


class Deflation:
    """Directions without the part in the span of 16 vectors W, each 1 in one box of cells, which Q = W (W'AW)^-1 W'
    solves for: z = s - Q A s + Q r, with s = r over A's largest diagonal entry. Q r is 0 but for rounding, which would
    stay otherwise.

    Source: Saad, Yeung, Erhel, Guyomarc'h, A deflated version of the conjugate gradient algorithm, SIAM J. Sci. Comput.
    21, 2000.
    """

    def __init__(self, solver: PoissonSolver) -> None:
        placed = solver._samples[0].placed
        fluid = torch.ones(solver.shape) if placed.unknown is None else placed.unknown.float()
        fields = []
        for corner in product(*(range(boxes) for boxes in DEFLATION_VECTORS)):
            where = [
                slice(n * c // b, n * (c + 1) // b)
                for n, c, b in zip(solver.shape, corner, DEFLATION_VECTORS, strict=True)
            ]
            field = torch.zeros(solver.shape)
            field[tuple(where)] = fluid[tuple(where)]
            if field.any():
                fields.append(field)
        self.flat = torch.stack(fields).flatten(1)
        images = [placed.operator(w[None].to(solver.dtype))[0].float() for w in fields]
        self.flat_images = torch.stack(images).flatten(1)
        coarse = self.flat_images.double() @ self.flat.double().T
        self.diagonal = placed.operator.largest_diagonal
        self.inverse = torch.linalg.pinv(coarse, hermitian=True)

    def first_guess(self, f: Tensor) -> Tensor:
        """W (W'AW)^-1 W' f, from which the residual is orthogonal to W."""
        parts: Tensor = self.inverse @ (self.flat.double() @ f.double().reshape(-1))
        return (parts @ self.flat.double()).reshape(f.shape)

    def __call__(self, residual: Tensor) -> Tensor:
        r = residual.reshape(-1)
        s = r / self.diagonal
        parts: Tensor = (self.inverse @ (self.flat @ r - self.flat_images @ s).double()).float()
        return (s + parts @ self.flat).reshape(residual.shape)


def untrained_convolution() -> nn.Module:
    """A network that has learned nothing, and is cheap to ask."""
    torch.manual_seed(0)
    return nn.Conv3d(1, 1, 3, padding=1)
