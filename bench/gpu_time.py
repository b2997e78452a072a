"""Seconds on a CUDA device, by its own events."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from .measure import interleave

COPIED_BYTES = 2**30  # many times any L2 cache
ROUNDS = 5


@dataclass(frozen=True)
class OnDevice:
    """What `interleave` takes as a competitor's own time."""

    seconds: float


def timed(run: Callable[[], object], calls: int = 20) -> Callable[[], OnDevice]:
    """A competitor: `calls` calls one after another, timed by events around them all."""

    def competitor() -> OnDevice:
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        begin.record()
        for _ in range(calls):
            run()
        end.record()
        end.synchronize()
        return OnDevice(1e-3 * begin.elapsed_time(end) / calls)

    return competitor


def captured(run: Callable[[], object]) -> Callable[[], None]:
    """`run` as a CUDA graph, so that its time is the device's and not Python's."""
    with torch.cuda.stream(torch.cuda.Stream()):  # type: ignore[no-untyped-call]
        for _ in range(3):
            run()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        kept = run()

    def replay(kept: object = kept) -> None:  # the outputs' memory belongs to the graph
        graph.replay()

    return replay


def copy_bandwidth() -> float:
    """Bytes per second that a copy reads and writes, the best of a few rounds."""
    source = torch.ones(COPIED_BYTES // 4, device="cuda")
    target = torch.empty_like(source)
    timing = interleave({"copy": timed(lambda: target.copy_(source))}, ROUNDS)["copy"]
    return 2 * COPIED_BYTES / min(timing.seconds)
