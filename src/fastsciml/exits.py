"""How a command ends: its exit code, and one sentence where it fails."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import typer

NOT_CONVERGED, FAILED, BAD_INPUT, INTERRUPTED = 1, 1, 2, 130


@contextmanager
def notes_afterwards() -> Iterator[None]:
    """Keep warnings from tearing the progress bar apart: show them once it is done."""
    with warnings.catch_warnings(record=True) as caught:
        yield
    for warning in caught:
        typer.echo(f"note: {warning.message}", err=True)


@contextmanager
def refusing_bad_input() -> Iterator[None]:
    try:
        yield
    except (ValueError, TypeError) as error:
        fail(str(error), BAD_INPUT)


@contextmanager
def failing_in_one_sentence() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        fail("interrupted", INTERRUPTED)
    except (OSError, MemoryError) as error:
        fail(str(error) or "not enough memory for this problem", FAILED)


def fail(sentence: str, code: int) -> NoReturn:
    typer.echo(f"fastsciml: {sentence.rstrip('.')}.", err=True)
    raise typer.Exit(code)
