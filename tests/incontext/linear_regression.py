"""Linear regression tasks, and what constructions for them are measured by."""

import torch
from torch import nn

from fastsciml.nn import InContextBlock, SoftmaxSelfAttention

STANDARD = {nn.ModuleList, nn.Sequential, InContextBlock, SoftmaxSelfAttention, nn.Linear, nn.GELU, nn.LayerNorm}


def task(d, examples, batch=3, queries=2, seed=0):
    """Normal x [B, N, d] and x_query [B, Q, d], and y [B, N, 1] that is linear in x up to noise, of float64."""
    generator = torch.Generator().manual_seed(seed)
    x, x_query, w, noise = (
        torch.randn(shape, generator=generator, dtype=torch.float64)
        for shape in ((batch, examples, d), (batch, queries, d), (batch, d, 1), (batch, examples, 1))
    )
    return x, x @ w + 0.1 * noise, x_query


def widest(module):
    """The most hidden units of any MLP."""
    return max(part.out_features for part in module.modules() if isinstance(part, nn.Linear))


def check_close(got, wanted, tolerance=1e-10):
    assert got.shape == wanted.shape
    assert (got - wanted).abs().max() <= tolerance * wanted.abs().max()
