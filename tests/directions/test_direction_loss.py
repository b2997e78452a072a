import pytest
import torch
from torch import nn

from fastsciml.directions import DCDM, direction_problem, proposal_of
from fastsciml.directions.loss import direction_loss, loss_of_steps
from fastsciml.directions.matrix import Matrix

DOUBLE = torch.float64


def a_batch(matrix, count, dtype):
    b = matrix.masked(torch.randn(count, 1, *matrix.shape, dtype=dtype))
    return b / torch.linalg.vector_norm(b.flatten(1), dim=1).reshape(-1, *[1] * (b.ndim - 1))


def test_it_is_what_its_definition_says():
    matrix = Matrix(direction_problem("plume", (5, 6, 7), dtype=DOUBLE))
    b, z = a_batch(matrix, 3, DOUBLE), a_batch(matrix, 3, DOUBLE)
    a = torch.stack([torch.from_numpy(matrix.apply_flat(row)) for row in torch.eye(210, dtype=DOUBLE).numpy()], 1)
    expected = 0.0
    for own_b, own_z in zip(b.reshape(3, -1), z.reshape(3, -1), strict=True):
        alpha = (own_z @ own_b) / (own_z @ a @ own_z)
        expected += (own_b - alpha * a @ own_z).square().sum() / 3
    torch.testing.assert_close(direction_loss(z, b, matrix), expected)


def test_scale_of_the_direction_does_not_matter_and_the_solution_gives_none():
    solver = direction_problem("ball", (8, 8, 8), dtype=DOUBLE)
    matrix = Matrix(solver)
    b = a_batch(matrix, 2, DOUBLE)
    z = torch.stack([solver.solve(own, tol=1e-12).solution for own in b])
    assert direction_loss(z, b, matrix) < 1e-18
    other = a_batch(matrix, 2, DOUBLE)
    torch.testing.assert_close(direction_loss(-7 * other, b, matrix), direction_loss(other, b, matrix))


def test_direction_without_energy_is_no_step():
    matrix = Matrix(direction_problem("box", (4, 4), dtype=DOUBLE))
    b, z = a_batch(matrix, 2, DOUBLE), torch.zeros(2, 1, 4, 4, dtype=DOUBLE, requires_grad=True)
    loss = direction_loss(z, b, matrix)
    loss.backward()
    assert loss.item() == pytest.approx(1)
    assert z.grad.isfinite().all()


@pytest.mark.parametrize(("name", "shape"), [("plume", (4, 5, 4)), ("obstacles", (5, 6))])
def test_gradients(name, shape):
    matrix = Matrix(direction_problem(name, shape, dtype=DOUBLE))
    b, z = a_batch(matrix, 2, DOUBLE), a_batch(matrix, 2, DOUBLE).requires_grad_()
    assert torch.autograd.gradcheck(lambda given: direction_loss(matrix.masked(given), b, matrix), z)


def test_proposals_of_a_plain_network_are_zero_where_there_is_no_unknown():
    solver = direction_problem("plume", (8, 8, 8))
    network, residual = DCDM(channels=2, layers=(1, 1, 1)), torch.randn(2, 1, 8, 8, 8)
    proposal, unknown = proposal_of(network, solver)(residual), Matrix(solver).unknown
    torch.testing.assert_close(proposal[..., unknown], network(residual)[..., unknown])
    assert not proposal[..., ~unknown].any()


def test_network_that_looks_at_the_problem_is_bound_to_it():
    class Scaled(nn.Module):
        def bound_to(self, solver):
            return lambda residual: solver.unknowns * residual

    solver, residual = direction_problem("ball", (8, 8)), torch.randn(1, 1, 8, 8)
    torch.testing.assert_close(proposal_of(Scaled(), solver)(residual), solver.unknowns * residual)


def test_some_steps_are_conjugate_gradients():
    """With the residual itself for a proposal; one step is the published loss."""
    torch.manual_seed(0)
    a = torch.randn(12, 12, dtype=torch.float64)
    a = a @ a.T + torch.eye(12, dtype=torch.float64)
    b = torch.randn(3, 1, 12, dtype=torch.float64)
    matrix = lambda u: u @ a  # noqa: E731
    torch.testing.assert_close(loss_of_steps(lambda r: r, b, matrix, 1), direction_loss(b, b, matrix))
    left = []
    for rhs in b[:, 0]:
        x, r = torch.zeros_like(rhs), rhs.clone()
        p = r
        for _ in range(4):
            step = (r @ r) / (p @ a @ p)
            x, before = x + step * p, r @ r
            r = r - step * (a @ p)
            p = r + (r @ r) / before * p
        left.append(r @ r)
    torch.testing.assert_close(loss_of_steps(lambda r: r, b, matrix, 4), torch.stack(left).mean())
