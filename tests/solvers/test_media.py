"""Coefficients, fixed cells, alpha as an array, stretched and vertex-centred grids, against sparse LU."""

import numpy as np
import pytest
import scipy.sparse as sparse
import torch
from scipy.sparse.linalg import cg, spsolve
from torch.autograd import gradcheck, gradgradcheck

from fastsciml import Dirichlet, Neumann, PoissonSolver, Robin, solve_poisson
from fastsciml.data import poisson_matrix
from fastsciml.solvers import StopReason

MIXED = [("neumann", "dirichlet"), "periodic", "neumann"]


def boundaries(dims):
    return [
        ["dirichlet"] * dims,
        MIXED[:dims],
        [(Robin(1.0, 0.5), "dirichlet"), ("dirichlet", "neumann"), Robin(2.0, 0.1)][:dims],
    ]


def spacings(shape, boundary, centering, stretched):
    if not stretched:
        return [0.5, 1.0, 0.7][: len(shape)]
    lengths = []
    for n, pair in zip(shape, boundary, strict=True):
        names = (pair, pair) if not isinstance(pair, tuple) else pair
        vertex = centering == "vertex" and names[0] != "periodic"
        count = n - 1 + sum(name == "dirichlet" for name in names) if vertex else n
        lengths.append(np.random.uniform(0.3, 1.5, count))
    return lengths


def direct(rhs, fixed, value, **problem):
    """Sparse LU, where the matrix is regular."""
    matrix = poisson_matrix(rhs.shape, **problem, fixed=fixed)
    everything = poisson_matrix(rhs.shape, **problem)
    solid = problem.get("solid")
    unknown = ~(fixed | (np.zeros_like(fixed) if solid is None else solid))
    b = np.where(unknown, rhs - (everything @ np.where(fixed, value, 0).ravel()).reshape(rhs.shape), 0)
    empty = sparse.diags_array((matrix.diagonal() == 0).astype(float))
    u = spsolve((matrix + empty).tocsc(), b.ravel()).reshape(rhs.shape)
    return np.where(fixed, value, u)


@pytest.mark.parametrize("given", ["cells", "faces"])
@pytest.mark.parametrize("stretched", [False, True])
@pytest.mark.parametrize("centering", ["cell", "vertex"])
@pytest.mark.parametrize("which", [0, 1, 2])
@pytest.mark.parametrize("shape", [(17,), (9, 12), (6, 7, 9)], ids=str)
def test_everything_at_once_agrees_with_sparse_lu(shape, which, centering, stretched, given):
    boundary = boundaries(len(shape))[which]
    rhs, value = np.random.randn(2, *shape)
    solid, fixed = np.random.rand(*shape) < 0.1, np.random.rand(*shape) < 0.1
    fixed &= ~solid
    alpha = np.random.rand(*shape) + 0.1
    if given == "cells":
        coefficient = np.exp(2 * np.random.randn(*shape))
    else:
        coefficient = [np.exp(np.random.randn(*[n + (a == b) for b, n in enumerate(shape)])) for a in range(len(shape))]
        for a, pair in enumerate(boundary):
            if pair == "periodic":
                np.moveaxis(coefficient[a], a, 0)[-1] = np.moveaxis(coefficient[a], a, 0)[0]
    problem = {
        "spacing": spacings(shape, boundary, centering, stretched),
        "boundary": boundary,
        "centering": centering,
        "coefficient": coefficient,
        "alpha": alpha,
        "solid": solid,
    }
    result = solve_poisson(rhs, fixed=fixed, fixed_value=value, tol=1e-11, **problem)
    assert result.converged, str(result)
    reference = direct(rhs, fixed, value, **problem)
    assert np.linalg.norm(result.solution - reference) <= 1e-8 * np.linalg.norm(reference)


