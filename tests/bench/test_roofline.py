import pytest
import torch

from bench import limits, roofline
from bench.measure import DisagreementError
from bench.report import Settings

TINY = Settings(size=16, quick=True, repetitions=1)


@pytest.fixture(autouse=True)
def _cheap(monkeypatch):
    monkeypatch.setattr(limits, "ELEMENTS", 1 << 10)
    monkeypatch.setattr(limits, "matrix_product", lambda: lambda: torch.ones(1))


def test_every_kernel_gets_a_share():
    kernels, limit = roofline.run(TINY, lambda what: None).figures
    assert [row["kernel"] for row in kernels.rows] == [
        "Poisson operator", "residual norm", "V-cycle", "conjugate step, 2 directions", "sine transforms' solve",
        "EvoNorm S0 forward", "EvoNorm S0 forward + backward", "EvoNorm B0 forward", "EvoNorm B0 forward + backward",
        "linear attention", "Gram attention", "stencil",
    ]  # fmt: skip
    assert all(row["share"].median > 0 for row in kernels.rows)
    assert len(limit.rows) == 1


def test_a_share_is_of_the_nearer_limit():
    kernels = [roofline.Kernel("moves", "", 100.0, 1.0, int), roofline.Kernel("computes", "", 1.0, 100.0, int)]
    measured = roofline.Measured(kernels, [[4.0], [8.0]], copies=[2.0], products=[5.0], copied=100.0, multiplied=100.0)
    assert [measured.share(k).median for k in range(2)] == [0.5, 0.625]
    assert [measured.limited_by(k) for k in range(2)] == ["memory", "arithmetic"]


def test_bytes_and_flops_are_the_kernels_own():
    by_name = {kernel.name: kernel for kernel in roofline.kernels(TINY)}
    assert by_name["Poisson operator"].bytes == 8 * 16**3
    assert by_name["conjugate step, 2 directions"].bytes == (16 + 32) * 16**3
    assert by_name["EvoNorm S0 forward"].bytes == 2 * 4 * 2 * 64 * 56 * 56
    assert by_name["sine transforms' solve"].bytes == 3 * 8 * 16**3  # csrc/spectral/fast_poisson_cpu.cpp
    assert by_name["Gram attention"].flops == 2**13 * (2 * 11**3 + 4 * 11**3 + 2 * 11**3)
    stencil = by_name["stencil"]
    assert stencil.bytes == 192 * 8 * 16 * 16  # csrc/stencils/stencil_cpu.cpp
    assert stencil.flops == 10_368 * 8 * 16 * 16


@pytest.mark.parametrize(
    "name",
    ["poisson_apply", "poisson_residual_norm", "fast_poisson", "gram_attention", "stencil", "evonorm", "attention"],
)
def test_a_wrong_kernel_gets_no_time(name, monkeypatch):
    module = {"evonorm": "bench.evonorm_peers.ours", "attention": "bench.roofline.attention"}.get(
        name, f"bench.roofline.{name}"
    )
    right = getattr(roofline, name)
    monkeypatch.setattr(module, lambda *a, **k: 1.001 * right(*a, **k))
    with pytest.raises(DisagreementError, match="no time is reported"):
        roofline.kernels(TINY)
