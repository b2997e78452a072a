import numpy as np
import pytest
import torch

from fastsciml.directions.lanczos import lanczos
from fastsciml.directions.matrix import Matrix
from fastsciml.directions.problems import direction_problem
from fastsciml.solvers import PoissonSolver


def basis_of(a, start, steps, folder, **options):
    return lanczos(
        lambda x: (a @ x).astype(np.float32), start.astype(np.float32), steps, folder / "basis.npy", **options
    )


def random_matrix(values, seed=0):
    q, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal((len(values), len(values))))
    return (q * values) @ q.T


def dense(matrix):
    n = int(np.prod(matrix.shape))
    return np.stack([matrix.apply_flat(row) for row in np.eye(n, dtype=np.float32)], 1)


def test_ritz_values_of_a_whole_basis_are_the_eigenvalues(tmp_path):
    a = random_matrix(np.linspace(0.1, 3, 40))
    basis = basis_of(a, np.random.randn(40), 40, tmp_path)
    q = np.array(basis.vectors, dtype=np.float64)
    assert abs(q @ q.T - np.eye(40)).max() < 1e-6
    np.testing.assert_allclose(basis.ritz()[0], np.linalg.eigh(a)[0], atol=1e-5)


def test_first_ritz_values_come_close_to_both_ends_of_the_spectrum(tmp_path):
    a = random_matrix(np.concatenate([[0.01, 0.1], np.linspace(1, 2, 200), [3, 4]]))
    basis = basis_of(a, np.random.randn(len(a)), 60, tmp_path)
    values, coordinates = basis.ritz()
    np.testing.assert_allclose(values[[0, 1, -2, -1]], [0.01, 0.1, 3, 4], rtol=1e-4)
    vector = basis.vectors.T @ coordinates[:, 0]
    assert np.linalg.norm(a @ vector - values[0] * vector) < 1e-5
    assert abs(basis.vectors @ basis.vectors.T - np.eye(60)).max() < 1e-6


def test_tiny_ritz_values_are_dropped(tmp_path):
    a = random_matrix(np.concatenate([[0.0], np.linspace(1, 2, 9)]))
    projected = a.astype(np.float64)
    basis = lanczos(
        lambda x: (projected @ x.astype(np.float64)).astype(np.float32),
        np.ones(10, dtype=np.float32),
        10,
        tmp_path / "basis.npy",
    )
    values, coordinates = basis.ritz()
    assert values.min() > 1e-8 * values.max()
    assert coordinates.shape == (len(basis.alphas), len(values))


def test_basis_ends_where_the_krylov_space_does(tmp_path):
    a = np.diag([1.0] * 5 + [2.0] * 5 + [4.0] * 5)
    basis = basis_of(a, np.random.randn(15), 12, tmp_path)
    assert basis.vectors.shape == (3, 15)
    np.testing.assert_allclose(basis.ritz()[0], [1, 2, 4], rtol=1e-5)
    again = basis_of(a, np.random.randn(15), 12, tmp_path)
    assert again.vectors.shape == (3, 15)


@pytest.mark.parametrize("name", ["plume", "box", "obstacles"])
def test_vectors_are_zero_where_there_is_no_unknown(tmp_path, name):
    matrix = Matrix(direction_problem(name, (8, 8, 8), seed=1))
    start = matrix.apply_flat(matrix.restrict_flat(np.random.randn(512).astype(np.float32)))
    basis = lanczos(matrix.apply_flat, start, 30, tmp_path / "basis.npy")
    if matrix.unknown is not None:
        assert not basis.vectors[:, ~matrix.unknown.reshape(-1).numpy()].any()
    eigenvalues = np.linalg.eigvalsh(dense(matrix))
    assert basis.ritz()[0][-1] == pytest.approx(eigenvalues[-1], rel=1e-3)
    assert basis.ritz()[0][0] > 0.99 * eigenvalues[eigenvalues > 1e-4][0]


def test_free_constants_are_projected_out(tmp_path):
    solver = PoissonSolver((6, 6, 6), boundary="neumann", method="multigrid", dtype=torch.float32)
    matrix = Matrix(solver)
    start = matrix.apply_flat(matrix.restrict_flat(np.random.randn(216).astype(np.float32)))
    basis = lanczos(matrix.apply_flat, start, 40, tmp_path / "basis.npy", project=matrix.restrict_flat)
    assert abs(basis.vectors.sum(1)).max() < 1e-4
    assert basis.ritz()[0][0] > 0.9 * np.linalg.eigvalsh(dense(matrix))[1]


def test_other_matrix_or_number_is_refused(tmp_path):
    a, start = np.eye(9) + np.diag(np.arange(9.0)), np.ones(9)
    basis_of(a, start, 4, tmp_path, about="one")
    with pytest.raises(ValueError, match="holds other data"):
        basis_of(a, start, 4, tmp_path, about="another")
    with pytest.raises(ValueError, match="holds other data"):
        basis_of(a, start, 5, tmp_path, about="one")
    with pytest.raises(ValueError, match="steps must lie between 1 and the 9"):
        basis_of(a, start, 10, tmp_path)
    with pytest.raises(ValueError, match="start must be finite and not 0"):
        basis_of(a, 0 * start, 4, tmp_path)


@pytest.mark.parametrize("steps", [4, 9], ids=["all-steps", "breakdown"])
def test_run_killed_before_the_last_renaming_is_finished(tmp_path, steps):
    a = np.diag([1.0, 1, 2, 2, 3, 3, 4, 4, 5])
    basis = basis_of(a, np.ones(9), steps, tmp_path)
    vectors = np.array(basis.vectors)
    (tmp_path / "basis.npy").rename(tmp_path / "basis.npy.partial")
    again = basis_of(a, np.ones(9), steps, tmp_path)
    np.testing.assert_array_equal(again.vectors, vectors)
    np.testing.assert_array_equal(again.alphas, basis.alphas)
    assert (tmp_path / "basis.npy").exists()


def test_broken_file_is_refused(tmp_path):
    a = np.diag(np.arange(1.0, 10))
    basis_of(a, np.ones(9), 4, tmp_path)
    (tmp_path / "basis.npy").write_bytes(b"no array")
    with pytest.raises(ValueError, match="cannot be read as an array"):
        basis_of(a, np.ones(9), 4, tmp_path)


def test_stretched_grids_and_batches_are_refused():
    spacing = (np.array([1.0, 2, 1, 1]), 1.0)
    with pytest.raises(ValueError, match="uniform spacing"):
        Matrix(PoissonSolver((4, 4), spacing=spacing))
    with pytest.raises(ValueError, match="one problem"):
        Matrix(PoissonSolver((4, 4), solid=np.arange(32).reshape(2, 4, 4) % 5 == 0))
