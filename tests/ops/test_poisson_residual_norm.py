import pytest
import torch

from fastsciml.ops.poisson_residual_norm import poisson_residual_norm, poisson_residual_norm_definition
from fastsciml.solvers.boundary import parse_boundary
from fastsciml.solvers.discretisation import Discretisation, Fill
from fastsciml.solvers.grid import make_grid


def problem(boundary, filled, dtype):
    shape = (5, 7, 18)
    grid = make_grid(shape, (1.0, 0.5, 2.0), parse_boundary(boundary, 3))
    fill = Fill()
    if filled:
        faces = [torch.rand([n + (a == b) for b, n in enumerate(shape)], dtype=dtype) for a in range(3)]
        fill = Fill(torch.rand(shape) < 0.2, torch.rand(shape) < 0.1, faces, torch.rand(shape, dtype=dtype))
    a = Discretisation(grid, fill, dtype).operator
    u, f = torch.randn(2, *shape, dtype=dtype)
    return u, f, a.couplings, a.periodic, a.faces, a.coefficient, a.alpha


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("filled", [False, True])
@pytest.mark.parametrize("boundary", ["dirichlet", "periodic"])
def test_agrees_with_the_definition(boundary, filled, dtype, threads):
    arguments = problem(boundary, filled, dtype)
    tolerance = 1e-6 if dtype == torch.float32 else 1e-13
    reference = float(poisson_residual_norm_definition(*arguments))
    assert poisson_residual_norm(*arguments) == pytest.approx(reference, rel=tolerance)


def test_opcheck():
    *arguments, coefficient, alpha = problem("dirichlet", True, torch.float64)
    torch.library.opcheck(
        torch.ops.fastsciml.poisson_residual_norm.default,
        (*arguments, coefficient, alpha),
        test_utils=["test_schema", "test_faketensor"],
    )


def test_refuses_what_does_not_fit():
    u, f, *rest = problem("dirichlet", False, torch.float64)
    with pytest.raises(RuntimeError, match="f must have the shape"):
        poisson_residual_norm(u, f[1:].contiguous(), *rest)
    with pytest.raises(RuntimeError, match="f has the wrong dtype"):
        poisson_residual_norm(u, f.float(), *rest)
