import numpy as np
import pytest
import torch
from media import GRIDS, ids_of

from fastsciml.ops.face_coefficients import face_coefficients, face_coefficients_definition
from fastsciml.solvers.grid import make_grid

every_grid = pytest.mark.parametrize(("shape", "spacing", "kinds"), GRIDS, ids=ids_of(GRIDS))
WRAPS = [[0, 0, 0], [1, 0, 1], [1, 1, 1]]


def widths_of(shape, spacing, kinds, dtype):
    axes = make_grid(shape, spacing, kinds).axes
    widths = torch.from_numpy(np.concatenate([axis.widths for axis in axes]))
    return widths.to(dtype), [int(axis.periodic) for axis in axes]


@every_grid
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_agrees_with_the_definition(shape, spacing, kinds, dtype, threads):
    widths, periodic = widths_of(shape, spacing, kinds, dtype)
    cells = torch.exp(2 * torch.randn(shape, dtype=dtype))
    expected = face_coefficients_definition(cells, widths, periodic)
    for got, face in zip(face_coefficients(cells, widths, periodic), expected, strict=True):
        torch.testing.assert_close(got, face, rtol=8 * torch.finfo(dtype).eps, atol=0)


@pytest.mark.parametrize("periodic", WRAPS, ids=str)
@pytest.mark.parametrize("nx", [1, 2, 3, 4])
def test_the_faces_of_a_seam_are_one(nx, periodic):
    cells = torch.rand(nx, 3, 5, dtype=torch.float64) + 0.1
    widths = torch.rand(nx + 8, dtype=torch.float64) + 0.5
    faces = face_coefficients(cells, widths, periodic)
    expected = face_coefficients_definition(cells, widths, periodic)
    torch.testing.assert_close(faces, expected)
    for axis, face in enumerate(faces):
        assert not periodic[axis] or torch.equal(face.select(axis, 0), face.select(axis, cells.shape[axis]))


def test_flow_through_halves_in_series():
    """Conductivity 3 over width 1, then 1 over width 2: (1 + 2) / (1 / 3 + 2 / 1)."""
    cells, widths = torch.tensor([3.0, 1.0]).reshape(1, 1, 2), torch.tensor([1.0, 1.0, 1.0, 2.0])
    x, y, z = face_coefficients(cells, widths, [0, 0, 0])
    assert x.flatten().tolist() == y.flatten().tolist() == [3, 1, 3, 1]
    torch.testing.assert_close(z.flatten(), torch.tensor([3.0, 9 / 7, 1.0]))


@pytest.mark.parametrize("periodic", WRAPS, ids=str)
@pytest.mark.parametrize("shape", [(2, 3, 4), (1, 2, 1), (3, 1, 2)], ids=str)
def test_gradients(shape, periodic):
    cells = (torch.rand(shape, dtype=torch.float64) + 0.2).requires_grad_()
    widths = torch.rand(sum(shape), dtype=torch.float64) + 0.5
    assert torch.autograd.gradcheck(lambda k: face_coefficients(k, widths, periodic), cells)
    assert torch.autograd.gradgradcheck(lambda k: face_coefficients(k, widths, periodic), cells)


def test_opcheck():
    cells, widths = torch.rand(3, 5, 7).add(0.1).requires_grad_(), torch.ones(15)
    torch.library.opcheck(torch.ops.fastsciml.face_coefficients.default, (cells, widths, [0, 1, 0]))


@pytest.mark.parametrize(
    ("cells", "widths", "message"),
    [
        (torch.ones(3, 5), torch.ones(8), "non-empty"),
        (torch.ones(3, 5, 7).half(), torch.ones(15), "float32 or float64"),
        (torch.ones(3, 5, 7), torch.ones(14), "one entry per cell"),
        (torch.ones(3, 5, 7), torch.ones(15, dtype=torch.float64), "widths has the wrong dtype"),
    ],
)
def test_refuses_what_does_not_fit(cells, widths, message):
    with pytest.raises(RuntimeError, match=message):
        face_coefficients(cells, widths, [0, 0, 0])
