import numpy as np
import pytest
import torch

from fastsciml import PoissonSolver
from fastsciml.directions import MultigridDirection

MIXED = [("neumann", "dirichlet"), "neumann", "periodic"]


def ball(shape):
    axes = np.meshgrid(*((np.arange(n) + 0.5) / n - 0.4 for n in shape), indexing="ij")
    return sum(x * x for x in axes) < 0.2**2


def learned(dims):
    network = MultigridDirection(dims)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return network


PROBLEMS = {
    "box": ((12, 10, 14), {}),
    # A periodic axis that is odd on a coarse level would cost the symmetry.
    "ball": ((20, 18, 32), {"boundary": MIXED, "solid": ball((20, 18, 32))}),
    "odd": ((13, 17, 11), {"boundary": ["dirichlet", "neumann", "dirichlet"], "solid": ball((13, 17, 11))}),
    "fixed": ((12, 12, 12), {"boundary": "neumann", "fixed": ball((12, 12, 12))}),
    "coefficient": ((12, 9, 10), {"coefficient": 0.1 + np.random.default_rng(0).random((12, 9, 10))}),
    "plane": ((24, 32), {"boundary": MIXED[:2], "solid": ball((24, 32))}),
}


@pytest.fixture(params=PROBLEMS)
def solver(request):
    shape, options = PROBLEMS[request.param]
    if "coefficient" in options:
        options = {"coefficient": options["coefficient"].astype(np.float32)}
    return PoissonSolver(shape, spacing=1 / shape[0], dtype=torch.float32, method="multigrid", **options)


def fields(solver, count):
    unknown = solver._samples[0].placed.unknown
    r = torch.randn(count, 1, *solver.shape)
    return r if unknown is None else r * unknown.reshape(solver.shape)


def test_the_kernels_do_what_is_trained(solver):
    network, r = learned(len(solver.shape)), fields(solver, 2)
    propose = network.bound_to(solver)
    trained = propose(r)
    assert trained.requires_grad
    with torch.no_grad():
        used = propose(r)
    # The kernels' relaxation is rounded, by less than a thousandth, so that its products are exact.
    assert float((trained - used).detach().norm()) < 2e-3 * float(used.norm())


def test_is_symmetric_and_positive(solver):
    """Whatever its parameters: conjugate gradients may use it as it is."""
    r = fields(solver, 6)
    with torch.no_grad():
        z = learned(len(solver.shape)).bound_to(solver)(r)
    products = r.flatten(1).double() @ z.flatten(1).double().T
    assert float((products - products.T).abs().max()) < 1e-5 * float(products.diagonal().max())
    assert torch.linalg.eigvalsh(products).min() > 0


def test_untrained_it_is_the_plain_cycle():
    solver = PoissonSolver((12, 10, 14), spacing=1 / 12, method="multigrid")
    r = torch.randn(1, 1, 12, 10, 14)
    with torch.no_grad():
        z = MultigridDirection(3).bound_to(solver)(r)
    plain = torch.from_numpy(solver.preconditioner() @ r.double().numpy().reshape(-1)).reshape(r.shape)
    # Lengths do not matter for a direction.
    cosine = (z * plain).sum() / z.norm() / plain.norm()
    assert cosine > 1 - 1e-6


def test_gradients_of_the_parameters():
    """Against differences of what is trained, in float64."""
    solver = PoissonSolver((8, 6, 8), solid=ball((8, 6, 8)), spacing=1 / 8, method="multigrid")
    network = learned(3).double()
    propose = network.bound_to(solver)
    r, w = torch.randn(2, 1, 1, 8, 6, 8, dtype=torch.float64)
    r, w = (t * solver._samples[0].unknown for t in (r, w))
    (propose(r) * w).sum().backward()
    for parameter in network.parameters():
        for entry in range(parameter.numel()):
            values = []
            for step in (1e-4, -1e-4):
                with torch.no_grad():
                    parameter.view(-1)[entry] += step
                values.append(float((propose(r) * w).sum().detach()))
                with torch.no_grad():
                    parameter.view(-1)[entry] -= step
            assert float(parameter.grad.view(-1)[entry]) == pytest.approx(
                (values[0] - values[1]) / 2e-4, rel=1e-3, abs=1e-6
            )


def test_refuses_other_dimensions():
    with pytest.raises(ValueError, match="dims must be 2 or 3"):
        MultigridDirection(1)
    with pytest.raises(ValueError, match="for 3 dimensions does not fit a problem of shape"):
        MultigridDirection(3).bound_to(PoissonSolver((8, 8)))
    with pytest.raises(TypeError, match="bound_to"):
        MultigridDirection(3)(torch.randn(1, 1, 8, 8, 8))
