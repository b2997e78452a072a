"""The kernel of poisson_apply, run on the host, against the definition in float64."""

import numpy as np
import pytest
import torch

from fastsciml.ops.poisson_apply import poisson_apply_definition

DIRICHLET, NEUMANN, PERIODIC = 2.0, 0.0, None  # the coupling of an end face, in units of the one inside
BOUNDARIES = {
    "dirichlet": [(DIRICHLET, DIRICHLET)] * 3,
    "neumann": [(NEUMANN, NEUMANN)] * 3,
    "periodic": [(PERIODIC, PERIODIC)] * 3,
    "mixed": [(NEUMANN, DIRICHLET), (PERIODIC, PERIODIC), (DIRICHLET, NEUMANN)],
}
# 256 threads a block: one cell, a part of a block, one block to the full, and several with a rest.
SHAPES = [(1, 1, 1, 1), (1, 7, 1, 13), (1, 4, 4, 16), (2, 5, 3, 37), (3, 9, 11, 10)]
TOLERANCE = {np.float32: 1e-6, np.float64: 1e-14}


def couplings_of(extents, boundary, rng):
    """Random couplings inside, so that no two cells share one, and the boundary's at the ends."""
    parts = []
    for extent, ends in zip(extents, boundary, strict=True):
        faces = rng.uniform(0.5, 2.0, (2, extent))
        for side, end in enumerate(ends):
            if end is not PERIODIC:
                faces[side, -side] *= end
        parts += list(faces)
    return np.concatenate(parts)


FILLS = ["box", "faces", "coefficient", "everything"]


@pytest.mark.parametrize("dtype", TOLERANCE, ids=lambda dtype: dtype.__name__)
@pytest.mark.parametrize("fill", FILLS)
@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_agrees_with_the_float64_definition(shape, boundary, fill, dtype, run_apply):
    rng = np.random.default_rng(0)
    ends = BOUNDARIES[boundary]
    u = rng.standard_normal(shape).astype(dtype)
    couplings = couplings_of(shape[1:], ends, rng).astype(dtype)
    periodic = [int(end[0] is PERIODIC) for end in ends]
    faces, coefficient, alpha = None, [], np.full(1, 0.7, dtype)
    if fill in ("faces", "everything"):
        faces = rng.integers(0, 128, shape[1:], dtype=np.uint8)
    if fill in ("coefficient", "everything"):
        sizes = [[n + (a == b) for b, n in enumerate(shape[1:])] for a in range(3)]
        coefficient = [rng.uniform(0.5, 2.0, size).astype(dtype) for size in sizes]
    if fill == "everything":
        alpha = rng.uniform(0.0, 1.0, shape[1:]).astype(dtype)

    out = run_apply(u, couplings, periodic, faces, coefficient, alpha)

    def double(array):
        return torch.from_numpy(array.astype(np.float64))

    reference = poisson_apply_definition(
        double(u),
        double(couplings),
        periodic,
        None if faces is None else torch.from_numpy(faces),
        [double(k) for k in coefficient],
        double(alpha),
    ).numpy()
    error = np.linalg.norm(out.astype(np.float64) - reference)
    assert error <= TOLERANCE[dtype] * np.linalg.norm(reference)
