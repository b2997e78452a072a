"""What an installed fastsciml does with any torch, in seconds and without pytest: `python smoke.py`."""

import torch
from torch import nn

import fastsciml
from fastsciml.nn import EvoNormB0, EvoNormS0, InContextLearner, LinearSelfAttention
from fastsciml.operators import MgNO


def solve():
    f = torch.randn(17, 16, 15, dtype=torch.float64, requires_grad=True)
    solid = torch.zeros(17, 16, 15, dtype=torch.bool)
    solid[5:9, 4:8, 3:9] = True
    for method in ("auto", "multigrid", "learned", "cg"):
        result = fastsciml.solve_poisson(f, solid=solid, method=method, tol=1e-9)
        assert result.converged, f"{method}: {result}"
    result.solution.sum().backward()
    assert f.grad.isfinite().all()
    by_sines = fastsciml.solve_poisson(f[:8, :8, :8].detach().numpy(), tol=1e-9)
    assert by_sines.converged
    assert by_sines.method == "fft"


def train(model, *inputs):
    """One step, and the same output and gradients from what `torch.compile` traces."""
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    gradients = []
    for runs in (model, compiled):
        out = runs(*inputs)
        gradients.append([out, *torch.autograd.grad(out.square().mean(), list(model.parameters()))])
    torch.testing.assert_close(*gradients)
    assert all(gradient.isfinite().all() for gradient in gradients[0])


if __name__ == "__main__":
    torch.manual_seed(0)
    print(fastsciml.show_config())
    solve()
    convolution = nn.Conv2d(3, 16, 3)
    train(nn.Sequential(convolution, EvoNormS0(16, groups=4)), torch.randn(2, 3, 9, 9))
    train(nn.Sequential(convolution, EvoNormB0(16).eval()), torch.randn(2, 3, 9, 9))
    train(LinearSelfAttention(32, num_heads=4, causal=True), torch.randn(2, 50, 32))
    train(MgNO.preset("darcy-rough"), torch.randn(1, 1, 33, 33))
    learner = InContextLearner.of_depth(4, 1, 2)
    train(learner, torch.randn(3, 9, 4), torch.randn(3, 9, 1), torch.randn(3, 2, 4))
