"""Cycles as CUDA graphs: on a device really, elsewhere with graphs that only write down what was called."""

import contextlib

import pytest
import torch

from fastsciml import PoissonSolver
from fastsciml.solvers import captured
from fastsciml.solvers.captured import CapturedCycles


class WrittenGraph:
    """What was called between capture_begin and capture_end did not run; replay runs it."""

    recording = None

    def capture_begin(self, capture_error_mode):
        assert capture_error_mode == "thread_local"
        WrittenGraph.recording = self.calls = []

    def capture_end(self):
        WrittenGraph.recording = None

    def replay(self):
        RUN.extend(("replayed", *call) for call in self.calls)


RUN = []


class Array:
    """An array on a device, as far as its address."""

    device = torch.device("cuda", 0)

    def __init__(self, address):
        self.address = address

    def data_ptr(self):
        return self.address


class Levels:
    symmetric = False


@pytest.fixture
def cycles(monkeypatch):
    def cycle(rhs, out, hierarchy, workspace, number):
        call = (rhs.address, out.address, number)
        RUN.append(("run", *call)) if WrittenGraph.recording is None else WrittenGraph.recording.append(call)

    RUN.clear()
    monkeypatch.setattr(captured, "multigrid_v_cycle", cycle)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: False)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", WrittenGraph)
    monkeypatch.setattr(torch.cuda, "Stream", lambda: None)
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: contextlib.nullcontext())
    monkeypatch.setattr(torch.cuda, "device", lambda device: contextlib.nullcontext())
    made = CapturedCycles()
    return lambda rhs, out, number: made(Array(rhs), Array(out), Levels(), Array(3), number)


def test_the_first_call_runs_and_later_ones_are_replayed(cycles):
    for _ in range(3):
        cycles(1, 2, 3)
    assert RUN == [("run", 1, 2, 3), ("replayed", 1, 2, 3), ("replayed", 1, 2, 3)]


def test_other_arrays_and_other_numbers_of_cycles_have_graphs_of_their_own(cycles):
    calls = [(1, 2, 3), (1, 2, 1), (1, 4, 3)]
    for _ in range(2):
        for call in calls:
            cycles(*call)
    assert RUN[: len(calls)] == [("run", *call) for call in calls]
    assert RUN[len(calls) :] == [("replayed", *call) for call in calls]


def test_becomes_part_of_a_graph_that_is_being_captured(cycles, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: True)
    for _ in range(2):
        cycles(1, 2, 1)
    assert RUN == [("run", 1, 2, 1)] * 2


@pytest.mark.skipif(not torch.cuda.is_available(), reason="NO GPU: cycles are not captured in CUDA graphs")
def test_replayed_cycles_solve_as_the_first_ones_did():
    solver = PoissonSolver((65, 48, 70), device="cuda")
    f = torch.randn(65, 48, 70, dtype=torch.float64, device="cuda")
    first, *others = [solver.solve(f).solution for _ in range(4)]
    assert all(torch.equal(first, other) for other in others)
