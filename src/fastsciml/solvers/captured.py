"""V-cycles as CUDA graphs: all launches of a call in one."""

from __future__ import annotations

import torch
from torch import Tensor

from fastsciml.ops.multigrid_v_cycle import multigrid_v_cycle
from fastsciml.solvers.hierarchy import Hierarchy


class CapturedCycles:
    """`multigrid_v_cycle`, replayed on a CUDA device from the third call with the same arrays on.

    A graph holds the arrays' addresses, so that their owner must be the graph's. The first call runs plainly, which
    loads the kernels; the second one is captured. Where somebody captures a graph already, calls become part of that.
    """

    def __init__(self) -> None:
        self._graphs: dict[tuple[int | bool, ...], torch.cuda.CUDAGraph | None] = {}

    def __call__(self, rhs: Tensor, out: Tensor, hierarchy: Hierarchy, workspace: Tensor, cycles: int) -> None:
        """As `multigrid_v_cycle`."""
        if rhs.device.type != "cuda" or not torch.cuda.is_available() or torch.cuda.is_current_stream_capturing():
            return multigrid_v_cycle(rhs, out, hierarchy, workspace, cycles)
        key = (rhs.data_ptr(), out.data_ptr(), workspace.data_ptr(), hierarchy.symmetric, cycles)
        if key not in self._graphs:
            self._graphs[key] = None
            return multigrid_v_cycle(rhs, out, hierarchy, workspace, cycles)
        graph = self._graphs[key]
        if graph is None:
            graph = self._graphs[key] = torch.cuda.CUDAGraph()
            # The current stream may be the default one, which cannot be captured. Other threads go on as they were.
            with torch.cuda.device(rhs.device), torch.cuda.stream(torch.cuda.Stream()):  # type: ignore[no-untyped-call]
                graph.capture_begin(capture_error_mode="thread_local")
                multigrid_v_cycle(rhs, out, hierarchy, workspace, cycles)
                graph.capture_end()
        graph.replay()
