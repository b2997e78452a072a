"""What the pictures show, from reports as they are in a file."""

import io
import json

import pytest

from bench import picture_peers, picture_roofline, picture_scaling, pictures, roofline, scaling
from bench.measure import Spread
from bench.report import Comparison, Report, Settings, document


@pytest.fixture(scope="module")
def cores():
    seconds = {(method, dtype): [1e-3, 3e-3, 2e-3] for dtype in scaling.TOLERANCES for method in scaling.METHODS}
    later = {name: [8 * second for second in its] for name, its in seconds.items()}
    sizes = [scaling.Size(10, seconds), scaling.Size(20, later)]
    kernels = [roofline.Kernel("moves", "tiny", 1e6, 1e5, int), roofline.Kernel("computes", "tiny", 1e6, 1e8, int)]
    measured = roofline.Measured(kernels, [[0.5, 1.5, 1.0]] * 2, [0.5] * 3, [0.25] * 3, copied=1e6, multiplied=1e8)
    peers = [Comparison("a solve", "slow", Spread(8.0, 4.0, 9.0)), Comparison("a layer", "fast", Spread(0.5, 0.4, 2.0))]
    reports = [
        Report("scaling", Settings(20), [], [scaling._size_figures(sizes, []), scaling._slope_figures(sizes)], []),
        Report("roofline", Settings(12), [], [*roofline_figures(measured)], []),
        Report("poisson", Settings(12), [], [], [], peers),
    ]
    return json.loads(json.dumps(document(reports)))["cores"]


def roofline_figures(measured):
    return roofline._kernel_figures(measured), roofline._limit_figures(measured)


def test_a_curve_is_the_median_seconds_of_each_size(cores):
    curves = picture_scaling.curves(cores)
    assert [(curve.method, curve.dtype) for curve in curves] == [
        ("multigrid", "float32"), ("auto", "float32"), ("multigrid", "float64"), ("auto", "float64"),
    ]  # fmt: skip
    assert curves[0].unknowns == [1000, 8000]
    assert curves[0].seconds == [(2e-3, 1e-3, 3e-3), (16e-3, 8e-3, 24e-3)]


def test_a_point_is_a_kernel_s_rate_under_the_roof(cores):
    (moves, computes), roof = picture_roofline.points(cores)
    assert (moves.intensity, moves.rate, moves.share) == pytest.approx((0.1, 1e5, 0.5))
    assert (computes.intensity, computes.rate, computes.share) == pytest.approx((100, 1e8, 0.5))
    assert roof.at(0.1) == pytest.approx(2e5)
    assert roof.at(1e3) == pytest.approx(4e8)


def test_a_bar_is_a_peer_s_seconds_over_ours(cores):
    assert picture_peers.bars(cores) == [
        picture_peers.Bar("a solve: slow", 8.0, 4.0, 9.0),
        picture_peers.Bar("a layer: fast", 0.5, 0.4, 2.0),
    ]


def test_every_picture_is_drawn_and_none_without_its_core(cores):
    drawn = pictures.draw(cores)
    assert list(drawn) == ["scaling", "roofline", "peers"]
    for figure in drawn.values():
        file = io.BytesIO()
        figure.savefig(file, format="png")
        assert len(file.getvalue()) > 5000
    assert pictures.draw({}) == {}
    assert list(pictures.draw({"poisson": cores["poisson"]})) == ["peers"]
