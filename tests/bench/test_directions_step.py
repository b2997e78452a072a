import pytest
import torch

from bench import directions_step, limits
from bench.measure import DisagreementError
from bench.report import Settings

TINY = Settings(size=12, quick=True, repetitions=1)


@pytest.mark.parametrize("name", ["Fused", "InPyTorch", "InPlace"])
def test_every_competitor_takes_the_same_step(name):
    directions_step.check(getattr(directions_step, name)(13))


def test_a_wrong_step_is_not_timed(monkeypatch):
    monkeypatch.setattr(directions_step, "poisson_apply", lambda u, *operator: torch.zeros_like(u))
    with pytest.raises(DisagreementError, match="by Fused has a wrong inner products"):
        directions_step.measure(TINY, lambda what: None)


def test_a_quick_run_judges_nothing(monkeypatch):
    monkeypatch.setattr(limits, "ELEMENTS", 1000)
    report = directions_step.run(TINY, lambda what: None)
    assert {judgement.verdict for judgement in report.judgements} == {"not judged"}
    (figures,) = report.figures
    assert figures.rows[0]["grid"] == "12^3"
