import json
import sys

import numpy as np
import pytest
import scipy.io
import torch

from fastsciml.data import OperatorData, load_inputs, load_operator_data


def _data(n=16, dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(3, 1, n, n, generator=generator, dtype=dtype) for _ in range(2))
    return OperatorData(x, y, {"name": "trial", "seed": 7, "values": [12.0, 3.0]})


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_files_give_back_what_was_saved(tmp_path, dtype):
    data = _data(dtype=dtype)
    data.save(tmp_path / "data.npz")
    found = load_operator_data(tmp_path / "data.npz")
    assert torch.equal(found.x, data.x)
    assert torch.equal(found.y, data.y)
    assert found.x.dtype == dtype
    assert found.about == data.about
    assert len(found) == 3
    assert [file.name for file in tmp_path.iterdir()] == ["data.npz"]


def test_files_can_be_read_by_numpy_alone(tmp_path):
    _data().save(tmp_path / "data.npz")
    with np.load(tmp_path / "data.npz", allow_pickle=False) as stored:
        assert stored["x"].shape == (3, 1, 16, 16)
        assert json.loads(str(stored["about"]))["seed"] == 7


def test_a_line_with_channels_keeps_them(tmp_path):
    OperatorData(torch.randn(3, 2, 40), torch.randn(3, 1, 40)).save(tmp_path / "line.npz")
    assert load_operator_data(tmp_path / "line.npz").x.shape == (3, 2, 40)


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "data.npz"
    _data().save(path)
    before = path.read_bytes()

    def broken(file, **_):
        file.write(b"half")
        raise OSError("no space")

    monkeypatch.setattr(np, "savez", broken)
    with pytest.raises(OSError, match="no space"):
        _data(20).save(path)
    assert path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("names", [("coeff", "sol"), ("a", "u")])
@pytest.mark.parametrize("n", [16, 21, 85])
def test_matlab_files_are_read(tmp_path, names, n):
    coefficient, solution = np.random.default_rng(0).standard_normal((2, 2, n, n))
    scipy.io.savemat(tmp_path / "darcy.mat", {names[0]: coefficient, names[1]: solution, "Kcoeff": coefficient})
    found = load_operator_data(tmp_path / "darcy.mat")
    np.testing.assert_array_equal(found.x[:, 0], coefficient)
    np.testing.assert_array_equal(found.y[:, 0], solution)
    assert found.about == {"name": "darcy"}


def test_times_become_channels(tmp_path):
    start, later = np.random.default_rng(0).standard_normal((2, 16, 16)), np.zeros((2, 16, 16, 5))
    later[..., 3] = start
    scipy.io.savemat(tmp_path / "flow.mat", {"a": start, "u": later, "t": np.arange(5)})
    found = load_operator_data(tmp_path / "flow.mat")
    assert found.x.shape == (2, 1, 16, 16)
    assert found.y.shape == (2, 5, 16, 16)
    assert torch.equal(found.y[:, 3], found.x[:, 0])


def test_arrays_of_others_get_a_channel(tmp_path):
    x, y = np.random.default_rng(0).standard_normal((2, 3, 16, 16))
    np.savez(tmp_path / "pairs.npz", x=x, y=y)
    np.testing.assert_array_equal(load_operator_data(tmp_path / "pairs.npz").y[:, 0], y)


def test_what_a_matlab_file_holds_instead_is_told(tmp_path):
    scipy.io.savemat(tmp_path / "flow.mat", {"a": np.ones((2, 4)), "about": np.ones(3), "Kcoeff": np.ones((2, 4))})
    with pytest.raises(ValueError, match=r"or a and u; it holds \['Kcoeff', 'a'\]"):
        load_operator_data(tmp_path / "flow.mat")


def test_lines_are_read(tmp_path):
    scipy.io.savemat(tmp_path / "burgers.mat", {"a": np.ones((3, 64)), "u": np.zeros((3, 64))})
    assert load_operator_data(tmp_path / "burgers.mat").x.shape == (3, 1, 64)


@pytest.mark.parametrize("dtype", [torch.bool, torch.int64, torch.float16, torch.float64])
def test_dictionaries_of_tensors_are_read(tmp_path, dtype):
    x = torch.ones(4, 16, 16).to(dtype)
    torch.save({"x": x, "y": torch.zeros(4, 16, 16)}, tmp_path / "darcy_train_16.pt")
    found = load_operator_data(tmp_path / "darcy_train_16.pt")
    assert found.x.shape == found.y.shape == (4, 1, 16, 16)
    assert found.x.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)


def test_nothing_in_a_pt_file_is_run(tmp_path):
    class Trap:
        def __reduce__(self):
            return print, ("run",)

    torch.save({"x": Trap(), "y": torch.zeros(1, 4, 4)}, tmp_path / "trap.pt")
    with pytest.raises(ValueError, match=r"not a complete .pt file"):
        load_operator_data(tmp_path / "trap.pt")


def _matlab_7_3(path):
    header = b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM"
    path.write_bytes(header.ljust(512, b"\x00") + b"\x89HDF\r\n\x1a\n" + bytes(64))


