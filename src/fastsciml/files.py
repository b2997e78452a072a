"""Reading arrays without pickle, and writing files that are either whole or not there."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

_log = logging.getLogger(__name__)

NPY_MAGIC = b"\x93NUMPY"


def read_array(path: Path) -> NDArray[Any]:
    """Read one `.npy` file; raises ValueError with a sentence where there is no plain array."""
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    try:
        with path.open("rb") as file:
            magic = file.read(len(NPY_MAGIC))
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error
    if magic != NPY_MAGIC:
        raise ValueError(f"{path} is not a .npy file, as numpy.save writes it")
    try:
        array: NDArray[Any] = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ValueError(f"{path} holds no complete, plain array: {error}") from error
    return array


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Open a file to be written that takes `path`'s place at the end, and only if all went well."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
        _log.info("wrote %s", path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
