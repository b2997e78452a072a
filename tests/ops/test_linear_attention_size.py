"""Linear attention over a million tokens: offsets beyond 32 bits, and memory that grows with N d alone."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from fastsciml.ops import linear_attention
from fastsciml.ops.linear_attention import linear_attention_definition

MILLION = 10**6

PEAK = """
import torch
from bench.memory import RESET, resident
from fastsciml.ops import linear_attention

def run(n):
    q, k, v = (torch.randn(1, 1, n, 64).requires_grad_() for _ in range(3))
    decay = torch.full((1, 1, n), 0.99).requires_grad_()
    linear_attention(q, k, v, causal=True, decay=decay).sum().backward()

run(100)
before = resident("VmRSS")
RESET.write_text("5")
run(2**17)
print((resident("VmHWM") - before) / (2**17 * 64 * 4))
"""


@pytest.mark.slow
@pytest.mark.parametrize("device", ["cpu", *(["cuda"] if torch.cuda.is_available() else [])])
def test_offsets_beyond_32_bits(device):
    """34 heads of a million tokens have 2.2e9 elements. Heads of zeros take no memory on the CPU."""
    heads, depth, tail, seen = 34, 64, 500, 1500
    q = torch.zeros(1, heads, MILLION, depth, dtype=torch.bfloat16, device=device)
    assert q.numel() > 2**31
    k = torch.randn(1, 1, MILLION, depth, device=device).bfloat16()
    v = torch.randn(1, 1, MILLION, 1, device=device).bfloat16()
    q[:, -1, -seen:] = torch.randn(seen, depth).bfloat16().to(device)
    decay = torch.full((heads,), 0.9, device=device)
    out = linear_attention(q, k, v, causal=True, decay=decay)
    log_decay = decay.log()[None, -1:, None].expand(1, 1, seen).double()
    end = (t[:, -1:, -seen:].double() for t in (q, k, v))
    expected, _ = linear_attention_definition(*end, log_decay)
    torch.testing.assert_close(out[:, -1:, -tail:].double(), expected[:, :, -tail:], rtol=2e-2, atol=0.2)
    assert not out[:, :-1].any()


@pytest.mark.slow
@pytest.mark.parametrize("device", ["cpu", *(["cuda"] if torch.cuda.is_available() else [])])
def test_gradients_of_a_million_tokens(device):
    tensors = [torch.randn(1, 1, MILLION, 16, device=device).requires_grad_() for _ in range(3)]
    decay = (torch.rand(1, 1, MILLION, device=device) * 0.2 + 0.7).requires_grad_()
    dout = torch.randn(1, 1, MILLION, 16, device=device)
    gradients = torch.autograd.grad(linear_attention(*tensors, causal=True, decay=decay), [*tensors, decay], dout)
    seen = 1500
    ends = [t[:, :, -seen:].detach().double().requires_grad_() for t in (*tensors, decay)]
    out, _ = linear_attention_definition(*ends[:3], ends[3].log())
    expected = torch.autograd.grad(out, ends, dout[:, :, -seen:].double())
    for found, exact in zip(gradients, expected, strict=True):
        torch.testing.assert_close(found[:, :, -500:].double(), exact[:, :, -500:], rtol=1e-3, atol=1e-4)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux")
def test_memory_is_the_tensors_and_a_few_states():
    """Q, k, v, out and their gradients are eight tensors of N d; the rest is a state per segment of three scans."""
    root = Path(__file__).parents[2]
    path = os.pathsep.join([str(root), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-c", PEAK], env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert float(done.stdout) < 9
