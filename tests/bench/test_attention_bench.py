from dataclasses import replace

import pytest
import torch

from bench import attention, attention_memory, attention_peers, limits
from bench.__main__ import SIZES
from bench.attention_peers import CHUNKS, Case, chunked
from bench.measure import DisagreementError
from bench.report import Settings
from fastsciml.ops import linear_attention

TINY = Settings(size=1024, quick=True, repetitions=1)


@pytest.fixture(autouse=True)
def _cheap(monkeypatch):
    """Without what takes seconds: large products, long sequences, processes."""
    monkeypatch.setattr(limits, "matrix_product", lambda: lambda: torch.ones(1))
    monkeypatch.setattr(attention, "FULL_SIZE", 1024)
    monkeypatch.setattr(attention, "LENGTHS", (256, 512))
    monkeypatch.setattr(attention_memory, "peak_tensors", lambda threads: 8.5)


def silent(what):
    pass


def test_a_small_run_measures_everything_and_judges_nothing():
    report = attention.run(TINY, silent)
    assert {judgement.verdict for judgement in report.judgements} == {"not judged"}
    assert all(figures.rows for figures in report.figures)


def test_the_full_run_judges_every_promise():
    report = attention.run(replace(TINY, quick=False), silent)
    assert len(report.judgements) == 7
    assert {judgement.verdict for judgement in report.judgements} <= {"met", "missed"}


def test_a_wrong_result_gets_no_time(monkeypatch):
    case = Case(512)
    functions = [attention_peers.ours, *map(chunked, CHUNKS)]
    case.check(functions)
    monkeypatch.setattr(attention_peers, "linear_attention", lambda *a, **o: linear_attention(*a, **o) * 1.0001)
    with pytest.raises(DisagreementError, match="no time is reported"):
        case.check(functions)


@pytest.mark.skipif(not attention.memory.measurable(), reason="needs Linux")
def test_memory_holds_inputs_output_and_gradients(monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr(attention_memory, "LENGTH", 2**15)
    assert 7 < attention_memory.peak_tensors(1) < 11


def test_the_core_has_its_sizes():
    assert SIZES["attention"] == (16384, 1024)
