import numpy as np
import pytest

from fastsciml.files import read_array, replacing


def test_read_array_returns_what_numpy_saved(tmp_path):
    array = np.arange(6.0).reshape(2, 3)
    np.save(tmp_path / "a.npy", array)
    np.testing.assert_array_equal(read_array(tmp_path / "a.npy"), array)


def test_read_array_names_a_missing_file(tmp_path):
    with pytest.raises(ValueError, match=r"no file .*missing\.npy"):
        read_array(tmp_path / "missing.npy")


@pytest.mark.parametrize("content", [b"", b"1 2 3\n", b"PK\x03\x04 an archive"])
def test_read_array_refuses_other_files(tmp_path, content):
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(ValueError, match=r"is not a \.npy file"):
        read_array(tmp_path / "a.npy")


def test_read_array_refuses_a_file_cut_short(tmp_path):
    np.save(tmp_path / "a.npy", np.arange(100.0))
    (tmp_path / "a.npy").write_bytes((tmp_path / "a.npy").read_bytes()[:-8])
    with pytest.raises(ValueError, match="no complete, plain array"):
        read_array(tmp_path / "a.npy")


class _RunsCode:
    """Creates a file when unpickled."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return open, (str(self.trace), "w")


def test_read_array_never_unpickles(tmp_path):
    np.save(tmp_path / "a.npy", np.array([_RunsCode(tmp_path / "trace")]), allow_pickle=True)
    with pytest.raises(ValueError, match="no complete, plain array"):
        read_array(tmp_path / "a.npy")
    assert not (tmp_path / "trace").exists()


def test_replacing_puts_the_whole_file_in_place(tmp_path):
    path = tmp_path / "out.bin"
    path.write_bytes(b"old")
    with replacing(path) as file:
        file.write(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.bin"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError, RuntimeError])
@pytest.mark.parametrize("old", [b"old", None])
def test_replacing_leaves_everything_as_it_was_on_failure(tmp_path, error, old):
    path = tmp_path / "out.bin"
    if old is not None:
        path.write_bytes(old)

    def write_and_fail():
        with replacing(path) as file:
            file.write(b"half")
            raise error

    with pytest.raises(error):
        write_and_fail()
    assert [entry.read_bytes() for entry in tmp_path.iterdir()] == ([] if old is None else [old])
