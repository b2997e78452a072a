"""Linear attention on a CUDA device, against its chunked form in PyTorch and attention with softmax."""

from __future__ import annotations

import torch

from .attention_peers import CHUNKS, Case, chunked, flash_linear_attention, ours, softmax
from .gpu_time import captured, timed
from .measure import Spread, interleave
from .report import Cell, Figures, Settings, Tell

FULL_LENGTH, QUICK_LENGTH = 16384, 1024
CHECKED_LENGTH = 4096


def figures(settings: Settings, tell: Tell) -> Figures:
    length = QUICK_LENGTH if settings.quick else FULL_LENGTH
    tell("linear attention: checking")
    Case(min(length, CHECKED_LENGTH), device="cuda").check([ours])
    fla = flash_linear_attention()
    rows: list[dict[str, Cell]] = []
    for dtype in (torch.float32, torch.bfloat16):
        for batch in (1, 8):
            case = Case(length, batch=batch, dtype=dtype, device="cuda")
            tell(f"linear attention: timing {case.name}")
            functions = {"ours": ours, "softmax": softmax} | {f"chunks of {c}": chunked(c) for c in CHUNKS}
            runs = {name: timed(captured(case.forward(function))) for name, function in functions.items()}
            runs |= {f"{name} both": timed(captured(case.both(function))) for name, function in functions.items()}
            if fla is not None:
                its = Case(length, batch=batch, dtype=dtype, device="cuda", tokens_first=True)
                runs |= {"fla": timed(captured(its.forward(fla))), "fla both": timed(captured(its.both(fla)))}
            timings = interleave(runs, settings.repetitions)
            ms = {name: 1e3 * Spread.of(timing.seconds).median for name, timing in timings.items()}
            row: dict[str, Cell] = {"batch x heads x length x width": case.name}
            for suffix in ("", " both"):
                row[f"ours{suffix}, ms"] = ms[f"ours{suffix}"]
                row[f"chunked{suffix}"] = min(ms[f"chunks of {c}{suffix}"] for c in CHUNKS)
                row[f"softmax{suffix}"] = ms[f"softmax{suffix}"]
                row[f"fla{suffix}"] = "not installed" if fla is None else ms[f"fla{suffix}"]
            rows.append(row)
    note = "fla: flash-linear-attention's chunk_linear_attn; its products of float32 are TF32 unless told otherwise."
    return Figures("Linear attention, causal, milliseconds, replayed as a CUDA graph", rows, note)
