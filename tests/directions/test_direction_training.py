import json
import math
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tiny_directions import losses, settings, trainer
from torch import nn

from fastsciml.directions import Settings, Trainer, training_data

KILLED = Path(__file__).parent / "killed_direction_training.py"


@pytest.fixture(autouse=True)
def _alone(one_thread):
    pass


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder that all trainers of one geometry share."""
    return tmp_path_factory.mktemp("data")


def weights(trained):
    return torch.cat([value.flatten() for value in trained.network.state_dict().values()])


def test_training_lowers_the_loss(data):
    t = trainer(data, epochs=6)
    before = t.validation_loss()
    t.run()
    assert t.finished
    assert [r.epoch for r in t.records] == [1, 2, 3, 4, 5, 6]
    assert t.records[-1].loss < 0.8 * t.records[0].loss
    assert t.best_loss < 0.8 * before
    t.load_best()
    assert t.validation_loss() == pytest.approx(t.best_loss)


def test_network_learns_what_can_be_learned(data):
    class Damped(nn.Module):
        """Two steps of a relaxation with one weight."""

        def __init__(self):
            super().__init__()
            self.omega = nn.Parameter(torch.tensor(0.0))

        def bound_to(self, solver):
            apply = solver._samples[0].placed.operator
            return lambda b: 2 * b - self.omega * apply(b[:, 0])[:, None]

    of = settings(rate=3e-2)
    t = Trainer(of, training_data(of, data), network=Damped())
    t.run()
    assert abs(t.network.omega.item()) > 0.1
    assert t.records[-1].validation_loss < t.records[0].validation_loss


@pytest.mark.parametrize("steps", [3, 6, 8])
def test_stopped_training_goes_on_bit_by_bit(tmp_path, data, steps):
    straight = trainer(data, schedule="cosine")
    straight.run()
    first = trainer(data, schedule="cosine")
    taken = 0

    def stop(done, loss):
        nonlocal taken
        taken += 1
        if taken == steps:
            first.stop()

    first.run(tmp_path / "c.safetensors", on_batch=stop)
    assert first.stopped
    second = trainer(data, schedule="cosine")
    second.load(tmp_path / "c.safetensors")
    second.run()
    assert weights(second).equal(weights(straight))
    assert losses(second.records) == losses(straight.records)
    assert all(second.best[name].equal(straight.best[name]) for name in straight.best)


@pytest.mark.slow
def test_killed_training_goes_on_bit_by_bit(tmp_path, data):
    checkpoint = tmp_path / "c.safetensors"
    ended = subprocess.run([sys.executable, KILLED, data, checkpoint], capture_output=True, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    after = trainer(data, schedule="cosine")
    after.load(checkpoint)
    assert after.epoch == 1
    after.run()
    straight = trainer(data, schedule="cosine")
    straight.run()
    assert weights(after).equal(weights(straight))
    assert losses(after.records) == losses(straight.records)


def test_training_ends_when_the_validation_loss_gets_no_lower(tmp_path, data, monkeypatch):
    t = trainer(data, epochs=20, patience=2)
    told = iter([0.5, 0.4, 0.6, 0.41, 0.3])
    monkeypatch.setattr(t, "validation_loss", lambda: next(told))
    kept = {}
    t.run(tmp_path / "c.safetensors", on_record=lambda r: kept.update({r.epoch: weights(t).clone()}))
    assert t.finished
    assert not t.stopped
    assert (t.epoch, t.best_loss) == (4, 0.4)
    t.load_best()
    assert weights(t).equal(kept[2])
    again = trainer(data, epochs=20, patience=2)
    again.load(tmp_path / "c.safetensors")
    assert again.finished
    again.load_best()
    assert weights(again).equal(kept[2])


def test_geometries_take_turns(tmp_path):
    t = trainer(tmp_path, problem="obstacles", size=8, ritz=30, geometries=3, count=18, validation=4, epochs=2)
    seeds = {g.seed for g in t.geometries}
    assert len(seeds) == 3
    assert [number for number, _ in t._batches(0)] == [0, 1, 2] * 3
    assert sorted(int(i) for number, own in t._batches(0) if number == 1 for i in own) == list(range(18))
    t.run()
    assert math.isfinite(t.best_loss)


def test_schedule_lowers_the_rate_to_the_last_step(data):
    rates = []
    t = trainer(data, schedule="cosine")
    t.run(on_batch=lambda done, loss: rates.append(t.optimizer.param_groups[0]["lr"]))
    assert rates[0] == 3e-3
    assert sorted(rates, reverse=True) == rates
    assert rates[-1] < 0.01 * rates[0]


def test_half_precision_lowers_the_loss_as_well(data):
    t = trainer(data, amp="bfloat16", epochs=2)
    t.run()
    assert t.records[1].validation_loss < t.records[0].validation_loss
    assert next(t.network.parameters()).dtype == torch.float32


def test_checkpoint_of_another_training_is_refused(tmp_path, data):
    t = trainer(data)
    t.save(tmp_path / "c.safetensors")
    with pytest.raises(ValueError, match=r"another training: rate 0.003 instead of 0.1"):
        trainer(data, rate=0.1).load(tmp_path / "c.safetensors")
    with pytest.raises(ValueError, match="no checkpoint"):
        t.load(tmp_path / "none.safetensors")


def test_loss_that_is_not_finite_ends_training(tmp_path, data):
    t = trainer(data)
    with torch.no_grad():
        next(t.network.parameters()).fill_(torch.nan)
    with pytest.raises(FloatingPointError, match="lower the rate"):
        t.run(tmp_path / "c.safetensors")
    assert not (tmp_path / "c.safetensors").exists()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"network": "unet"}, "network must be one of dcdm-64, dcdm-128, multigrid"),
        ({"problem": "sphere"}, "problem must be one of"),
        ({"dims": 1}, "dims must be one of 2, 3"),
        ({"schedule": "step"}, "schedule must be one of"),
        ({"amp": "float16"}, "amp must be one of"),
        ({"ritz": 0}, "ritz must be positive"),
        ({"patience": 0}, "patience must be positive"),
        ({"size": 3}, "size must be at least 4"),
        ({"geometries": 2}, 'geometries are of "obstacles"'),
        ({"low_share": 2}, "low_share must lie"),
        ({"rate": math.inf}, "rate must be positive and finite"),
        ({"seed": -1}, "seed must not be negative"),
    ],
)
def test_settings_that_do_not_fit_are_refused(changes, sentence):
    with pytest.raises(ValueError, match=sentence):
        Settings(**changes)


def test_settings_outlive_json():
    of = settings(network="dcdm-128", geometries=1)
    assert Settings.from_dict(json.loads(json.dumps(of.to_dict()))) == of
    with pytest.raises(ValueError, match="unknown settings: depth"):
        Settings.from_dict({"depth": 3})


def test_multigrid_is_trained_bound_to_every_geometry(tmp_path):
    pytest.importorskip("fastsciml.directions.multigrid_direction")
    of = {"problem": "obstacles", "geometries": 2, "size": 8, "ritz": 30, "count": 40, "validation": 8}
    t = trainer(tmp_path, network="multigrid", changes={}, rate=1e-2, **of)
    before = t.validation_loss()
    t.run()
    assert t.best_loss < before
