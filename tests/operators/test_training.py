import dataclasses
import math
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import torch
from tiny_training import DATA, SMALL, TEST, TRAIN, dropout, mgno, state, trainer
from torch import nn

from fastsciml.data import OperatorData
from fastsciml.operators import RelativeH1, RelativeL2, Trainer, TrainingSettings

KINDS = {
    "default": {},
    "l2, clipped, decoupled decay": {"loss": "l2", "clip": 0.5, "optimizer": "adamw", "weight_decay": 1e-2},
    "bfloat16": {"amp": "bfloat16", "schedule": "constant"},
    "per point": {"normalise_x": "point", "normalise_y": "point", "seed": 3},
    "checkpointed": {"checkpoint_gradients": True, "normalise_x": "none"},
}
every_kind = pytest.mark.parametrize("settings", KINDS.values(), ids=KINDS)


@every_kind
@pytest.mark.parametrize("make", [mgno, dropout])
def test_resumed_training_is_the_same_bit_by_bit(make, settings, tmp_path):
    whole = trainer(make(), **settings)
    whole.run()
    checkpoint = tmp_path / "checkpoint"
    half = trainer(make(), **settings)
    half.run(checkpoint, on_batch=lambda done: half.stop() if done > 1.5 else None)
    assert half.stopped
    assert (half.epoch, len(half.records)) == (1, 1)
    resumed = trainer(make(), **settings)
    resumed.load(checkpoint)
    resumed.run(checkpoint, on_record=lambda record: resumed.stop())
    assert resumed.epoch == 2
    last = trainer(make(), **settings)
    last.load(checkpoint)
    last.run(checkpoint)
    assert state(last).equal(state(whole))
    for record, expected in zip(last.records, whole.records, strict=True):
        assert dataclasses.replace(record, seconds=0) == dataclasses.replace(expected, seconds=0)


