import pytest
import torch
from cuda_on_host import host_module

from fastsciml.ops.poisson_residual_norm import poisson_residual_norm, poisson_residual_norm_definition
from fastsciml.solvers.boundary import parse_boundary
from fastsciml.solvers.discretisation import Discretisation, Fill
from fastsciml.solvers.grid import make_grid

BOUNDARIES = ["dirichlet", "neumann", "periodic", ["periodic", ("neumann", "dirichlet"), "neumann"]]
FILLS = ["box", "solid", "coefficient", "everything"]


def problem(boundary, fill, dtype, shape=(5, 7, 18), device="cpu"):
    grid = make_grid(shape, (1.0, 0.5, 2.0), parse_boundary(boundary, 3))
    everything = fill == "everything"

    def some(share):
        mask = torch.rand(shape) < share
        mask.view(-1)[0] = False
        return mask

    faces = [torch.rand([n + (a == b) for b, n in enumerate(shape)], dtype=dtype) for a in range(3)]
    filled = Fill(
        solid=some(0.2) if fill == "solid" or everything else None,
        fixed=some(0.1) if everything else None,
        faces=faces if fill == "coefficient" or everything else None,
        alpha=torch.rand(shape, dtype=dtype) if everything else None,
    )
    a = Discretisation(grid, filled, dtype).operator.to(torch.device(device))
    u, f = torch.randn(2, *shape, dtype=dtype).to(device)
    return u, f, a.couplings, a.periodic, a.faces, a.coefficient, a.alpha


def doubled(given):
    def double(tensor):
        return tensor.double() if torch.is_tensor(tensor) and tensor.is_floating_point() else tensor

    *rest, coefficient, alpha = (double(each) for each in given)
    return *rest, coefficient and [double(face) for face in coefficient], alpha


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("fill", FILLS)
@pytest.mark.parametrize("boundary", BOUNDARIES, ids=str)
@pytest.mark.parametrize("shape", [(5, 7, 18), (1, 1, 1), (1, 6, 2), (9, 1, 33)], ids=str)
def test_agrees_with_the_float64_definition(shape, boundary, fill, dtype, threads, device):
    arguments = problem(boundary, fill, dtype, shape, device)
    reference = float(poisson_residual_norm_definition(*doubled(arguments)))
    assert poisson_residual_norm(*arguments) == pytest.approx(reference, rel=1e-13, abs=1e-30)


def test_a_grid_of_more_cells_than_threads(device):
    """On CUDA each thread has several cells there."""
    arguments = problem("dirichlet", "box", torch.float32, (65, 64, 257), device)
    reference = float(poisson_residual_norm_definition(*doubled(arguments)))
    assert poisson_residual_norm(*arguments) == pytest.approx(reference, rel=1e-12)


@pytest.mark.parametrize("device", ["cuda-host"], indirect=True)
def test_cuda_gives_the_same_in_any_order_of_threads(device):
    arguments = problem("periodic", "everything", torch.float64, (17, 20, 33))
    norms = set()
    try:
        for seed in range(4):
            host_module().set_order(seed)
            norms.add(poisson_residual_norm(*arguments))
    finally:
        host_module().set_order(0)
    assert len(norms) == 1


def test_opcheck():
    *arguments, coefficient, alpha = problem("dirichlet", "everything", torch.float64)
    torch.library.opcheck(
        torch.ops.fastsciml.poisson_residual_norm.default,
        (*arguments, coefficient, alpha),
        test_utils=["test_schema", "test_faketensor"],
    )


def test_refuses_what_does_not_fit(device):
    u, f, *rest = problem("dirichlet", "box", torch.float64, device=device)
    with pytest.raises(RuntimeError, match="f must have the shape"):
        poisson_residual_norm(u, f[1:].contiguous(), *rest)
    with pytest.raises(RuntimeError, match="f has the wrong dtype"):
        poisson_residual_norm(u, f.float(), *rest)
