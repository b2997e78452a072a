import io

import pytest
from rich.console import Console

from fastsciml.progress import ResidualBar


def terminal(text):
    return Console(file=text, width=100, force_terminal=True, color_system=None)


@pytest.mark.parametrize(
    ("residual", "share"),
    [(1.0, 0.0), (1e-2, 0.25), (1e-4, 0.5), (1e-8, 1.0), (0.0, 1.0), (7.0, 0.0), (float("nan"), 0)],
)
def test_share_done_counts_orders_of_magnitude(residual, share):
    assert ResidualBar(1e-8).share_done(residual) == pytest.approx(share)


def test_bar_tells_stages_iterations_and_residual():
    text = io.StringIO()
    with ResidualBar(1e-8, terminal(text)) as bar:
        bar.stage("Reading")
        bar.stage("Solving")
        bar(1, 0.1)
        bar(2, 3e-9)
    assert "✓ Reading" in text.getvalue()
    (solved,) = (line for line in text.getvalue().splitlines() if "✓ Solving" in line)
    assert "iteration 2, residual 3.0e-09" in solved


def test_nothing_is_written_where_there_is_no_terminal():
    text = io.StringIO()
    with ResidualBar(1e-8, Console(file=text)) as bar:
        bar.stage("Reading")
        bar(1, 0.1)
    assert text.getvalue() == ""


def test_bar_of_an_interrupted_stage_is_not_ticked_off():
    text = io.StringIO()

    def work():
        with ResidualBar(1e-8, terminal(text)) as bar:
            bar(1, 0.1)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
    assert "iteration 1" in text.getvalue()
    assert "✓" not in text.getvalue()
