import re

import numpy as np
import pytest
import torch

from fastsciml import Neumann, solve_poisson


def spoilt(value, shape=(4, 5)):
    rhs = torch.ones(shape, dtype=torch.float64)
    rhs.view(-1)[-1] = value
    return rhs


RHS = spoilt(2.0)
BAD = [
    ([1.0, 2.0], {}, TypeError, "rhs must be a torch tensor or a NumPy array, got list"),
    (RHS.half(), {}, TypeError, "rhs must be float32 or float64"),
    (RHS.to(torch.complex128), {}, TypeError, "rhs must be float32 or float64"),
    (np.ones((4, 5), dtype=int), {}, TypeError, "rhs must be float32 or float64"),
    (np.ones((4, 5), dtype=">f8"), {}, TypeError, "rhs must be float32 or float64"),
    (RHS.to_sparse(), {}, TypeError, "rhs must be dense"),
    (RHS.to("meta"), {}, ValueError, "rhs is on meta, and fastsciml solves on CPU and CUDA devices: move it to one"),
    (np.ones(()), {}, ValueError, "rhs must have 1 to 3 spatial axes"),
    (torch.ones(()), {}, ValueError, "rhs must have 1 to 3 spatial axes"),
    (torch.ones(2, 2, 2, 2), {}, ValueError, "rhs must have 1 to 3 spatial axes"),
    (torch.ones(3, 0), {}, ValueError, "rhs is empty"),
    (torch.ones(0, 3, 3), {"dims": 2}, ValueError, "rhs is empty"),
    (spoilt(torch.nan), {}, ValueError, "rhs has NaN or Inf"),
    (spoilt(torch.inf), {}, ValueError, "rhs has NaN or Inf"),
    (spoilt(-torch.inf, (3, 4, 5)), {"dims": 2}, ValueError, "rhs has NaN or Inf"),
    (spoilt(torch.nan), {"boundary": "neumann"}, ValueError, "rhs has NaN or Inf"),
    (spoilt(torch.nan), {"solid": np.eye(4, 5) > 0}, ValueError, "rhs has NaN or Inf"),
    (RHS, {"dims": 0}, ValueError, "dims=0"),
    (RHS, {"dims": 3}, ValueError, "dims=3"),
    (RHS, {"dims": 1.5}, ValueError, "dims=1.5"),
    (RHS, {"boundary": "open"}, ValueError, "unknown boundary 'open' on axis x"),
    (RHS, {"boundary": ["neumann", ("dirichlet", "open")]}, ValueError, "unknown boundary 'open' on axis y"),
    (RHS, {"boundary": ["neumann"]}, ValueError, "one entry per axis"),
    (RHS, {"boundary": ["neumann", ["neumann"] * 3]}, ValueError, "axis y must be a name or a pair"),
    (RHS, {"boundary": ["neumann", ("periodic", "dirichlet")]}, ValueError, "axis y must be periodic at both ends"),
    (RHS, {"boundary": None}, TypeError, "boundary must be"),
    (RHS, {"boundary": ["neumann", 5]}, TypeError, "boundary of axis y must be"),
    (RHS, {"spacing": 0}, ValueError, "spacing must be positive"),
    (RHS, {"spacing": (1, -1)}, ValueError, "spacing must be positive"),
    (RHS, {"spacing": torch.nan}, ValueError, "spacing must be positive"),
    (RHS, {"spacing": (1, 1, 1)}, ValueError, "one number or one per axis"),
    (RHS, {"spacing": "fine"}, TypeError, "spacing must be"),
    (
        torch.ones(4, 1),
        {"boundary": ["dirichlet", "neumann"], "centering": "vertex"},
        ValueError,
        "axis y has no width",
    ),
    (RHS, {"spacing": 1e200}, ValueError, "spacing"),
    (RHS.float(), {"spacing": 1e-30}, ValueError, "spacing"),
    (RHS, {"solid": np.ones((4, 5), dtype=bool)}, ValueError, "solid leaves no cell with an unknown"),
    (RHS, {"solid": np.zeros((5, 4), dtype=bool)}, ValueError, "solid must have the shape"),
    (RHS, {"solid": np.zeros((4, 5))}, TypeError, "solid must be bool"),
    (RHS, {"solid": torch.zeros(4, 5, dtype=torch.bool, device="meta")}, ValueError, "solid is on meta"),
    (RHS, {"fixed": torch.zeros(4, 5, dtype=torch.bool, device="meta")}, ValueError, "fixed is on meta"),
    (RHS, {"coefficient": RHS.to("meta")}, ValueError, "coefficient is on meta"),
    (RHS, {"coefficient": [RHS.to("meta")] * 2}, ValueError, "coefficient is on meta"),
    (RHS, {"alpha": RHS.to("meta")}, ValueError, "alpha is on meta"),
    (RHS, {"fixed": np.eye(4, 5) > 0, "fixed_value": RHS.to("meta")}, ValueError, "fixed_value is on meta"),
    (RHS, {"boundary": Neumann(RHS[0].to("meta"))}, ValueError, "the value on the lower x face is on meta"),
    (RHS, {"alpha": -1e-3}, ValueError, "alpha must be finite and not negative"),
    (RHS, {"alpha": torch.nan}, ValueError, "alpha must be finite"),
    (RHS, {"alpha": 1.0, "spacing": 1e170}, ValueError, "alpha 1.0 times the spacing squared is out of range"),
    (RHS, {"alpha": "small"}, TypeError, "alpha must be a number"),
    (RHS, {"tol": 0}, ValueError, "tol must be"),
    (RHS, {"tol": -1e-8}, ValueError, "tol must be"),
    (RHS, {"tol": torch.nan}, ValueError, "tol must be"),
    (RHS, {"tol": "small"}, TypeError, "tol must be"),
    (RHS, {"max_iterations": -1}, ValueError, "max_iterations must"),
    (RHS, {"max_iterations": 2.5}, TypeError, "max_iterations must"),
    (RHS, {"nullspace": "ignore"}, ValueError, "nullspace must be"),
    (RHS, {"initial_guess": torch.ones(5, 4, dtype=torch.float64)}, ValueError, "initial_guess must have"),
    (RHS, {"initial_guess": RHS.float()}, ValueError, "initial_guess must have"),
    (RHS, {"initial_guess": RHS.int()}, TypeError, "initial_guess must be float32 or float64"),
    (RHS, {"initial_guess": RHS.to("meta")}, ValueError, "initial_guess is on meta"),
    (RHS, {"initial_guess": spoilt(torch.nan)}, ValueError, "initial_guess has NaN or Inf"),
    (RHS, {"boundary": "neumann", "nullspace": "raise"}, ValueError, r"rhs has the mean 1\.05 "),
]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("rhs", "arguments", "kind", "message"), BAD, ids=[f"{i}-{b[3]}" for i, b in enumerate(BAD)])
def test_is_refused_in_one_sentence_before_work_starts(rhs, arguments, kind, message):
    steps = []
    with pytest.raises(kind, match=message) as caught:
        solve_poisson(rhs, progress=lambda *step: steps.append(step), **arguments)
    assert caught.type is kind
    assert re.fullmatch(r"[^\n]{10,240}", str(caught.value))
    assert not steps


def test_arguments_are_given_by_name():
    with pytest.raises(TypeError, match="positional"):
        solve_poisson(RHS, 0.5)
    with pytest.raises(TypeError, match="tolerance"):
        solve_poisson(RHS, tolerance=1e-3)
