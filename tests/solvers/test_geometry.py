"""What is kept of a grid for the next problem on it."""

import torch

from fastsciml.solvers.geometry import GRIDS_KEPT, level_geometry
from fastsciml.solvers.grid import make_grid

NEUMANN, WRAPS = ("neumann", "neumann"), ("periodic", "periodic")


def line(n, spacing=1.0, kinds=NEUMANN):
    return make_grid((n,), (spacing,), (kinds,))


def test_an_equal_grid_is_not_made_again():
    assert level_geometry(line(9), constant=False) is level_geometry(line(9), constant=False)


def test_another_grid_or_transfer_is():
    first = level_geometry(line(9), constant=False)
    for grid, constant in ((line(9), True), (line(9, 0.5), False), (line(9, kinds=WRAPS), False), (line(10), False)):
        assert level_geometry(grid, constant) is not first


def test_only_the_last_few_are_kept():
    first = level_geometry(line(9), constant=False)
    for n in range(20, 20 + GRIDS_KEPT):
        level_geometry(line(n), constant=False)
    again = level_geometry(line(9), constant=False)
    assert again is not first
    for a, b in zip(again, first, strict=True):
        assert torch.equal(a.packed_axes, b.packed_axes)
        assert torch.equal(a.couplings, b.couplings)
