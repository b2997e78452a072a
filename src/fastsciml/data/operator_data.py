"""Pairs of functions that a neural operator learns from, and the files they come in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io
import torch
from torch import Tensor

from ..files import replacing

# What the published files call the two, in the order in which they are looked for.
NAMES = (("x", "y"), ("coeff", "sol"), ("a", "u"))


@dataclass(frozen=True, eq=False)
class OperatorData:
    """N functions and what an operator makes of them, on one grid of d = 1 to 3 axes.

    Attributes:
        x: [N, channels, *grid], float32 or float64.
        y: [N, channels, *grid], of as many samples. Its grid may be another.
        about: what JSON can hold: the problem's name, its parameters and the seed, where they are known.

    Raises:
        ValueError: a shape or dtype is another, or JSON cannot hold `about`.
    """

    x: Tensor
    y: Tensor
    about: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, tensor in (("x", self.x), ("y", self.y)):
            if not 3 <= tensor.ndim <= 5 or tensor.numel() == 0:
                raise ValueError(f"{name} must be [N, channels, *grid] with 1 to 3 axes, got {tuple(tensor.shape)}")
            if tensor.dtype not in (torch.float32, torch.float64):
                raise ValueError(f"{name} must be float32 or float64, got {tensor.dtype}")
        if len(self.x) != len(self.y):
            raise ValueError(f"x and y must have as many samples, got {len(self.x)} and {len(self.y)}")
        description(self.about)

    def __len__(self) -> int:
        return len(self.x)

    def save(self, path: str | Path) -> None:
        """Write an `.npz` file of x, y and `about` as JSON, which is either whole or not there.

        Raises:
            ValueError: the name has another ending.
            OSError: the file cannot be written.
        """
        path = checked_target(path)
        x, y = (tensor.detach().cpu().numpy() for tensor in (self.x, self.y))
        with replacing(path) as file:
            np.savez(file, x=x, y=y, about=np.array(description(self.about)))


def load_operator_data(path: str | Path) -> OperatorData:
    """Read pairs of functions from a file, by its ending.

    `.npz`: as `OperatorData.save` writes it, or x and y of others. `.mat`: the files of the Fourier neural operator and
    its followers, with coeff and sol, or a and u, [N, *grid], and [N, *grid, times] for a solution in time; files of
    MATLAB 7.3 need h5py. `.pt`: a dictionary of x and y, as the library neuraloperator stores them; nothing in it is
    run. In files of others, arrays of two or three axes have no channels and get one, and times become channels. Whole
    numbers and truth values become float32.

    Args:
        path: of the file.

    Returns:
        The pairs, and what the file tells about them.

    Raises:
        ValueError: there is no such file, or it is broken, or does not hold such arrays, or h5py is missing.
    """
    path = Path(path)
    return _pairs(path, _found(path))


def _pairs(path: Path, found: dict[str, Any]) -> OperatorData:
    for names in NAMES:
        if all(name in found for name in names):
            x, y = (_floating(path, name, found[name]) for name in names)
            break
    else:
        raise ValueError(f"{path} must hold x and y, coeff and sol, or a and u; it holds {sorted(found)}")
    own = "about" in found
    if not own:
        x, y = _with_channels(x, y)
    try:
        return OperatorData(x, y, found["about"] if own else {"name": path.stem})
    except ValueError as error:
        raise ValueError(f"{path} holds other arrays than such data: {error}") from error


def load_inputs(path: str | Path) -> tuple[Tensor, Tensor | None]:
    """Read x, and y where the file has it, both [N, channels, *grid]; otherwise as `load_operator_data`.

    Args:
        path: of the file.

    Returns:
        x and y; None for y where the file has inputs alone.

    Raises:
        ValueError: there is no such file, or it is broken, or does not hold such arrays.
    """
    path = Path(path)
    found = _found(path)
    if any(all(name in found for name in names) for names in NAMES):
        data = _pairs(path, found)
        return data.x, data.y
    for name, _ in NAMES:
        if name in found:
            x = _floating(path, name, found[name])
            if "about" not in found and x.ndim in (2, 3):
                x = x.unsqueeze(1)
            if not 3 <= x.ndim <= 5 or x.numel() == 0:
                raise ValueError(f"{path} must hold {name} as [N, channels, *grid], got {tuple(x.shape)}")
            return x, None
    raise ValueError(f"{path} must hold x, coeff or a; it holds {sorted(found)}")


def description(about: Mapping[str, Any]) -> str:
    """`about` as JSON, the same for equal ones; raises ValueError where JSON cannot hold it."""
    try:
        return json.dumps(dict(about), sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"about must be a dictionary that JSON can hold: {error}") from error


def checked_target(path: str | Path) -> Path:
    """The path of a file to be written; raises ValueError where it does not end in .npz."""
    path = Path(path)
    if path.suffix != ".npz":
        raise ValueError(f"path must end in .npz, got {path}")
    return path


def _found(path: Path) -> dict[str, Any]:
    """What a file holds, by name; raises ValueError where it is none of the kinds that are read, or broken."""
    readers = {".npz": _read_npz, ".mat": _read_mat, ".pt": _read_pt}
    if path.suffix not in readers:
        raise ValueError(f"{path} must end in .npz, .mat or .pt")
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    try:
        return readers[path.suffix](path)
    except _UnfitError as error:
        raise ValueError(f"{path} {error}") from error
    except PermissionError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error
    except MemoryError:
        raise
    except Exception as error:  # the readers of broken files raise whatever their parsers stumble over
        raise ValueError(f"{path} is not a complete {path.suffix} file of plain arrays") from error


class _UnfitError(Exception):
    """What a file lacks: a sentence about it."""


def _read_npz(path: Path) -> dict[str, Any]:
    with np.load(path, allow_pickle=False) as stored:
        found: dict[str, Any] = {name: stored[name] for name in stored.files}
    if "about" in found:
        found["about"] = json.loads(str(found["about"]))
    return found


def _read_mat(path: Path) -> dict[str, Any]:
    wanted = [name for names in NAMES for name in names]
    try:
        held = {name: None for name, _, _ in scipy.io.whosmat(path) if name != "about"}
        # No others: published files hold the coefficient's slopes too, of a gigabyte each.
        return {
            **held,
            **{name: a for name, a in scipy.io.loadmat(path, variable_names=wanted).items() if name in held},
        }
    except NotImplementedError:  # MATLAB 7.3, which is HDF5
        pass
    try:
        import h5py  # type: ignore[import-not-found, import-untyped, unused-ignore]
    except ImportError as error:
        raise _UnfitError("is a file of MATLAB 7.3, and reading it takes the package h5py") from error
    with h5py.File(path, "r") as stored:
        # MATLAB counts the first index fastest, so that HDF5 sees its axes in reverse.
        return {name: np.asarray(stored[name]).T if name in wanted else None for name in stored if name != "about"}


def _read_pt(path: Path) -> dict[str, Any]:
    found = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(found, dict):
        raise _UnfitError(f"holds a {type(found).__name__}, not a dictionary of x and y")
    return {str(name): value for name, value in found.items() if str(name) != "about"}


def _floating(path: Path, name: str, value: Any) -> Tensor:
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
        # torch takes no arrays of the other byte order, and those of MATLAB have their axes in reverse.
        value = torch.from_numpy(np.ascontiguousarray(value, dtype=value.dtype.newbyteorder("=")))
    if not isinstance(value, Tensor) or value.is_complex():
        raise ValueError(f"{path} must hold an array of real numbers as {name}")
    return value if value.dtype == torch.float64 else value.float()


def _with_channels(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """[N, channels, *grid] of both; a file without channels has x [N, *grid] and y [N, *grid] or [N, *grid, times]."""
    if y.ndim == x.ndim + 1 and y.shape[:-1] == x.shape:
        return x.unsqueeze(1), y.movedim(-1, 1).contiguous()
    if x.ndim in (2, 3) and y.ndim == x.ndim:
        return x.unsqueeze(1), y.unsqueeze(1)
    return x, y
