from dataclasses import replace

import pytest

from bench import memory, scaling
from bench.measure import DisagreementError
from bench.report import Settings
from fastsciml import solve_poisson

TINY = Settings(size=32, quick=True, repetitions=1)


def silent(what):
    pass


@pytest.fixture(autouse=True)
def _cheap(monkeypatch):
    monkeypatch.setattr(scaling, "UNKNOWNS_OF_A_TURN", 1)


def test_every_method_and_dtype_gets_a_time_and_a_slope():
    sizes, slopes = scaling.run(TINY, silent).figures
    assert [row["grid"] for row in sizes.rows] == ["21^3", "32^3"] * 4
    assert {(row["method"], row["dtype"]) for row in slopes.rows} == {
        (method, dtype) for method in ("multigrid", "auto") for dtype in ("float32", "float64")
    }


def test_the_sizes_reach_from_ten_thousand_to_a_hundred_million():
    assert scaling.EDGES[0] ** 3 < 1e4
    assert scaling.EDGES[-1] ** 3 > 1e8
    for edge in scaling.EDGES:
        for prime in (2, 3, 5, 7):
            while edge % prime == 0:
                edge //= prime
        assert edge == 1


def test_a_slope_is_the_power():
    assert scaling.slope([10, 100, 1000], [3.0, 300.0, 30000.0]) == pytest.approx(2.0)


def test_a_grid_without_memory_is_left_out_and_named(monkeypatch):
    needed = 12 * 8 * 45**3
    monkeypatch.setattr(memory, "available", lambda: needed - 1)
    sizes, _ = scaling.run(replace(TINY, size=45), silent).figures
    assert {row["grid"] for row in sizes.rows} == {"21^3", "32^3"}
    assert "45^3 left out: needs 0.0 GiB of free memory." in sizes.note


@pytest.mark.parametrize(("size", "free", "why"), [(31, None, "one of at most 31"), (32, 0, "21.3 left out")])
def test_one_grid_has_no_slope(size, free, why, monkeypatch):
    monkeypatch.setattr(memory, "available", lambda: free)
    with pytest.raises(DisagreementError, match=why):
        scaling.run(replace(TINY, size=size), silent)


def test_a_wrong_solution_gets_no_time(monkeypatch):
    def wrong(f, **options):
        return solve_poisson(f, **(options | {"tol": 1e-2, "method": "multigrid", "max_iterations": 1}))

    monkeypatch.setattr(scaling, "solve_poisson", wrong)
    monkeypatch.setattr(scaling, "TOLERANCES", {"float64": 1e-12})
    with pytest.raises(DisagreementError, match="no time is reported"):
        scaling.measure(21, 1)
