from dataclasses import replace

import pytest
import torch

from bench import limits, mgno, mgno_memory
from bench.__main__ import SIZES
from bench.measure import DisagreementError
from bench.mgno_peers import Case
from bench.report import Settings
from fastsciml import ops

TINY = Settings(size=32, quick=True, repetitions=1)


@pytest.fixture(autouse=True)
def _cheap(monkeypatch):
    """Without what takes seconds: large products and processes."""
    monkeypatch.setattr(limits, "matrix_product", lambda: lambda: torch.ones(1))
    monkeypatch.setattr(mgno, "FULL_SIZE", 32)
    peaks = {"ours": 5.0, "ours, made anew": 4.0, "contiguous": 10.0, "channels_last": 9.0}
    monkeypatch.setattr(mgno_memory, "peak_tensors", lambda name, threads: peaks[name])


def silent(what):
    pass


def test_a_small_run_measures_everything_and_judges_nothing():
    report = mgno.run(TINY, silent)
    assert {judgement.verdict for judgement in report.judgements} == {"not judged"}
    assert all(figures.rows for figures in report.figures)


def test_the_full_run_judges_every_promise():
    report = mgno.run(replace(TINY, quick=False), silent)
    assert len(report.judgements) == 4
    assert {judgement.verdict for judgement in report.judgements} <= {"met", "missed"}
    of_memory = {j.target.what: j.measured.median for j in report.judgements if "memory" in j.target.what}
    assert sorted(of_memory.values()) == [4 / 9, 5 / 9]


def test_a_wrong_result_gets_no_time(monkeypatch):
    case = Case((17, 12), batch=1, levels=3)
    case.check()
    exact = ops.multigrid_conv
    monkeypatch.setattr(ops, "multigrid_conv", lambda *a, **o: exact(*a, **o) * 1.0001)
    with pytest.raises(DisagreementError, match=r"ours: the output differs by 1\.0e-04"):
        case.check()


def test_flops_are_those_of_the_formulae():
    """Two levels of one point each, one channel: 9 + 2 * 2 * 9 taps, two restrictions, a prolongation, B."""
    assert Case((1, 1), batch=1, channels=1, levels=2).flops == 2 * (9 + 4 * 9 + 2 * 9 + 4 + 1)


@pytest.mark.skipif(not mgno.memory.measurable(), reason="needs Linux")
def test_memory_is_that_of_a_process_of_its_own(monkeypatch):
    monkeypatch.undo()
    assert 2 < mgno_memory.peak_tensors("ours, made anew", 1) < 12


def test_the_core_has_its_sizes():
    assert SIZES["mgno"] == (256, 32)
