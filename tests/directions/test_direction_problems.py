import numpy as np
import pytest
import torch

from fastsciml.data.smoke_plume import smoke_plume
from fastsciml.directions import PROBLEMS, direction_problem
from fastsciml.directions.matrix import Matrix


@pytest.mark.parametrize("name", PROBLEMS)
@pytest.mark.parametrize("shape", [(8, 8, 8), (9, 6)])
def test_problems_can_be_solved(name, shape):
    solver = direction_problem(name, shape, dtype=torch.float64)
    f = Matrix(solver).masked(torch.randn(1, *shape, dtype=torch.float64))
    assert solver.solve(f).converged
    assert solver.method == "multigrid"
    assert (solver.unknowns < f.numel()) == (name in ("plume", "ball", "obstacles"))


def test_plume_is_that_of_the_data():
    plume = smoke_plume((8, 8, 8))
    solver = direction_problem("plume", (8, 8, 8))
    np.testing.assert_array_equal(~Matrix(solver).unknown.numpy(), plume.solid)
    assert tuple(solver.spacing) == plume.spacing
    assert solver.conditions == plume.boundary


def test_obstacles_are_the_seeds_and_leave_half_the_box():
    masks = [Matrix(direction_problem("obstacles", (16, 16, 16), seed=seed)).unknown for seed in range(8)]
    again = [Matrix(direction_problem("obstacles", (16, 16, 16), seed=seed)).unknown for seed in range(8)]
    assert all(map(torch.equal, masks, again))
    assert len({mask.numpy().tobytes() for mask in masks}) == 8
    assert all(0.5 <= mask.float().mean() < 1 for mask in masks)
    finer = Matrix(direction_problem("obstacles", (32, 32, 32), seed=3)).unknown
    assert finer.float().mean() == pytest.approx(float(masks[3].float().mean()), abs=0.02)


@pytest.mark.parametrize(
    ("name", "shape", "sentence"),
    [("sphere", (8, 8), "problem must be one of plume, "), ("box", (8,), "two or three"), ("box", (8, 3), "least 4")],
)
def test_bad_names_and_shapes_are_refused(name, shape, sentence):
    with pytest.raises(ValueError, match=sentence):
        direction_problem(name, shape)
