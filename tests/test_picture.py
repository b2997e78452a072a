import io

import numpy as np
import pytest

from fastsciml.data import smoke_plume
from fastsciml.picture import draw_plume, draw_solution

RESIDUALS = np.array([1.0, 1e-3, 1e-6, 1e-9])


def _titles(figure):
    """Titles of all panels, after drawing every one of them."""
    figure.savefig(io.BytesIO(), format="png", dpi=40)
    return [axes.get_title() for axes in figure.axes]


@pytest.mark.parametrize("shape", [(12,), (10, 12), (8, 9, 10), (64, 4, 4), (5, 1)])
@pytest.mark.parametrize("with_solid", [False, True])
def test_solution_of_every_dimension(shape, with_solid):
    field = np.random.default_rng(0).standard_normal(shape)
    solid = np.zeros(shape, dtype=bool)
    solid[2:4] = True
    figure = draw_solution(field, -field, (0.1,) * len(shape), RESIDUALS, 1e-8, solid if with_solid else None)
    titles = _titles(figure)
    place = f", y = {(shape[1] // 2 + 0.5) * 0.1:.3g}" if len(shape) == 3 else ""
    assert titles[:2] == [f"Right-hand side f{place}", f"Solution u{place}"]
    assert "Residual history" in titles


def test_solution_shows_the_middle_plane_across_y_with_x_to_the_right():
    solution = np.random.default_rng(1).standard_normal((4, 5, 6))
    figure = draw_solution(solution, solution, (1.0, 1.0, 1.0), RESIDUALS, 1e-8)
    shown = figure.axes[1].images[0].get_array()
    np.testing.assert_array_equal(shown, solution[:, 2].T)


@pytest.mark.parametrize("residuals", [[1.0], [0.0], [1.0, 0.0], [1.0, 2.0], [1.0, float("nan")]])
def test_odd_histories_and_zero_fields_are_drawn(residuals):
    zero = np.zeros((6, 6))
    assert _titles(draw_solution(zero, zero, (1.0, 1.0), np.array(residuals), 1e-8))


@pytest.mark.parametrize("shape", [(16, 20), (10, 12, 14)])
def test_plume_shows_divergence_before_and_after_on_one_scale(shape):
    plume = smoke_plume(shape)
    figure = draw_plume(plume, np.zeros(shape), RESIDUALS, 1e-8)
    panels = {axes.get_title(): axes for axes in figure.axes}
    before, after = (
        next(panels[title].images[0] for title in panels if title.startswith(start))
        for start in ("Divergence before", "Divergence after")
    )
    assert before.get_clim() == after.get_clim()
    # Without a pressure nothing is projected: the two panels show the same field.
    np.testing.assert_array_equal(before.get_array(), after.get_array())
    assert {"Smoke", "Solution: pressure", "Residual history"} < set(_titles(figure))