@pytest.mark.parametrize("contrast", [1e-6, 1e6])
@pytest.mark.parametrize("boundary", ["dirichlet", [("neumann", "dirichlet"), "neumann", "neumann"]], ids=str)
@pytest.mark.parametrize("pattern", ["ball", "layers"])
def test_jumps_of_a_million_leave_the_convergence(pattern, boundary, contrast):
    n = 32
    x = torch.stack(torch.meshgrid(*[(torch.arange(n) + 0.5) / n] * 3, indexing="ij")).double()
    inside = ((x - 0.5) ** 2).sum(0) < 0.09 if pattern == "ball" else (x[0] * 5.3).floor() % 2 == 0
    coefficient = torch.where(inside, contrast, 1.0).double()
    rhs = torch.randn(n, n, n, dtype=torch.float64)
    result = solve_poisson(rhs, spacing=1 / n, boundary=boundary, coefficient=coefficient, tol=1e-8)
    assert result.converged
    # Good conductors that only poor ones join to a held end are constants to float32.
    assert result.iterations <= (120 if pattern == "layers" and boundary != "dirichlet" else 20)


@pytest.mark.parametrize("ratio", [1.05, 1.2])
@pytest.mark.parametrize("boundary", ["dirichlet", [("neumann", "dirichlet"), "neumann", "neumann"]], ids=str)
def test_stretching_leaves_the_convergence(boundary, ratio):
    widths = ratio ** np.arange(32)
    rhs = torch.randn(32, 32, 32, dtype=torch.float64)
    result = solve_poisson(rhs, spacing=[widths / widths.sum()] * 3, boundary=boundary, tol=1e-9)
    assert result.converged
    assert result.iterations <= 15


def test_fixed_cells_hold_and_a_single_one_makes_the_problem_regular():
    fixed = torch.zeros(20, 24, dtype=torch.bool)
    fixed[3, 4] = True
    rhs = torch.ones(20, 24, dtype=torch.float64)
    result = solve_poisson(rhs, boundary="neumann", fixed=fixed, fixed_value=2.5, nullspace="raise", tol=1e-10)
    assert result.converged
    assert result.solution[3, 4] == 2.5
    assert result.unknowns == 479


@pytest.mark.parametrize("centering", ["cell", "vertex"])
@pytest.mark.parametrize("boundary", ["dirichlet", "neumann", "periodic", [("neumann", "dirichlet"), "dirichlet"]])
def test_methods_agree(boundary, centering):
    rhs = torch.randn(24, 30, dtype=torch.float64)
    problem = {"spacing": 0.3, "boundary": boundary, "centering": centering, "tol": 1e-10, "alpha": 0.1}
    results = {m: solve_poisson(rhs, method=m, **problem) for m in ("auto", "multigrid", "fft", "cg")}
    for result in results.values():
        assert result.converged
        torch.testing.assert_close(result.solution, results["multigrid"].solution, rtol=1e-6, atol=1e-6)
    assert results["auto"].method == "fft" or centering == "vertex"


def test_full_multigrid_stops_after_one_pass():
    rhs = torch.randn(32, 32, 32, dtype=torch.float64)
    result = solve_poisson(rhs, method="fmg")
    assert result.iterations == 1
    assert result.reason is StopReason.ONE_PASS
    assert not result.converged
    assert solve_poisson(rhs, method="fmg", tol=0.5).converged


def test_samples_of_a_batch_have_masks_and_coefficients_of_their_own():
    rhs = torch.randn(3, 8, 10, dtype=torch.float64)
    solid = torch.rand(3, 8, 10) < 0.2
    coefficient = torch.rand(3, 8, 10, dtype=torch.float64) + 0.1
    batch = solve_poisson(rhs, dims=2, solid=solid, coefficient=coefficient)
    for i in range(3):
        alone = solve_poisson(rhs[i], solid=solid[i], coefficient=coefficient[i])
        assert torch.equal(batch.solution[i], alone.solution)
    assert batch.unknowns == int((~solid).sum())


