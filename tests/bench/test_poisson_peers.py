"""The benchmark's problems, their residuals, and the solvers of others."""

import sys

import numpy as np
import pytest
from scipy.sparse import diags_array, kronsum
from scipy.sparse.linalg import spsolve

from bench import memory, petsc, poisson_masked
from bench.measure import DisagreementError
from bench.memory import peak_increase
from bench.petsc import Petsc
from bench.poisson_peers import RugeStuben, SineTransform
from bench.poisson_problems import noisy_ball, noisy_box, plume, smooth_box
from bench.poisson_systems import fluid_system, padded_system
from fastsciml.data import poisson_matrix


def test_the_smooth_problem_is_solved_to_second_order():
    errors = []
    for n in (7, 15):
        problem, solution = smooth_box(n)
        u = SineTransform(problem, 1).solve().u
        errors.append(np.abs(u - solution).max())
    assert 3 < errors[0] / errors[1] < 5


@pytest.mark.parametrize("make", [noisy_box, noisy_ball, plume])
def test_the_residual_is_the_matrix_one(make):
    problem = make(8)
    u = np.random.default_rng(1).standard_normal(problem.shape)
    matrix = poisson_matrix(problem.shape, problem.spacing, problem.boundary, problem.solid)
    f = np.where(problem.fluid, problem.rhs, 0.0)
    expected = np.linalg.norm(f.ravel() - matrix @ u.ravel()) / np.linalg.norm(f)
    assert problem.residual(u) == pytest.approx(expected, rel=1e-12)


def test_the_residual_at_vertices_is_the_matrix_one():
    problem = noisy_box(5, "vertex")
    u = np.random.default_rng(1).standard_normal(problem.shape)
    expected = np.linalg.norm(problem.rhs.ravel() - _vertex_matrix(5) @ u.ravel()) / np.linalg.norm(problem.rhs)
    assert problem.residual(u) == pytest.approx(expected, rel=1e-12)


def _vertex_matrix(n):
    line = diags_array([2.0, -1.0, -1.0], offsets=[0, 1, -1], shape=(n, n)) * (n + 1) ** 2
    return kronsum(kronsum(line, line), line).tocsc()


def test_competitors_solve_the_matrix():
    box, vertices, ball = noisy_box(8), noisy_box(7, "vertex"), noisy_ball(12)
    exact = spsolve(poisson_matrix(box.shape, box.spacing).tocsc(), box.rhs.ravel()).reshape(box.shape)
    np.testing.assert_allclose(SineTransform(box, 1).solve().u, exact, rtol=1e-10, atol=1e-14)
    exact = spsolve(_vertex_matrix(7), vertices.rhs.ravel()).reshape(vertices.shape)
    np.testing.assert_allclose(SineTransform(vertices, 1).solve().u, exact, rtol=1e-10, atol=1e-14)
    vertices.check("fastsciml", vertices.solve(1e-10, "multigrid").u, 1e-10)
    ball.check("fastsciml", ball.solve(1e-10).u, 1e-10)


@pytest.mark.parametrize("make", [fluid_system, padded_system])
def test_a_masked_problem_as_a_matrix_has_its_solution(make):
    ball = noisy_ball(12)
    assert ball.solid.any()
    system = make(ball)
    u = system.on_grid(spsolve(system.matrix.tocsc(), system.rhs))
    ball.check("the matrix", u, 1e-10)
    assert not u[ball.solid].any()


def test_pyamg_solves_the_matrix():
    pytest.importorskip("pyamg")
    peer = RugeStuben(fluid_system(noisy_ball(12)))
    peer.system.problem.check("PyAMG", peer.system.on_grid(peer.solve(1e-10).u), 1e-10)


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
def test_petsc_solves_the_matrix(processes, tmp_path):
    petsc = Petsc.find(processes)
    if petsc is None:
        pytest.skip("petsc4py is not installed")
    ball = noisy_ball(12)
    peers = poisson_masked._petsc_peers(petsc, fluid_system(ball), padded_system(ball), tmp_path)
    for name, peer in peers.items():
        if name != poisson_masked.HYPRE or petsc.has_hypre:
            outcome = peer.solve(1e-9)
            ball.check(name, peer.system.on_grid(outcome.u), 1e-9)
            assert outcome.iterations > 0
            assert outcome.seconds > 0


def test_a_petsc_that_fails_is_none(monkeypatch):
    def fail(command, environment):
        raise ChildProcessError("no petsc4py")

    monkeypatch.setattr(petsc, "_run", fail)
    assert Petsc.find(2) is None


def test_petsc_gets_one_process_where_mpiexec_starts_strangers(monkeypatch):
    """As another MPI's mpiexec does: each process is alone in a world of its own."""
    told = {"version": "3.18.5", "processes": 1, "hypre": True}
    monkeypatch.setattr(petsc, "_run", lambda command, environment: told)
    monkeypatch.setattr(petsc.shutil, "which", lambda name, path=None: f"/bin/{name}")
    found = Petsc.find(2)
    assert (found.processes, found.command[0]) == (1, sys.executable)


def test_solvers_that_disagree_get_no_time():
    box = noisy_box(8)
    peer = SineTransform(box, 1)
    u = peer.solve().u
    peer.check_agreement(box.solve(1e-10).u, u, 1e-10)
    with pytest.raises(DisagreementError, match="differ"):
        peer.check_agreement(u + 1e-6, u, 1e-10)


@pytest.mark.skipif(not memory.measurable(), reason="needs Linux")
def test_memory_holds_inputs_and_solution_at_least():
    problem = noisy_ball(64)
    assert peak_increase(problem, 1e-6, 1) > 2 * problem.rhs.nbytes
