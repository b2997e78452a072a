import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastsciml import solve_poisson

ENDS = ["dirichlet", "neumann"]
TOL = {np.float32: 1e-4, np.float64: 1e-10}
ERROR = {np.float32: 2e-2, np.float64: 1e-7}


@st.composite
def problems(draw):
    shape = draw(st.lists(st.integers(1, 12), min_size=1, max_size=3))
    boundary = [draw(st.one_of(st.just("periodic"), st.tuples(*[st.sampled_from(ENDS)] * 2))) for _ in shape]
    spacing = [draw(st.sampled_from([1.0, 1.0, 0.5, 2.0, 0.1, 10.0])) for _ in shape]
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    solid = random.random(shape) < draw(st.sampled_from([0.0, 0.1, 0.4, 0.7]))
    solid.flat[random.integers(solid.size)] = False
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    rhs = random.standard_normal(shape).astype(dtype)
    return rhs, {"boundary": boundary, "spacing": spacing, "solid": solid if draw(st.booleans()) else None}


@pytest.mark.filterwarnings("ignore::fastsciml.solvers.RemovedMeanWarning")
@settings(derandomize=True, max_examples=60, deadline=None, database=None)
@given(problems())
def test_agrees_with_sparse_lu(direct, problem):
    rhs, where = problem
    dtype = rhs.dtype.type
    result = solve_poisson(rhs, tol=TOL[dtype], **where)
    reference = direct(rhs, **where)
    assert result.converged, str(result)
    assert reference.error(result.solution) <= ERROR[dtype]