def test_matlab_7_3_asks_for_h5py(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    _matlab_7_3(tmp_path / "flow.mat")
    with pytest.raises(ValueError, match=r"flow.mat is a file of MATLAB 7.3, and reading it takes the package h5py"):
        load_operator_data(tmp_path / "flow.mat")


def test_matlab_7_3_has_its_axes_in_reverse(tmp_path, monkeypatch):
    start, later = np.random.default_rng(0).standard_normal((2, 4, 5)), np.random.default_rng(1).random((2, 4, 5, 3))

    class Stored(dict):
        """What h5py.File is for the reader."""

        __enter__ = lambda self: self  # noqa: E731
        __exit__ = lambda self, *_: None  # noqa: E731

    fake = type(sys)("h5py")
    fake.File = lambda path, mode: Stored(a=start.T, u=later.T, t=np.arange(3))
    monkeypatch.setitem(sys.modules, "h5py", fake)
    _matlab_7_3(tmp_path / "flow.mat")
    found = load_operator_data(tmp_path / "flow.mat")
    np.testing.assert_array_equal(found.x[:, 0], start)
    np.testing.assert_array_equal(found.y.movedim(1, -1), later)


@pytest.mark.parametrize("ending", ["npz", "mat", "pt"])
@pytest.mark.parametrize("content", [b"", b"nonsense" * 40, "half"])
def test_broken_files_are_told(tmp_path, ending, content):
    path = tmp_path / f"data.{ending}"
    if content == "half":
        data = _data()
        if ending == "npz":
            data.save(path)
        elif ending == "mat":
            scipy.io.savemat(path, {"a": data.x[:, 0].numpy(), "u": data.y[:, 0].numpy()})
        else:
            torch.save({"x": data.x, "y": data.y}, path)
        content = path.read_bytes()[: path.stat().st_size // 2]
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"data.{ending} ") as told:
        load_operator_data(path)
    assert "\n" not in str(told.value)


def test_pickled_arrays_are_refused(tmp_path):
    np.savez(tmp_path / "data.npz", x=np.array([{}], dtype=object), y=np.ones((1, 1, 4)))
    with pytest.raises(ValueError, match=r"not a complete .npz file"):
        load_operator_data(tmp_path / "data.npz")


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({"x": np.ones((2, 1, 4))}, "must hold x and y, coeff and sol, or a and u"),
        ({"x": np.ones((2, 1, 4)), "y": np.ones((3, 1, 4))}, "as many samples"),
        ({"x": np.ones((2, 1, 4), dtype=complex), "y": np.ones((2, 1, 4))}, "real numbers as x"),
        ({"x": np.ones(4), "y": np.ones(4)}, "channels"),
        ({"x": np.ones((2, 1, 4)), "y": np.ones((2, 1, 4)), "about": np.array("{")}, "not a complete .npz"),
        ({"x": np.ones((2, 1, 4)), "y": np.ones((2, 1, 4)), "about": np.array("3")}, "dictionary"),
    ],
)
def test_files_of_other_arrays_are_told(tmp_path, arrays, sentence):
    np.savez(tmp_path / "data.npz", **arrays)
    with pytest.raises(ValueError, match=sentence):
        load_operator_data(tmp_path / "data.npz")


def test_other_content_of_pt_files_is_told(tmp_path):
    torch.save([1, 2], tmp_path / "data.pt")
    with pytest.raises(ValueError, match="holds a list, not a dictionary of x and y"):
        load_operator_data(tmp_path / "data.pt")


def test_missing_files_and_other_endings_are_told(tmp_path):
    with pytest.raises(ValueError, match="there is no file"):
        load_operator_data(tmp_path / "data.npz")
    with pytest.raises(ValueError, match=r"must end in .npz, .mat or .pt"):
        load_operator_data(tmp_path / "data.txt")
    with pytest.raises(ValueError, match=r"path must end in .npz"):
        _data().save(tmp_path / "data.pt")


@pytest.mark.parametrize(
    ("x", "y", "about", "sentence"),
    [
        (torch.ones(2, 3), torch.ones(2, 1, 3), {}, "x must be"),
        (torch.ones(2, 1, 3), torch.ones(2, 1, 0), {}, "y must be"),
        (torch.ones(2, 1, 3), torch.ones(2, 1, 3).int(), {}, "y must be float32"),
        (torch.ones(2, 1, 3), torch.ones(3, 1, 3), {}, "as many samples"),
        (torch.ones(2, 1, 3), torch.ones(2, 1, 3), {"tol": float("nan")}, "about must be"),
        (torch.ones(2, 1, 3), torch.ones(2, 1, 3), {"a": torch.ones(1)}, "about must be"),
    ],
)
def test_bad_data_are_refused(x, y, about, sentence):
    with pytest.raises(ValueError, match=sentence):
        OperatorData(x, y, about)


@pytest.mark.parametrize("name", ["x", "coeff", "a"])
@pytest.mark.parametrize(("shape", "expected"), [((3, 8), (3, 1, 8)), ((3, 8, 9), (3, 1, 8, 9)), ((3, 2, 4, 5),) * 2])
def test_inputs_are_read_without_y(tmp_path, name, shape, expected):
    array = np.random.rand(*shape)
    np.savez(tmp_path / "inputs.npz", **{name: array})
    x, y = load_inputs(tmp_path / "inputs.npz")
    assert y is None
    assert torch.equal(x, torch.from_numpy(array).reshape(expected))


def test_inputs_come_with_y_where_there_is_one(tmp_path):
    data = _data()
    data.save(tmp_path / "data.npz")
    x, y = load_inputs(tmp_path / "data.npz")
    assert torch.equal(x, data.x)
    assert torch.equal(y, data.y)


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({"y": np.ones((3, 4, 4))}, r"must hold x, coeff or a; it holds \['y'\]"),
        ({"x": np.ones((0, 4, 4))}, r"must hold x as \[N, channels, \*grid\]"),
        ({"x": np.ones((2, 1, 4, 4, 4, 4))}, r"must hold x as \[N, channels, \*grid\]"),
        ({"x": np.array(["a"])}, "must hold an array of real numbers as x"),
    ],
)
def test_files_without_inputs_are_refused(tmp_path, arrays, sentence):
    np.savez(tmp_path / "inputs.npz", **arrays)
    with pytest.raises(ValueError, match=sentence):
        load_inputs(tmp_path / "inputs.npz")
