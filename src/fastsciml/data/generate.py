"""Many samples of a problem, made in chunks that outlive an interruption."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import torch

from ..seeds import mixed_seed
from .operator_data import OperatorData, checked_target, description, load_operator_data


class OperatorProblem(Protocol):
    """What samples are drawn from: `DarcyFlow`, `NavierStokes`, or one of your own."""

    @property
    def about(self) -> dict[str, Any]:
        """Name and parameters, which JSON can hold."""

    def sample(
        self, batch: int, *, generator: torch.Generator | None, device: torch.device | str | None, dtype: torch.dtype
    ) -> OperatorData:
        """Draw so many samples."""


def generate(
    problem: OperatorProblem,
    samples: int,
    path: str | Path,
    *,
    seed: int = 0,
    chunk: int = 16,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    progress: Callable[[int, int], None] | None = None,
) -> OperatorData:
    """Draw samples and write them to a file; called again after an interruption, go on where it was.

    Each chunk has random numbers of its own, by seed and position, and goes to a file of its own in the folder
    `<path>.chunks` as soon as it is finished; at the end they are joined, and the folder is removed. So the result is
    the same bit for bit, however often it was interrupted, on one kind of device with one number of threads. Where
    `path` already holds the very data that are asked for, nothing is drawn.

    Args:
        problem: what to draw from.
        samples: how many.
        path: of the file, ending in .npz.
        seed: at least 0.
        chunk: samples that are drawn at once; another number gives other samples.
        device: where to draw and solve. Its kind matters for the random numbers.
        dtype: of the file, torch.float32 or torch.float64.
        progress: called as progress(done, samples) after every chunk, those found included.

    Returns:
        What the file holds, `about` with samples, seed, chunk and dtype in it.

    Raises:
        ValueError: a number or name does not fit, or the file or the chunks are there, and of other data.
        OSError: a file cannot be written.

    Example:
        >>> data = generate(DarcyFlow(resolution=33, refine=2), 100, "darcy.npz", seed=1)  # doctest: +SKIP
    """
    for name, number, least in (("samples", samples, 1), ("chunk", chunk, 1), ("seed", seed, 0)):
        if number < least:
            raise ValueError(f"{name} must be at least {least}, got {number}")
    if dtype not in (torch.float32, torch.float64):
        raise ValueError(f"dtype must be torch.float32 or torch.float64, got {dtype}")
    path = checked_target(path)
    if not path.parent.is_dir():
        raise ValueError(f"path must lie in a folder that exists, got {path}")
    device = torch.device(device)
    # The device's kind is in: random numbers differ by it.
    about = {**problem.about, "seed": seed, "chunk": chunk, "dtype": str(dtype), "device": device.type}
    whole = {**about, "samples": samples}
    folder = path.with_name(f"{path.name}.chunks")
    if path.exists():
        data = load_operator_data(path)
        if description(data.about) != description(whole):
            raise ValueError(f"path must not hold other data, and {path} does")
        shutil.rmtree(folder, ignore_errors=True)
        return data

    folder.mkdir(exist_ok=True)
    parts = []
    for first in range(0, samples, chunk):
        size, index = min(chunk, samples - first), first // chunk
        file, of_chunk = folder / f"{index:06d}.npz", {**about, "index": index, "samples": size}
        part = _finished(file, of_chunk)
        if part is None:
            generator = torch.Generator(device).manual_seed(mixed_seed(seed, index))
            drawn = problem.sample(size, generator=generator, device=device, dtype=dtype)
            part = OperatorData(drawn.x.cpu(), drawn.y.cpu(), of_chunk)
            part.save(file)
        parts.append(part)
        if progress is not None:
            progress(first + size, samples)
    data = OperatorData(torch.cat([part.x for part in parts]), torch.cat([part.y for part in parts]), whole)
    data.save(path)
    shutil.rmtree(folder, ignore_errors=True)
    return data


def _finished(file: Path, about: dict[str, Any]) -> OperatorData | None:
    """The chunk of a file; None where there is none or it is broken."""
    try:
        part = load_operator_data(file)
    except ValueError:
        return None
    if description(part.about) != description(about):
        raise ValueError(f"path must not have chunks of other data beside it, and {file.parent} holds such")
    return part
