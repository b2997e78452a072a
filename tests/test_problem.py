import numpy as np
import pytest

from fastsciml.problem import plume_problem, problem_from_files


@pytest.fixture
def saved(tmp_path):
    """Saves an array under a name in a fresh folder and returns the path."""

    def save(name, array):
        np.save(tmp_path / name, array)
        return tmp_path / name

    return save


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("stored", [np.int16, np.float32, np.float64])
def test_right_hand_side_takes_the_wanted_precision(saved, stored, dtype):
    source = np.asfortranarray(np.arange(6).reshape(2, 3), dtype=stored)
    problem = problem_from_files(saved("f.npy", source), None, None, (), dtype)
    assert problem.rhs.dtype == dtype
    assert problem.rhs.flags.c_contiguous
    np.testing.assert_array_equal(problem.rhs, source)
    assert problem.solid is None
    assert problem.spacing == (1.0, 1.0)


@pytest.mark.parametrize("stored", [bool, np.uint8, np.int64])
def test_mask_of_booleans_or_integers(saved, stored):
    mask = np.eye(4, 3, dtype=stored)
    problem = problem_from_files(saved("f.npy", np.ones((4, 3))), saved("m.npy", mask), None, (), "float64")
    assert problem.solid.dtype == bool
    np.testing.assert_array_equal(problem.solid, mask != 0)


@pytest.mark.parametrize(
    ("texts", "boundary"),
    [
        ([], "ddd"),
        (["neumann"], "nnn"),
        (["x=periodic"], "pdd"),
        (["z=neumann,dirichlet", "neumann"], [*"nn", "nd"]),
        (["x=dirichlet,neumann", "y=neumann", "z=periodic"], ["dn", *"np"]),
    ],
)
def test_boundary_texts(saved, texts, boundary):
    names = {"d": "dirichlet", "n": "neumann", "p": "periodic"}
    expected = tuple((names[pair[0]], names[pair[-1]]) for pair in boundary)
    problem = problem_from_files(saved("f.npy", np.ones((2, 3, 4))), None, None, texts, "float64")
    assert problem.boundary == expected


@pytest.mark.parametrize(("text", "spacing"), [("0.5", (0.5, 0.5)), ("1e-2,3", (0.01, 3.0)), ("1, 2", (1.0, 2.0))])
def test_spacing_texts(saved, text, spacing):
    problem = problem_from_files(saved("f.npy", np.ones((2, 3))), None, text, (), "float64")
    assert problem.spacing == spacing


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"spacing": "a"}, "numbers split by commas, not 'a'"),
        ({"spacing": "1,2,3"}, "one number or one per axis"),
        ({"spacing": "0"}, "positive"),
        ({"spacing": "1,nan"}, "positive"),
        ({"boundary": ["robin"]}, "unknown boundary 'robin'"),
        ({"boundary": ["z=neumann"]}, "names no axis of the problem, which has x, y"),
        ({"boundary": ["=neumann"]}, "names no axis"),
        ({"boundary": ["x=neumann,dirichlet,neumann"]}, "pair"),
        ({"boundary": ["x=periodic,neumann"]}, "periodic at both ends"),
        ({"rhs": np.ones((2, 2), dtype=complex)}, "real numbers on 1 to 3 axes, not complex128"),
        ({"rhs": np.array(1.0)}, "1 to 3 axes"),
        ({"rhs": np.ones((0, 3))}, "1 to 3 axes"),
        ({"rhs": np.ones((2, 2, 2, 2))}, "1 to 3 axes"),
        ({"solid": np.zeros((2, 2))}, "booleans or integers, not float64"),
        ({"solid": np.zeros((3, 2), dtype=bool)}, r"shape \(3, 2\), but .* \(2, 2\)"),
    ],
)
def test_bad_input_is_refused(saved, arguments, sentence):
    rhs = saved("f.npy", arguments.get("rhs", np.ones((2, 2))))
    solid = saved("m.npy", arguments["solid"]) if "solid" in arguments else None
    with pytest.raises(ValueError, match=sentence):
        problem_from_files(rhs, solid, arguments.get("spacing"), arguments.get("boundary", ()), "float64")


def test_plume_problem_is_a_cube_with_a_ball():
    problem = plume_problem(8, "float32")
    assert problem.rhs.shape == (8, 8, 8)
    assert problem.rhs.dtype == np.float32
    assert problem.solid.any()
    assert problem.boundary[2] == ("neumann", "dirichlet")