def test_killed_training_loses_less_than_an_epoch_and_goes_on_bit_by_bit(tmp_path):
    checkpoint = tmp_path / "checkpoint"
    script = Path(__file__).with_name("killed_training.py")
    killed = subprocess.run([sys.executable, script, checkpoint, "3"], stderr=subprocess.PIPE, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    resumed, whole = trainer(), trainer()
    resumed.load(checkpoint)
    assert resumed.epoch == 2
    resumed.run()
    whole.run()
    assert state(resumed).equal(state(whole))


@pytest.mark.parametrize("loss", ["l2", "h1"])
@pytest.mark.parametrize("amp", ["none", "bfloat16"])
def test_error_falls(loss, amp):
    trained = trainer(mgno(width=8), epochs=12, loss=loss, amp=amp)
    trained.run()
    first, last = trained.records[0], trained.records[-1]
    assert last.train_loss < 0.7 * first.train_loss
    assert getattr(last, f"test_{loss}") < 0.7 * getattr(first, f"test_{loss}")


def test_records_tell_the_test_errors_and_the_last_rate():
    trained = trainer(schedule="constant")
    trained.run()
    with torch.no_grad():
        found = trained.operator.eval()(TEST.x)
    last = trained.records[-1]
    assert last.test_l2 == pytest.approx(float(RelativeL2()(found, TEST.y)), rel=1e-5)
    assert last.test_h1 == pytest.approx(float(RelativeH1()(found, TEST.y)), rel=1e-5)
    assert [record.rate for record in trained.records] == [SMALL["rate"]] * 4
    assert [record.epoch for record in trained.records] == [1, 2, 3, 4]


def test_rate_goes_through_one_cycle():
    trained = trainer()
    rates = []
    trained.run(on_batch=lambda done: rates.append(trained.optimizer.param_groups[0]["lr"]))
    assert len(rates) == 20
    assert max(rates) == pytest.approx(SMALL["rate"], rel=1e-2)
    assert rates[0] < 0.2 * SMALL["rate"]
    assert rates[-1] < 1e-4 * SMALL["rate"]


def test_train_loss_is_the_mean_over_all_samples_once():
    trained = trainer(nn.Conv2d(1, 1, 1), schedule="constant", rate=1e-30)
    expected = float(RelativeH1()(trained.operator(TRAIN.x), TRAIN.y).detach())
    trained.run()
    assert [record.train_loss for record in trained.records] == pytest.approx([expected] * 4, rel=1e-5)


def test_shuffling_depends_on_seed_and_epoch():
    orders = [torch.cat(trainer(seed=seed)._batches(epoch)) for seed, epoch in ((0, 0), (0, 1), (1, 0), (0, 0))]
    assert all(order.sort().values.equal(torch.arange(18)) for order in orders)
    assert orders[0].equal(orders[3])
    assert not orders[0].equal(orders[1])
    assert not orders[0].equal(orders[2])


class Layered(nn.Module):
    """Counts the runs of its layers, which do not checkpoint themselves."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.ModuleList(nn.Conv2d(before, 4, 3, padding=1) for before in (1, 4))
        self.end = nn.Conv2d(4, 1, 1)
        self.runs = 0
        for layer in self.layers:
            layer.forward = partial(self.counted, layer.forward)

    def counted(self, forward, x):
        self.runs += 1
        return forward(x)

    def forward(self, x):
        for layer in self.layers:
            x = nn.functional.gelu(layer(x))
        return self.end(x)


def test_checkpointed_layers_run_twice_and_train_alike():
    runs, states = [], []
    for checkpointed in (False, True):
        model = Layered()
        trained = trainer(model, checkpoint_gradients=checkpointed, epochs=1)
        model.runs = 0
        trained.run()
        runs.append(model.runs)
        states.append(state(trained))
    assert states[0].equal(states[1])
    assert runs == [2 * (5 + 2), 2 * (2 * 5 + 2)]  # batches of training and of testing


def test_modules_that_checkpoint_themselves_are_told_to():
    model = Layered()
    for layer in model.layers:
        layer.checkpoint = False
    trained = trainer(model, checkpoint_gradients=True, epochs=1)
    assert all(layer.checkpoint is True for layer in model.layers)
    model.runs = 0
    trained.run()
    assert model.runs == 2 * (5 + 2)


def test_compiled_training_is_the_plain_one_up_to_rounding(monkeypatch):
    compiled = torch.compile
    monkeypatch.setattr(torch, "compile", lambda module: compiled(module, backend="eager"))
    results = [trainer(mgno(), epochs=1, compile=on) for on in (True, False)]
    for trained in results:
        trained.run()
    torch.testing.assert_close(state(results[0]), state(results[1]), rtol=1e-4, atol=1e-5)


def test_bfloat16_rounds_and_weights_stay_float32():
    results = [trainer(epochs=1, amp=amp) for amp in ("none", "bfloat16")]
    for trained in results:
        trained.run()
    assert {p.dtype for p in results[1].operator.parameters()} == {torch.float32}
    assert not state(results[0]).equal(state(results[1]))


@pytest.mark.parametrize("clip", [None, 0.5])
def test_scaled_losses_train_as_others_and_a_gradient_that_overflows_changes_nothing(clip, tmp_path):
    """What float16 does on CUDA: a scale that is a power of 2 is exact."""
    plain, scaled, resumed = (trainer(clip=clip) for _ in range(3))
    for one in (scaled, resumed):
        one.scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    plain.run()
    scaled.run(tmp_path / "half", minutes=0)
    before = state(scaled)
    scaled.scaler.update(1e38)
    scaled._take_step(torch.arange(4))
    assert state(scaled).equal(before)
    assert scaled.scaler.get_scale() == pytest.approx(0.5e38)
    resumed.load(tmp_path / "half")
    assert resumed.scaler.get_scale() == 1024.0
    resumed.run()
    assert state(resumed).equal(state(plain))


def test_time_that_is_up_ends_after_the_epoch(tmp_path):
    limited = trainer()
    limited.run(tmp_path / "checkpoint", minutes=0)
    assert (limited.epoch, limited.stopped) == (1, False)
    resumed, whole = trainer(), trainer()
    resumed.load(tmp_path / "checkpoint")
    resumed.run()
    whole.run()
    assert state(resumed).equal(state(whole))


def test_training_leaves_torchs_own_random_numbers_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    trained = trainer(dropout(), epochs=1)
    torch.manual_seed(5)
    trained.run()
    assert torch.rand(3).equal(expected)


def test_loss_that_is_not_finite_is_named_and_the_checkpoint_stays_good(tmp_path):
    checkpoint = tmp_path / "checkpoint"
    trained = trainer()
    with pytest.raises(FloatingPointError, match="no longer finite in epoch 3: lower the rate"):
        trained.run(checkpoint, on_record=lambda record: spoil(trained) if record.epoch == 2 else None)
    good = trainer()
    good.load(checkpoint)
    assert good.epoch == 2


def spoil(trained):
    def broken(x, y):
        return (x * math.nan).sum()

    trained.losses["h1"].forward = broken


def replaced(data, letter, sample, value):
    tensors = {"x": data.x.clone(), "y": data.y.clone()}
    tensors[letter][sample] = value
    return OperatorData(tensors["x"], tensors["y"])


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: trainer(train=replaced(TRAIN, "x", (3, 0, 1, 2), math.nan)), "x of the training data .* in sample 3"),
        (lambda: trainer(train=replaced(TRAIN, "y", (2, 0, 1, 2), math.inf)), "y of the training data .* in sample 2"),
        (lambda: trainer(test=replaced(TEST, "y", 1, 0.0)), "y of the test data is zero everywhere in sample 1"),
        (lambda: trainer(mgno(out_channels=2)), r"makes \(2, 17, 17\) of x, and y is \(1, 17, 17\)"),
        (lambda: trainer(test=OperatorData(DATA.x, torch.cat([DATA.y] * 2, 1))), "as many channels"),
        (lambda: trainer(mgno(levels=9, boundary="neumann")), "points along every axis"),
        (lambda: trainer(amp="float16"), "float16 is for CUDA"),
        (lambda: trainer(normalise_x="point", test=OperatorData(TEST.x[..., ::2], TEST.y[..., ::2])), "per channel"),
    ],
)
def test_data_and_models_that_do_not_fit_are_refused(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()


@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        (lambda: trainer(rate=1.0), "another training: rate 0.01 instead of 1.0"),
        (lambda: trainer(mgno(width=5)), "another architecture: it has a .* as model.cycles.0"),
        (lambda: trainer(mgno(layers=3)), "another architecture: it lacks model.cycles.2"),
        (lambda: trainer(dropout()), "another architecture"),
        (lambda: trainer(train=OperatorData(2 * TRAIN.x, TRAIN.y)), "other training data"),
    ],
)
def test_checkpoints_of_others_are_refused(other, sentence, tmp_path):
    trainer().save(tmp_path / "checkpoint")
    with pytest.raises(ValueError, match=sentence):
        other().load(tmp_path / "checkpoint")


@pytest.mark.parametrize("content", [None, b"", b"not a checkpoint", b"\x08\x00\x00\x00\x00\x00\x00\x00{}      "])
def test_no_whole_checkpoint_is_refused(content, tmp_path):
    path = tmp_path / "checkpoint"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match="checkpoint"):
        trainer().load(path)


def test_test_grid_may_be_another():
    coarse = OperatorData(TEST.x[..., ::2, ::2].contiguous(), TEST.y[..., ::2, ::2].contiguous())
    trained = trainer(test=coarse, epochs=1)
    trained.run()
    assert math.isfinite(trained.records[0].test_h1)


def test_one_dimension_and_float64():
    x = torch.randn(8, 2, 32, dtype=torch.float64)
    data = OperatorData(x, x.cumsum(-1))
    trained = Trainer(mgno(in_channels=2, out_channels=2, dims=1).double(), TrainingSettings(**SMALL), data, data)
    trained.run()
    assert trained.records[-1].train_loss < trained.records[0].train_loss
    assert {p.dtype for p in trained.operator.parameters()} == {torch.float64}
