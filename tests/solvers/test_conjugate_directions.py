import warnings

import numpy as np
import pytest
import scipy.sparse as sparse
import torch
from scipy.sparse.linalg import LinearOperator, cg

from fastsciml.data import poisson_matrix
from fastsciml.solvers import NotConvergedWarning, StopReason, conjugate_directions

SHAPE = (12, 11, 13)
MATRIX = sparse.csr_array(poisson_matrix(SHAPE, 1.0, "dirichlet", None))
RHS = torch.randn(MATRIX.shape[0], dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def true_residual(x, b=RHS):
    b = np.asarray(b).ravel()
    return np.linalg.norm(b - MATRIX @ np.asarray(x, dtype=np.float64).ravel()) / np.linalg.norm(b)


def torch_csr(dtype=torch.float64):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse CSR tensor support")
        parts = (torch.from_numpy(part) for part in (MATRIX.indptr, MATRIX.indices, MATRIX.data))
        return torch.sparse_csr_tensor(*parts, size=MATRIX.shape, dtype=dtype, check_invariants=True)


def on_grid(u):
    return torch.from_numpy(MATRIX @ u.numpy().ravel()).reshape(u.shape)


def test_one_direction_of_the_residual_is_conjugate_gradients():
    steps = []
    cg(MATRIX, RHS.numpy(), rtol=1e-8, callback=steps.append)
    result = conjugate_directions(MATRIX, RHS, memory=1)
    assert abs(result.iterations - len(steps)) <= 1
    assert result.converged
    assert result.reason is StopReason.CONVERGED
    assert result.residuals[-1] == pytest.approx(true_residual(result.solution), rel=1e-3)
    assert true_residual(result.solution) <= 1e-8
    assert result.residuals[0] == 1.0
    assert len(result.residuals) == result.iterations + 1


@pytest.mark.parametrize("kind", ["dense", "csr", "array", "matrix", "operator", "function"])
def test_any_kind_of_operator(kind):
    a = {
        "dense": lambda: torch.from_numpy(MATRIX.toarray()),
        "csr": torch_csr,
        "array": MATRIX.toarray,
        "matrix": lambda: sparse.csc_matrix(MATRIX),
        "operator": lambda: LinearOperator(MATRIX.shape, matvec=lambda x: MATRIX @ x, dtype=np.float64),
        "function": lambda: on_grid,
    }[kind]()
    b = RHS.reshape(SHAPE) if kind == "function" else RHS
    expected = conjugate_directions(MATRIX, RHS)
    result = conjugate_directions(a, b)
    assert result.converged
    assert result.solution.shape == b.shape
    assert result.iterations == expected.iterations
    torch.testing.assert_close(result.solution.ravel(), expected.solution)


def test_the_result_is_of_the_right_hand_sides_kind():
    b = RHS.numpy()
    kept = b.copy()
    result = conjugate_directions(MATRIX, b)
    assert isinstance(result.solution, np.ndarray)
    assert np.array_equal(b, kept)
    single = conjugate_directions(torch_csr(torch.float32), RHS.float(), tol=1e-5)
    assert single.solution.dtype == torch.float32
    assert true_residual(single.solution) <= 2e-5


def test_a_preconditioner_saves_iterations():
    scale = torch.logspace(0, 1, len(RHS), dtype=torch.float64)
    scaled = sparse.diags_array(scale.numpy()) @ MATRIX @ sparse.diags_array(scale.numpy())
    plain = conjugate_directions(scaled, RHS, memory=1, max_iterations=5000)
    with_diagonal = conjugate_directions(scaled, RHS, lambda r: r / scale**2, memory=1)
    assert with_diagonal.converged
    assert with_diagonal.iterations < plain.iterations / 4


def test_more_memory_helps_a_proposal_that_changes():
    def propose(r):
        return r * (1 + 0.5 * torch.rand_like(r))

    taken = {}
    for memory in (0, 2, 8):
        torch.manual_seed(0)
        result = conjugate_directions(MATRIX, RHS, propose, memory=memory, max_iterations=3000)
        assert result.converged
        taken[memory] = result.iterations
    assert taken[8] <= taken[2] < taken[0]


def test_directions_are_conjugate_to_exactly_the_last_ones():
    seen, last = [], [torch.zeros_like(RHS)]

    def watch(iteration, residual, x):
        seen.append(x - last[0])
        last[0] = x.clone()

    torch.manual_seed(0)
    with pytest.warns(NotConvergedWarning):
        conjugate_directions(MATRIX, RHS, lambda r: r * torch.rand_like(r), memory=2, max_iterations=8, callback=watch)
    steps = torch.stack(seen).numpy()
    energies = steps @ (MATRIX @ steps.T)
    cosines = np.abs(energies) / np.sqrt(np.outer(energies.diagonal(), energies.diagonal()))
    assert all(cosines[k, k - d] < 1e-10 for d in (1, 2) for k in range(d, 8))
    assert max(cosines[k, k - 3] for k in range(3, 8)) > 1e-4


def test_starts_from_a_guess_and_reports_every_iteration():
    solution = conjugate_directions(MATRIX, RHS, tol=1e-12).solution
    told = []
    result = conjugate_directions(
        MATRIX, RHS, x0=solution + 1e-4, callback=lambda iteration, residual, x: told.append((iteration, residual))
    )
    assert result.residuals[0] == pytest.approx(true_residual(solution + 1e-4), rel=1e-6)
    assert [iteration for iteration, _ in told] == list(range(1, result.iterations + 1))
    assert conjugate_directions(MATRIX, RHS, x0=result.solution).iterations == 0


def test_a_zero_right_hand_side_has_the_solution_zero():
    result = conjugate_directions(MATRIX, torch.zeros_like(RHS), x0=RHS)
    assert result.converged
    assert not result.solution.any()
    assert result.residuals.tolist() == [0.0]


BAD_PROPOSALS = {
    "NaN": (lambda r: r * torch.nan, "propose returned NaN or Inf"),
    "Inf": (lambda r: r / 0, "propose returned NaN or Inf"),
    "shape": (lambda r: r[:-1], r"propose must return b's shape \(1716,\)"),
    "dtype": (lambda r: r.float(), "propose must return .* got .*float32"),
    "type": (lambda r: r.numpy(), "propose must return a tensor, got ndarray"),
    "zero": (torch.zeros_like, "the proposal is 0"),
}


@pytest.mark.parametrize("name", BAD_PROPOSALS)
def test_a_bad_proposal_ends_the_solve_with_what_it_has(name):
    bad, message = BAD_PROPOSALS[name]
    calls = []

    def propose(r):
        calls.append(r)
        return r if len(calls) < 4 else bad(r)

    with pytest.warns(NotConvergedWarning, match=f"iteration 4: {message}"):
        result = conjugate_directions(MATRIX, RHS, propose)
    assert result.reason is StopReason.BAD_PROPOSAL
    assert result.iterations == 3
    assert result.residuals[-1] == pytest.approx(true_residual(result.solution))
    assert torch.isfinite(result.solution).all()


def test_a_proposal_along_the_last_direction_is_seen():
    with pytest.warns(NotConvergedWarning):
        result = conjugate_directions(MATRIX, RHS, lambda r: RHS.clone(), max_iterations=20)
    assert result.reason in (StopReason.BAD_PROPOSAL, StopReason.MAX_ITERATIONS)
    assert torch.isfinite(result.solution).all()


def test_an_indefinite_operator_is_noticed():
    diagonal = torch.linspace(-1, 10, 50, dtype=torch.float64)
    with pytest.warns(NotConvergedWarning, match="iteration [0-9]+: <p, A p> is -"):
        result = conjugate_directions(lambda q: diagonal * q, torch.ones(50, dtype=torch.float64))
    assert result.reason is StopReason.INDEFINITE
    assert not result.converged


def test_an_operator_that_returns_nan_is_noticed():
    with pytest.warns(NotConvergedWarning, match="iteration 1: A returned NaN or Inf"):
        result = conjugate_directions(lambda q: q * torch.nan, RHS)
    assert result.reason is StopReason.BREAKDOWN


def test_rounding_and_limits_are_told_apart():
    with pytest.warns(NotConvergedWarning, match="rounding"):
        result = conjugate_directions(torch_csr(torch.float32), RHS.float(), tol=1e-9)
    assert result.reason is StopReason.ROUNDING
    with pytest.warns(NotConvergedWarning, match="stopped at max_iterations"):
        result = conjugate_directions(MATRIX, RHS, max_iterations=3)
    assert (result.reason, result.iterations) == (StopReason.MAX_ITERATIONS, 3)
    assert result.residuals[-1] == pytest.approx(true_residual(result.solution))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (dict(memory=9), ValueError, "memory must be from 0 to 8, got 9"),
        (dict(memory=1.5), TypeError, "memory must be a whole number"),
        (dict(tol=0), ValueError, "tol must be a positive number"),
        (dict(max_iterations=-1), ValueError, "max_iterations must not be negative"),
        (dict(propose=3), TypeError, "propose must be a function"),
        (dict(b=RHS.int()), TypeError, "b must be float32 or float64"),
        (dict(b=RHS * torch.nan), ValueError, "b has NaN or Inf"),
        (dict(b=[1.0]), TypeError, "b must be a torch tensor or a NumPy array, got list"),
        (dict(b=RHS[:-1]), ValueError, "a must have the shape"),
        (dict(b=RHS.reshape(SHAPE)), ValueError, "b must be a vector where a is a matrix"),
        (dict(x0=RHS.float()), ValueError, "x0 must have b's shape"),
        (dict(a="A"), TypeError, "a must be a matrix"),
        (dict(a=torch.eye(len(RHS))), TypeError, "a must have b's dtype"),
        (dict(a=MATRIX * 1j), TypeError, "a must be real"),
        (dict(a=lambda q: q[:-1]), ValueError, "a must return b's shape"),
        (dict(a=lambda q: q.numpy()), TypeError, "a must return a tensor"),
    ],
)
def test_refuses_what_does_not_fit(change, error, message):
    given = dict(a=MATRIX, b=RHS) | change
    with pytest.raises(error, match=message):
        conjugate_directions(given.pop("a"), given.pop("b"), **given)


def test_nothing_is_differentiated():
    weight = torch.ones_like(RHS, requires_grad=True)
    result = conjugate_directions(MATRIX, RHS.clone().requires_grad_(), lambda r: weight * r)
    assert not result.solution.requires_grad