@pytest.mark.parametrize("stretched", [False, True])
@pytest.mark.parametrize("given", ["cells", "faces"])
def test_gradients_of_every_input(given, stretched):
    shape = (4, 5)
    spacing = [np.random.rand(n) + 0.5 for n in shape] if stretched else 0.7
    fixed = torch.zeros(shape, dtype=torch.bool)
    fixed[1, 2] = True
    rhs = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    value = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    edge = torch.randn(5, dtype=torch.float64, requires_grad=True)
    alpha = torch.rand(shape, dtype=torch.float64, requires_grad=True)
    sizes = [shape] if given == "cells" else [(5, 5), (4, 6)]
    coefficient = [torch.rand(size, dtype=torch.float64).add(0.5).requires_grad_() for size in sizes]

    def solution(f, g, e, a, *k):
        return solve_poisson(
            f,
            spacing=spacing,
            boundary=[(Dirichlet(e), Neumann(e)), "neumann"],
            fixed=fixed,
            fixed_value=g,
            alpha=a,
            coefficient=k[0] if given == "cells" else list(k),
            tol=1e-13,
        ).solution

    inputs = (rhs, value, edge, alpha, *coefficient)
    assert gradcheck(solution, inputs)
    assert gradgradcheck(lambda *x: solution(*x) ** 2, inputs)


@pytest.mark.parametrize("stretched", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_scipy_takes_the_operator_and_the_preconditioner(masked, stretched):
    shape = (12, 14, 16)
    spacing = [np.random.rand(n) + 0.5 for n in shape] if stretched else 1.0
    solid = np.random.rand(*shape) < 0.1 if masked else None
    solver = PoissonSolver(shape, spacing=spacing, boundary=[("neumann", "dirichlet")] * 3, solid=solid)
    a, b = solver.as_linear_operator(by_volume=True), solver.preconditioner(by_volume=True)
    matrix = poisson_matrix(shape, spacing, [("neumann", "dirichlet")] * 3, solid)
    x, y = np.random.randn(2, *shape) * (1 if solid is None else ~solid)
    volumes = solver.volumes.numpy().ravel()
    np.testing.assert_allclose(a @ x.ravel(), volumes * (matrix @ x.ravel()), atol=1e-12)
    left, right = (b @ x.ravel()) @ y.ravel(), x.ravel() @ (b @ y.ravel())
    assert abs(left - right) <= 1e-5 * np.linalg.norm(b @ x.ravel()) * np.linalg.norm(y)
    steps = []
    u, info = cg(a, volumes * x.ravel(), M=b, rtol=1e-8, callback=lambda _: steps.append(1))
    assert info == 0
    assert len(steps) <= 15
    assert np.linalg.norm(x.ravel() - matrix @ u) <= 1e-6 * np.linalg.norm(x)


def test_a_callback_sees_every_iterate():
    seen = []
    rhs = torch.randn(12, 12, dtype=torch.float64)
    result = solve_poisson(rhs, method="multigrid", callback=lambda *step: seen.append((*step[:2], step[2].clone())))
    assert [step[0] for step in seen] == list(range(1, result.iterations + 1))
    assert torch.equal(seen[-1][2], result.solution)
    assert result.bytes_moved > 0


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({"coefficient": -1.0}, ValueError, "coefficient must be finite and positive"),
        (
            {"coefficient": torch.zeros(4, 5, dtype=torch.float64)},
            ValueError,
            "coefficient must be finite and positive",
        ),
        ({"coefficient": torch.ones(5, 4, dtype=torch.float64)}, ValueError, "coefficient must have the shape"),
        ({"coefficient": [torch.ones(5, 5, dtype=torch.float64)]}, ValueError, "one array per axis"),
        ({"coefficient": "steel"}, TypeError, "coefficient must be a number"),
        ({"alpha": -torch.ones(4, 5, dtype=torch.float64)}, ValueError, "would leave A indefinite"),
        ({"fixed": torch.ones(4, 5, dtype=torch.bool)}, ValueError, "fixed leaves no cell with an unknown"),
        ({"fixed_value": 1.0}, ValueError, "fixed_value needs fixed cells"),
        ({"centering": "edge"}, ValueError, "centering must be one of"),
        ({"method": "gmres"}, ValueError, "method must be one of"),
        ({"method": "fft", "boundary": Robin(1.0, 1.0)}, ValueError, 'method="fft" solves boxes'),
        ({"spacing": [np.ones(3), 1.0]}, ValueError, "spacing of axis x must have 4 entries"),
    ],
)
def test_refuses_what_does_not_fit(arguments, kind, message):
    with pytest.raises(kind, match=message):
        solve_poisson(torch.ones(4, 5, dtype=torch.float64), **arguments)
