import pytest
import torch

from fastsciml import PoissonSolver
from fastsciml.solvers import scratch


@pytest.fixture(autouse=True)
def _nothing_kept():
    scratch._spare.clear()


def test_what_was_given_is_taken_again():
    array = scratch.take(3, 4, 5)
    place = array.data_ptr()
    scratch.give(array, None)
    del array
    assert scratch.take(5, 12).data_ptr() == place
    assert scratch.take(5, 12).data_ptr() != place


def test_no_more_is_kept_than_was_said(monkeypatch):
    monkeypatch.setattr(scratch, "LARGE", 4000)
    monkeypatch.setattr(scratch, "MOST_BYTES", 10000)
    monkeypatch.setattr(scratch, "MOST_BYTES_IN_SMALL", 1000)
    scratch.give(*[torch.empty(n) for n in (100, 1000, 120, 1400, 130, 300, 1200, 2600)])
    assert sorted(array.numel() for kept in scratch._spare.values() for array in kept) == [130, 1200]


def test_a_solver_that_is_gone_leaves_its_arrays_to_the_next():
    rhs = torch.randn(8, 12, 10, dtype=torch.float64)
    first = PoissonSolver((8, 12, 10), method="multigrid")
    expected = first.solve(rhs).solution
    places = {first._work(0).residual.data_ptr(), first._work(0).proposal.data_ptr()}
    del first
    second = PoissonSolver((8, 12, 10), method="multigrid")
    assert torch.equal(second.solve(rhs).solution, expected)
    assert {second._work(0).residual.data_ptr(), second._work(0).proposal.data_ptr()} == places


def test_arrays_of_both_dtypes_share_memory():
    array = scratch.take(3, 4, dtype=torch.float64)
    place = array.data_ptr()
    scratch.give(array)
    assert scratch.take(24).data_ptr() == place


def test_a_masked_right_hand_side_is_copied_to_an_array_that_is_kept():
    rhs, solid = torch.randn(8, 12, 10, dtype=torch.float64), torch.rand(8, 12, 10) < 0.1
    given = rhs.clone()
    solver = PoissonSolver((8, 12, 10), solid=solid, method="multigrid")
    first = solver.solve(rhs)
    assert torch.equal(rhs, given)
    assert len(scratch._spare[2 * rhs.numel()]) == 1
    second = solver.solve(rhs)
    assert torch.equal(first.solution, second.solution)
    assert len(scratch._spare[2 * rhs.numel()]) == 1


@pytest.mark.parametrize("as_numpy", [False, True])
def test_a_solution_that_nobody_has_any_more_leaves_its_memory_to_the_next(as_numpy):
    rhs = torch.randn(8, 12, 10, dtype=torch.float64)
    given = rhs.numpy() if as_numpy else rhs
    solver = PoissonSolver((8, 12, 10), method="multigrid")
    first = solver.solve(given).solution
    view, expected = first[2:4], torch.as_tensor(first).clone()
    place = torch.as_tensor(first).data_ptr()
    del first
    other = solver.solve(2 * given).solution
    assert torch.as_tensor(other).data_ptr() != place
    assert torch.equal(torch.as_tensor(view), expected[2:4])
    del view
    again = solver.solve(given).solution
    assert torch.as_tensor(again).data_ptr() == place
    assert torch.equal(torch.as_tensor(again), expected)
