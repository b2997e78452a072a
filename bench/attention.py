"""Linear attention against its chunked form in PyTorch, attention with softmax, and the machine's matrix products."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from . import attention_memory, attention_training, limits, memory
from .attention_peers import CHUNKS, Case, bidirectional, chunked, decayed, ours, softmax
from .machine import load
from .measure import Spread, ratio, seconds_of_rounds
from .report import Cell, Comparison, Figures, Judgement, Report, Settings, Target, Tell, judged

FULL_SIZE, QUICK_SIZE = 16384, 1024
LENGTHS = (2**10, 2**12, 2**14, 2**16, 2**18)
QUICK_ROUNDS = 2  # of what takes longest in a quick run
CHECKED_LENGTH = 4096  # the float64 reference of the full length would take minutes

Seconds = dict[str, list[float]]


def run(settings: Settings, tell: Tell) -> Report:
    load_before = load()
    case = Case(settings.size)
    tell("checking")
    Case(min(settings.size, CHECKED_LENGTH)).check([ours, *map(chunked, CHUNKS)])
    tell(f"timing {case.name}")
    seconds = seconds_of_rounds(_competitors(case), settings.repetitions)
    few = min(QUICK_ROUNDS, settings.repetitions) if settings.quick else settings.repetitions
    tell("timing other sizes")
    others = [(other, seconds_of_rounds(_of_size(other), few)) for other in _sizes(settings)]
    tell("timing lengths")
    lengths = seconds_of_rounds(_of_lengths(settings), settings.repetitions)
    tell("timing training")
    attention_training.check()
    training = seconds_of_rounds(attention_training.competitors(), few)
    tell("measuring memory")
    measured = memory.measurable() and not settings.quick
    peak = Spread.of([attention_memory.peak_tensors(settings.threads)]) if measured else None
    few_rounds = f" ({few} of other sizes and of training)" if few < settings.repetitions else ""
    return Report(
        "attention",
        settings,
        _judge(settings, case, seconds, lengths, peak, training),
        [_first_figures(case, seconds), _size_figures(others), _length_figures(lengths), _training_figures(training)],
        [
            f"{settings.threads} threads, {settings.repetitions} rounds{few_rounds}, competitors in turn: median "
            "(least..most).",
            f"Outputs and gradients agreed with the float64 definition at {CHECKED_LENGTH:,} tokens before a time "
            "was taken.",
            "Triton kernels: by `python -m bench gpu`, where there is a GPU.",
            f"Before this run: {load_before}.",
        ],
        _comparisons(case, seconds, training),
        ["flash-linear-attention's kernels need a GPU: not compared here; `python -m bench gpu` does."],
    )


def _competitors(case: Case) -> dict[str, Callable[[], Any]]:
    competitors: dict[str, Callable[[], Any]] = {
        "product": limits.matrix_product(),
        "ours": case.forward(ours),
        "ours both": case.both(ours),
        "with decay": case.forward(decayed),
        "bidirectional": case.forward(bidirectional),
        "softmax": case.forward(softmax),
    }
    for chunk in CHUNKS:
        competitors[f"chunks of {chunk}"] = case.forward(chunked(chunk))
        competitors[f"chunks of {chunk} both"] = case.both(chunked(chunk))
    return competitors


def _sizes(settings: Settings) -> list[Case]:
    n = settings.size
    cases = [
        Case(n, 32),
        Case(n, 128),
        Case(n // 2, 256),
        Case(4 * n, heads=1),
        Case(max(n // 16, max(CHUNKS)), batch=16),
    ]
    return [*cases, Case(n, dtype=torch.float64), Case(n, dtype=torch.bfloat16)]


def _of_size(case: Case) -> dict[str, Callable[[], Any]]:
    peers = {f"chunks of {chunk}": case.forward(chunked(chunk)) for chunk in CHUNKS}
    return {"product": limits.matrix_product(), "ours": case.forward(ours), **peers}


def _of_lengths(settings: Settings) -> dict[str, Callable[[], Any]]:
    lengths = LENGTHS[:2] if settings.quick else LENGTHS

    def repeated(length: int) -> Callable[[], Any]:
        # A short one is done so often that nobody times a moment.
        once, times = Case(length).forward(ours), _tokens(length) // length

        def many() -> None:
            for _ in range(times):
                once()

        return many

    return {str(length): repeated(length) for length in lengths}


def _tokens(length: int) -> int:
    """In one timing."""
    return max(length, FULL_SIZE)


def _per_token(lengths: Seconds) -> dict[int, list[float]]:
    return {int(n): [s / _tokens(int(n)) for s in seconds] for n, seconds in lengths.items()}


def _best(seconds: Seconds, suffix: str = "") -> list[float]:
    """The rounds of the chunk size that is fastest in the median."""
    return min((seconds[f"chunks of {chunk}{suffix}"] for chunk in CHUNKS), key=lambda s: Spread.of(s).median)


def _share(case: Case, seconds: Seconds, name: str = "ours") -> Spread:
    """Of the rate of matrix products, round by round."""
    rates = ratio(seconds["product"], seconds[name])
    factor = case.flops / limits.matrix_flops()
    return Spread(rates.median * factor, rates.least * factor, rates.most * factor)


def _judge(
    settings: Settings, case: Case, seconds: Seconds, lengths: Seconds, peak: Spread | None, training: Seconds
) -> list[Judgement]:
    forward, both = seconds["ours"], seconds["ours both"]
    medians = [Spread.of(s).median for s in _per_token(lengths).values()]
    measured: dict[Target, Spread | None] = {
        Target("causal forward: best chunked PyTorch's seconds / ours", 4.0, True): ratio(_best(seconds), forward),
        Target("causal forward: scaled_dot_product_attention's / ours", 20.0, True): ratio(seconds["softmax"], forward),
        Target("causal forward: share of the flop limit", 0.5, True): _share(case, seconds),
        Target("forward + backward: best chunked PyTorch's / ours", 3.0, True): ratio(_best(seconds, " both"), both),
        Target("forward + backward: peak memory, tensors of q's size", 9.0): peak,
        Target("time per token, most / least from 1k to 256k", 1.1): Spread.of([max(medians) / min(medians)]),
        Target("training one layer in context: einsum's seconds / ours", 3.0, True): ratio(
            training["einsum, 1 layer"], training["ours, 1 layer"]
        ),
    }
    return judged(measured, full=not settings.quick and settings.size == FULL_SIZE)


def _comparisons(case: Case, seconds: Seconds, training: Seconds) -> list[Comparison]:
    forward, name = seconds["ours"], f"attention, {case.name}"
    in_context = ratio(training["einsum, 1 layer"], training["ours, 1 layer"])
    return [
        Comparison(f"{name}, forward", "chunked PyTorch", ratio(_best(seconds), forward)),
        Comparison(f"{name}, forward", "scaled_dot_product_attention", ratio(seconds["softmax"], forward)),
        Comparison(f"{name}, both", "chunked PyTorch", ratio(_best(seconds, " both"), seconds["ours both"])),
        Comparison("training one layer in context", "einsum", in_context),
    ]


def _first_figures(case: Case, seconds: Seconds) -> Figures:
    rows: list[dict[str, Cell]] = [
        {
            "what": name,
            "ms": Spread.of(1e3 * s for s in its),
            "times ours": ratio(its, seconds["ours both" if name.endswith("both") else "ours"]),
        }
        for name, its in seconds.items()
    ]
    note = "both: forward + backward to q, k, v. product: torch.mm of 2048 x 2048 float32 matrices."
    return Figures(f"{case.name}, causal", rows, note)


def _size_figures(others: list[tuple[Case, Seconds]]) -> Figures:
    rows: list[dict[str, Cell]] = [
        {
            "batch x heads x length x width": case.name,
            "ms": Spread.of(1e3 * s for s in seconds["ours"]),
            "share of the flop limit": f"{_share(case, seconds).median:.0%}",
            "best chunked / ours": ratio(_best(seconds), seconds["ours"]),
        }
        for case, seconds in others
    ]
    return Figures("Other sizes, causal, forward", rows, "The limit is float32's for every dtype.")


def _length_figures(lengths: Seconds) -> Figures:
    rows: list[dict[str, Cell]] = [
        {"tokens": n, "ns per token": Spread.of(1e9 * s for s in its)} for n, its in _per_token(lengths).items()
    ]
    return Figures("Causal forward, 8 heads, width 64, by length", rows)


def _training_figures(training: Seconds) -> Figures:
    steps = attention_training.STEPS
    rows: list[dict[str, Cell]] = [
        {
            "attention by": name,
            "steps/s": Spread.of(steps / s for s in its),
            "its seconds / ours": ratio(its, training[name.replace("einsum", "ours")]),
        }
        for name, its in training.items()
    ]
    return Figures("Training in context, 2,048 tasks of 10 examples of 10 numbers a step", rows)
