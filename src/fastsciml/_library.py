"""Loads the compiled operators: one library per SIMD level, chosen for this processor, and the CUDA one where torch
has CUDA.
"""

from __future__ import annotations

import json
import logging
import os
from dataclasses import dataclass
from pathlib import Path

import torch

_log = logging.getLogger(__name__)

SIMD_LEVELS = ("generic", "avx2", "avx512")


@dataclass(frozen=True)
class Loaded:
    """What was loaded, and how it had been built."""

    folder: Path
    simd_level: str
    available_levels: tuple[str, ...]
    compiler: str
    torch: str
    nvcc: str
    cuda: bool
    cuda_absent_because: str


def load() -> Loaded:
    """Load the libraries into torch.

    Raises:
        ImportError: there are none that run here, or the level asked for by the environment variable FASTSCIML_SIMD
            was not built or does not run here.
    """
    folder = Path(os.environ.get("FASTSCIML_LIBRARY_DIR") or Path(__file__).parent / "lib")
    record_file = folder / "build.json"
    record = json.loads(record_file.read_text()) if record_file.is_file() else {"simd_levels": []}
    # The record is written when a build begins: after one that failed it stands there without the libraries.
    runnable = [level for level in _runnable_levels(record["simd_levels"]) if _library_file(folder, level).is_file()]
    if not runnable:
        raise ImportError(
            f"fastsciml has no compiled libraries in {folder}; install it with pip, or build them with cmake"
        )
    level = os.environ.get("FASTSCIML_SIMD") or runnable[-1]
    if level not in runnable:
        raise ImportError(f"FASTSCIML_SIMD={level} must be one of {', '.join(runnable)} here")
    _load_library(_library_file(folder, level))
    cuda, reason = _load_cuda(folder, record["cuda_absent_because"])
    _log.debug("loaded %s; cuda: %s", _library_file(folder, level), reason or "loaded")
    return Loaded(
        folder=folder,
        simd_level=level,
        available_levels=tuple(runnable),
        compiler=record["compiler"],
        torch=record["torch"],
        nvcc=record["nvcc"],
        cuda=cuda,
        cuda_absent_because=reason,
    )


def _runnable_levels(built: list[str]) -> list[str]:
    """The levels that were built and that this processor has, weakest first."""
    capability = torch.backends.cpu.get_cpu_capability()
    best = {"AVX512": 2, "AVX2": 1}.get(capability, 0)
    return [level for level in SIMD_LEVELS[: best + 1] if level in built]


def _load_cuda(folder: Path, absent_because: str) -> tuple[bool, str]:
    library = _library_file(folder, "cuda")
    if absent_because or not library.is_file():
        return False, absent_because or f"{library.name} is missing"
    if torch.version.cuda is None:
        return False, "this torch is a CPU build"
    try:
        _load_library(library)
    except OSError as error:  # no reason to keep the CPU's operators from the user
        return False, f"{library.name} does not load: {error.__cause__ or error}"
    return True, "" if torch.cuda.is_available() else "loaded, but torch finds no device"


def _library_file(folder: Path, name: str) -> Path:
    return folder / f"libfastsciml_{name}.so"


def _load_library(path: Path) -> None:
    torch.ops.load_library(path)  # type: ignore[no-untyped-call]


LOADED = load()
