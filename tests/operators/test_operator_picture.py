import io

import pytest
import torch

from fastsciml.operators import Record
from fastsciml.operators.picture import draw_history, draw_samples

RECORDS = [Record(i, 1.0 * i, 1e-3, 1 / i, 0.5 / i, 0.9 / i) for i in (1, 2, 3)]


@pytest.mark.parametrize("grid", [(30,), (12, 17), (6, 7, 8)])
@pytest.mark.parametrize("known", [True, False])
def test_every_sample_has_a_row_with_input_truth_prediction_and_error(grid, known):
    x, found, y = torch.randn(2, 2, 1, *grid), torch.randn(2, 3, *grid), torch.randn(2, 3, *grid)
    figure = draw_samples(x[0], found, y if known else None)
    titled = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert titled[:2] == ["input", "truth"] if known else titled == ["input", "prediction"]
    assert sum("in L2" in title for title in titled) == (2 if known else 0)
    bars = 0 if len(grid) == 1 else 1
    assert len(figure.axes) == 2 * (4 if known else 2) * (1 + bars)
    figure.savefig(io.BytesIO(), format="png", dpi=20)


def test_error_has_its_own_scale_and_truth_and_prediction_share_one():
    y = torch.rand(1, 1, 9, 9)
    figure = draw_samples(y, y + 1e-3, y)
    truth, prediction, error = (figure.axes[i].images[0].get_clim() for i in (1, 2, 3))
    assert truth == prediction == (float(y.min()), float(y.max()))
    assert error == pytest.approx((-1e-3, 1e-3), rel=1e-3)


@pytest.mark.parametrize("loss", ["l2", "h1"])
def test_history_shows_all_three_curves(loss):
    (axes,) = draw_history(RECORDS, loss).axes
    curves = {line.get_label(): list(line.get_ydata()) for line in axes.get_lines()}
    assert curves[f"training, relative {loss.upper()}"] == [1, 1 / 2, 1 / 3]
    assert curves["test, relative L2"] == [0.5, 0.25, 0.5 / 3]
    assert curves["test, relative H1"] == [0.9, 0.45, 0.3]
