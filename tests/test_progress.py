import io

import pytest
from rich.console import Console

from fastsciml.progress import ResidualBar


@pytest.mark.parametrize(
    ("residual", "share"),
    [(1.0, 0.0), (1e-2, 0.25), (1e-4, 0.5), (1e-8, 1.0), (0.0, 1.0), (7.0, 0.0), (float("nan"), 0)],
)
def test_share_done_counts_orders_of_magnitude(residual, share):
    assert ResidualBar(1e-8).share_done(residual) == pytest.approx(share)


def test_bar_tells_stages_iterations_and_residual():
    text = io.StringIO()
    with ResidualBar(1e-8, Console(file=text, width=100)) as bar:
        bar.stage("Reading")
        bar.stage("Solving")
        bar(1, 0.1)
        bar(2, 3e-9)
    lines = text.getvalue().splitlines()
    assert "Reading" in lines[0]
    assert "Solving" in lines[1]
    assert "iteration 2, residual 3.0e-09" in lines[1]
    assert all("✓" in line for line in lines[:2])


def test_bar_of_an_interrupted_stage_is_not_ticked_off():
    text = io.StringIO()

    def work():
        with ResidualBar(1e-8, Console(file=text, width=100)) as bar:
            bar(1, 0.1)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
    assert "iteration 1" in text.getvalue()
    assert "✓" not in text.getvalue()
