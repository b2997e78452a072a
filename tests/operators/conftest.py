"""One thread: these models are so small that threads would wait for each other for longer than they work."""

import pytest


@pytest.fixture(autouse=True)
def _one_thread(one_thread: None) -> None:
    pass
