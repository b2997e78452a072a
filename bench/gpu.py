"""The CUDA kernels on a GPU: what bench/model.py counts on paper, timed."""

from __future__ import annotations

import torch

from . import gpu_attention, gpu_evonorm, gpu_poisson, gpu_time
from .attention_peers import flash_linear_attention
from .machine import ABSENT
from .measure import DisagreementError, Spread
from .report import Cell, Figures, Judgement, Report, Settings, Target, Tell

FULL_SIZE, QUICK_SIZE = 256, 64


def run(settings: Settings, tell: Tell) -> Report:
    """Raises DisagreementError where there is no CUDA device: nothing here can be measured then."""
    if not torch.cuda.is_available():
        raise DisagreementError("gpu: torch finds no CUDA device, so nothing was measured")
    tell("measuring the copy bandwidth")
    bandwidth = gpu_time.copy_bandwidth()
    poisson, solved = gpu_poisson.figures(settings, bandwidth, tell)
    evonorm = gpu_evonorm.figures(settings, bandwidth, tell)
    attention = gpu_attention.figures(settings, tell)
    return Report(
        "gpu",
        settings,
        _judge(settings, {one.size: one.rate for one in solved}),
        [_device(bandwidth), *poisson, *evonorm, attention],
        [
            f"{settings.repetitions} rounds, competitors in turn; times by the device's events, solves by the clock.",
            "Results agreed with the float64 definitions, and solutions with the equation, before a time was taken.",
        ],
        absent=[f"fla-core is {ABSENT}: flash-linear-attention not compared."]
        if flash_linear_attention() is None
        else [],
    )


def _device(bandwidth: float) -> Figures:
    properties = torch.cuda.get_device_properties(0)
    row: dict[str, Cell] = {
        "device": properties.name,
        "multiprocessors": properties.multi_processor_count,
        "L2, MB": properties.L2_cache_size / 1e6,
        "copy, GB/s": bandwidth / 1e9,
        "torch": torch.__version__,
        "CUDA": torch.version.cuda or "",
    }
    return Figures("The device", [row])


def _judge(settings: Settings, rates: dict[int, float]) -> list[Judgement]:
    n = settings.size
    target = Target(f"solve at {n}^3 to {gpu_poisson.TOLERANCE:g}: G unknowns/s", 1.0, at_least=True)
    rate = Spread.of([rates[n] / 1e9])
    return [target.judge(rate) if n == FULL_SIZE else target.not_judged("not the full run", rate)]
