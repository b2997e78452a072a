import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tiny_training import UNEVEN, state, trainer

from fastsciml.operators.distributed import VARIABLES, Ranks, joined

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


def test_two_processes_train_as_one_with_the_whole_batch(tmp_path):
    """Batches of 3 among two, so that their shares differ, and the last one of 1, so that one has none."""
    script = Path(__file__).with_name("distributed_training.py")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*TORCHRUN, script, tmp_path / "checkpoint"], env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    both, one = (trainer(train=UNEVEN, dtype=torch.float64, batch=3, epochs=2) for _ in range(2))
    both.load(tmp_path / "checkpoint")
    one.run()
    torch.testing.assert_close(state(both), state(one), rtol=1e-8, atol=1e-10)
    for record, expected in zip(both.records, one.records, strict=True):
        for name in ("epoch", "rate", "train_loss", "test_l2", "test_h1"):
            assert getattr(record, name) == pytest.approx(getattr(expected, name), rel=1e-8)


@pytest.mark.parametrize("world", [1, 2, 3, 5])
def test_shares_make_up_the_batch_and_differ_by_one_at_most(world):
    shares = [Ranks(rank, world).share(torch.arange(7)) for rank in range(world)]
    assert torch.cat(shares).sort().values.equal(torch.arange(7))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_without_torchrun_a_process_is_alone(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    with joined("cpu") as (ranks, device):
        assert (ranks, device) == (Ranks(), "cpu")
    assert ranks.first
    assert ranks.any(True, torch.device("cpu"))
    assert not ranks.any(False, torch.device("cpu"))
