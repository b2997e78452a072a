"""Ctrl-C that lets a training run end in order."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Stoppable(Protocol):
    """What can be told to end soon."""

    def stop(self) -> None:
        """Only take note; called from a signal's handler."""


@contextmanager
def stopping_on_interrupt(trainer: Stoppable) -> Iterator[None]:
    """The first Ctrl-C tells the trainer to stop, a second one ends at once."""

    def stop(*_: object) -> None:
        trainer.stop()
        signal.signal(signal.SIGINT, before)

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
