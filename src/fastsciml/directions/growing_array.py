"""A large array on disk whose rows are made one after the other, and which outlives an interruption.

`<name>.npy` is there only once it is whole; until then the rows are in `<name>.npy.partial`, and what is known about
them in `<name>.safetensors`, which counts the rows that can be relied on.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastsciml.checkpoint import read_checkpoint, write_checkpoint

Rows = NDArray[np.float32]


class GrowingArray:
    """float32 [rows, n] in a memory map.

    Args:
        path: of the `.npy` file, in a folder that exists.
        shape: rows and n.
        about: what the rows depend on, as text; another array's file is refused.

    Attributes:
        done: rows that are made, those of an interrupted run included.
        tensors: what was last handed to `commit`.
        rows: float32 [rows, n], the memory map.

    Raises:
        ValueError: the file is of another array, or broken.
    """

    def __init__(self, path: Path, shape: tuple[int, int], about: str) -> None:
        self.path, self.shape, self.about = path, shape, about
        self._partial = path.with_name(f"{path.name}.partial")
        self._state = path.with_suffix(".safetensors")
        self.done, self.tensors = 0, dict[str, Tensor]()
        if self._state.exists():
            self._read_state()
        self.rows = self._opened()

    @property
    def finished(self) -> bool:
        return self.path.exists() and self._state.exists()

    def commit(self, done: int, tensors: Mapping[str, Tensor] | None = None) -> None:
        """Make sure that so many rows, and the tensors that belong to them, are on disk."""
        cast(np.memmap, self.rows).flush()
        self.done, self.tensors = done, dict(tensors or {})
        known = {**self.tensors, "done": torch.tensor(done)}
        write_checkpoint(self._state, known, {"rows": self.about, "shape": str(self.shape)})

    def finish(self) -> None:
        """Call it whole. Rows after the last one that is done hold nothing."""
        os.replace(self._partial, self.path)

    def _read_state(self) -> None:
        about, tensors = read_checkpoint(self._state, "rows", "rows that are being made")
        if about["rows"] != self.about or about["shape"] != str(self.shape):
            raise ValueError(f"{self.path.parent} holds other data in {self.path.name}: take another folder")
        self.done = int(tensors.pop("done"))
        self.tensors = tensors

    def _opened(self) -> Rows:
        if self.done and self.path.exists():
            return self._mapped(self.path, "r")
        if self.done and self._partial.exists():
            return self._mapped(self._partial, "r+")
        self.done, self.tensors = 0, {}
        return _memory_map(self._partial, "w+", self.shape)

    def _mapped(self, path: Path, mode: str) -> Rows:
        try:
            rows = _memory_map(path, mode)
        except (ValueError, OSError) as error:
            raise ValueError(f"{path} cannot be read as an array: {error}") from error
        if rows.shape != self.shape or rows.dtype != np.float32:
            raise ValueError(f"{path} must hold float32 {list(self.shape)}, and holds {rows.dtype} {list(rows.shape)}")
        return rows


def _memory_map(path: Path, mode: Any, shape: tuple[int, int] | None = None) -> Rows:
    rows: Rows = np.lib.format.open_memmap(path, mode, np.dtype(np.float32), shape)
    return rows
