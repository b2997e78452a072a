"""Whatever the problem, `converged` means that its matrix, set up independently, has that residual."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fastsciml import Robin, solve_poisson
from fastsciml.data import poisson_matrix

ENDS = ["dirichlet", "neumann", Robin(1.0, 0.5), Robin(3.0, 20.0)]
MOST_CELLS = 3000
# float32 rounds the matrix, too.
TOL = {torch.float32: 1e-4, torch.float64: 1e-9}
ROUNDING = {torch.float32: 1e-5, torch.float64: 1e-13}

# One right-hand side, laid out in memory one way or another, or two, the second being twice the first or the same.
LAYOUTS = {
    "contiguous": lambda t: t,
    "transposed": lambda t: t.transpose(0, -1).contiguous().transpose(0, -1),
    "every other": lambda t: torch.stack([t, t], -1)[..., 0],
    "batch": lambda t: torch.stack([t, 2 * t]),
    "expanded": lambda t: t.expand(2, *t.shape),
}


@st.composite
def problems(draw):
    """A shape, and what `poisson_matrix` and `solve_poisson` both take."""
    shape: list[int] = []
    for _ in range(draw(st.integers(1, 3))):
        # Two at least, since a single vertex between Neumann ends has no width; below, some axes become flat.
        shape.append(draw(st.integers(2, max(2, min(40, MOST_CELLS // int(np.prod(shape)))))))
    pairs = [draw(st.one_of(st.just("periodic"), st.tuples(*[st.sampled_from(ENDS)] * 2))) for _ in shape]
    for axis, pair in enumerate(pairs):
        if pair == "periodic" or "dirichlet" in pair:
            shape[axis] = draw(st.sampled_from([shape[axis]] * 9 + [1]))
    centering = draw(st.sampled_from(["cell", "cell", "vertex"]))
    stretch = draw(st.sampled_from([0.0, 0.0, 0.1, 0.3]))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))

    def spacing_along(n, pair):
        h = draw(st.sampled_from([1.0, 1.0, 0.5, 0.1, 10.0]))
        count = n - 1 + sum(end == "dirichlet" for end in pair) if centering == "vertex" and pair != "periodic" else n
        return h if stretch == 0 else h * np.exp(stretch * random.standard_normal(count))

    def mask():
        marked = random.random(shape) < draw(st.sampled_from([0.1, 0.4, 0.7]))
        marked.flat[random.integers(marked.size)] = False
        return marked

    problem = {
        "spacing": [spacing_along(n, pair) for n, pair in zip(shape, pairs, strict=True)],
        "boundary": pairs,
        "centering": centering,
        "alpha": draw(st.sampled_from([0.0, 0.0, 0.3, 100.0])),
    }
    if draw(st.booleans()):
        problem["alpha"] = problem["alpha"] * random.random(shape)
    if draw(st.booleans()):
        problem["solid"] = mask()
    if draw(st.sampled_from([False, False, True])):
        problem["fixed"] = mask() & ~problem.get("solid", np.zeros(shape, bool))
        if "solid" in problem and (problem["fixed"] | problem["solid"]).all():
            del problem["fixed"]
    contrast = draw(st.sampled_from([1.0, 10.0, 1000.0]))
    if contrast > 1:
        problem["coefficient"] = contrast ** random.uniform(-0.5, 0.5, shape)
    return shape, problem


@pytest.mark.filterwarnings("ignore::fastsciml.solvers.RemovedMeanWarning")
@settings(derandomize=True, max_examples=300, deadline=None, database=None)
@given(problems(), st.sampled_from(sorted(LAYOUTS)), st.sampled_from(sorted(TOL, key=str)), st.randoms())
def test_a_known_solution_is_found(problem, layout, dtype, random):
    shape, arguments = problem
    matrix = poisson_matrix(tuple(shape), **arguments)
    unknown = matrix.diagonal() > 0
    wanted = np.where(unknown, np.random.default_rng(random.randrange(2**32)).standard_normal(len(unknown)), 0)
    # There is a solution, whatever the null space; what stands in other cells does not matter.
    product = matrix @ wanted
    rhs = torch.from_numpy(np.where(unknown, product, 7.0).reshape(shape)).to(dtype)
    result = solve_poisson(LAYOUTS[layout](rhs), dims=len(shape), tol=TOL[dtype], **arguments)
    assert result.converged, str(result)
    assert result.solution.dtype == dtype
    solutions = result.solution.double().reshape(-1, len(unknown)).numpy()
    for solution, factor in zip(solutions, (1, 2 if layout == "batch" else 1), strict=False):
        assert not solution[~unknown].any()
        left = np.linalg.norm(matrix @ (solution - factor * wanted))
        assert left <= (TOL[dtype] + ROUNDING[dtype]) * factor * np.linalg.norm(product)
