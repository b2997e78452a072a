import numpy as np
import pytest
import torch

from fastsciml import solve_poisson

DTYPES = [torch.float32, torch.float64]


def solve(rhs, **arguments):
    return solve_poisson(rhs, tol=1e-5, **arguments).solution


@pytest.mark.parametrize("dtype", DTYPES)
def test_kind_and_dtype_out_are_those_in(dtype):
    rhs = torch.randn(6, 7, dtype=dtype)
    tensor, array = solve(rhs), solve(rhs.numpy())
    assert isinstance(tensor, torch.Tensor)
    assert isinstance(array, np.ndarray)
    assert tensor.dtype == dtype
    assert tensor.shape == rhs.shape
    np.testing.assert_array_equal(tensor.numpy(), array)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "view",
    [
        lambda x: x.transpose(0, 2),
        lambda x: x[::2, 1:, ::3],
        lambda x: x[:, :1].expand(6, 5, 9),
        lambda x: x[0, 0, 0].expand(4, 4, 4),
        lambda x: x.flip(0),
    ],
    ids=["transposed", "strided", "expanded", "one element", "flipped"],
)
def test_layout_does_not_matter(view, dtype):
    rhs = view(torch.randn(6, 8, 9, dtype=dtype))
    guess, solid = torch.zeros(rhs.shape[::-1], dtype=dtype).permute(2, 1, 0), view(torch.rand(6, 8, 9) < 0.2)
    solid = solid if not solid.all() else torch.zeros_like(solid)
    expected = solve(rhs.contiguous(), solid=solid.contiguous(), initial_guess=guess.contiguous())
    assert torch.equal(solve(rhs, solid=solid, initial_guess=guess), expected)
    assert (solve(rhs.numpy(), solid=solid.numpy(), initial_guess=guess.numpy()) == expected.numpy()).all()


@pytest.mark.filterwarnings("error")
def test_arrays_may_be_read_only_and_backwards():
    rhs, solid = np.random.randn(7, 6), np.random.rand(7, 6) < 0.2
    for array in (rhs, solid):
        array.flags.writeable = False
    expected = solve(rhs.copy(), solid=solid.copy())
    np.testing.assert_array_equal(solve(rhs, solid=solid, initial_guess=rhs * 0), expected)
    backwards = np.ascontiguousarray(rhs[::-1, ::-1])[::-1, ::-1]
    np.testing.assert_array_equal(solve(backwards, solid=solid), expected)


def test_kinds_mix():
    rhs, solid = torch.randn(7, 6), torch.rand(7, 6) < 0.2
    expected = solve(rhs, solid=solid, initial_guess=rhs)
    mixed = solve(rhs, solid=solid.numpy(), initial_guess=rhs.numpy())
    assert torch.equal(mixed, expected)


@pytest.mark.filterwarnings("ignore::fastsciml.solvers.RemovedMeanWarning")
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("boundary", ["dirichlet", "neumann", "periodic"])
def test_inputs_are_never_modified_nor_shared(boundary, masked):
    rhs, guess = np.random.randn(6, 8) + 3, np.random.randn(6, 8)
    solid = np.random.rand(6, 8) < 0.3 if masked else None
    kept = [None if a is None else a.copy() for a in (rhs, guess, solid)]
    solution = solve(rhs, boundary=boundary, solid=solid, initial_guess=guess)
    solution[...] = np.nan
    for array, before in zip((rhs, guess, solid), kept, strict=True):
        np.testing.assert_array_equal(array, before)


def test_values_in_solid_cells_are_ignored():
    rhs, solid = torch.randn(6, 8), torch.rand(6, 8) < 0.3
    spoilt = torch.where(solid, torch.nan, rhs)
    solution = solve(spoilt, solid=solid)
    assert torch.equal(solution, solve(rhs, solid=solid))
    assert not solution[solid].any()


@pytest.mark.filterwarnings("ignore::fastsciml.solvers.RemovedMeanWarning")
@pytest.mark.parametrize("boundary", ["dirichlet", "neumann", "periodic"])
def test_a_mask_without_solid_cells_changes_nothing(boundary):
    rhs = torch.randn(6, 8)
    masked = solve(rhs, boundary=boundary, solid=torch.zeros(6, 8, dtype=torch.bool))
    assert torch.equal(masked, solve(rhs, boundary=boundary))
