import math

import pytest
import torch

from fastsciml.incontext.experiment import Experiment
from fastsciml.incontext.references import compare, evaluation_tasks, references, tuning_tasks
from fastsciml.incontext.training import Trainer, load_learner
from fastsciml.nn import InContextTransformer

SMALL = {"x_dim": 3, "examples": 5, "batch": 32, "steps": 60, "rate": 3e-3}
EXPERIMENTS = [
    Experiment(**SMALL),
    Experiment(**SMALL, learner="softmax", layers=2, looped=True, mlp_width=8, layer_norm=True, schedule="cosine"),
    Experiment(**SMALL, learner="transformer", layers=1, width=8, heads=2, noise=0.5, x="normal"),
    Experiment(**{**SMALL, "x_dim": 1}, task="sine", features=(8, 8)),
    Experiment(**SMALL, task="teacher", learner="descent++", layers=2),
]


def weights(learner):
    return torch.cat([p.detach().flatten() for p in learner.parameters()])


@pytest.mark.parametrize("experiment", EXPERIMENTS, ids=lambda e: f"{e.task}-{e.learner}")
def test_resumed_training_is_the_same_bit_by_bit(experiment, tmp_path):
    whole = Trainer(experiment)
    whole.run(log_every=20)
    half = Trainer(experiment)
    half.run(log_every=20, on_record=lambda record: half.stop())
    assert half.step == 20
    half.save(tmp_path / "half")
    resumed = Trainer.resumed(tmp_path / "half")
    resumed.advance(7)
    resumed.save(tmp_path / "more")
    resumed = Trainer.resumed(tmp_path / "more")
    resumed.run(log_every=20)
    assert torch.equal(weights(resumed.learner), weights(whole.learner))
    assert [r.validation_loss for r in resumed.records] == [r.validation_loss for r in whole.records]


@pytest.mark.parametrize("experiment", EXPERIMENTS, ids=lambda e: f"{e.task}-{e.learner}")
def test_trained_learner_is_read_back(experiment, tmp_path):
    trainer = Trainer(experiment)
    trainer.run(log_every=30, checkpoint=tmp_path / "run")
    found, learner = load_learner(tmp_path / "run")
    assert found == experiment
    assert torch.equal(weights(learner), weights(trainer.learner))


def test_one_layer_becomes_gradient_descent():
    experiment = Experiment(x_dim=4, examples=8, batch=512, steps=500, rate=1e-2, init_std=0.1, schedule="cosine")
    trainer = Trainer(experiment)
    trainer.run(log_every=250)
    last = trainer.records[-1]
    assert last.validation_loss == pytest.approx(last.reference_loss, rel=0.01)
    assert last.cosine > 0.99
    assert last.prediction < 0.1


@pytest.mark.parametrize("experiment", EXPERIMENTS, ids=lambda e: f"{e.task}-{e.learner}")
def test_every_reference_is_compared(experiment):
    learner = experiment.build()
    against = references(experiment, learner, tuning_tasks(experiment))
    rows = compare(learner, against, evaluation_tasks(experiment), evaluation_tasks(experiment))
    assert [row.name for row in rows] == list(against)
    assert all(math.isfinite(row.loss) and row.squared > 0 for row in rows)


def test_transformer_learns_after_every_prefix():
    experiment = EXPERIMENTS[2]
    learner = experiment.build()
    assert isinstance(learner, InContextTransformer)
    tasks = tuning_tasks(experiment)
    expected = (learner.prefixes(tasks.all_x, tasks.all_y) - tasks.all_y).square().sum(-1).mean() / 2
    torch.testing.assert_close(experiment.loss(learner, tasks), expected)


def test_first_weights_depend_on_the_seed_alone():
    torch.manual_seed(5)
    one = Experiment(seed=1).build()
    torch.manual_seed(6)
    assert torch.equal(weights(one), weights(Experiment(seed=1).build()))
    assert not torch.equal(weights(one), weights(Experiment(seed=2).build()))


def test_loss_that_is_not_finite_is_named():
    trainer = Trainer(Experiment(**{**SMALL, "rate": 1e30}))
    with pytest.raises(FloatingPointError, match="lower the rate"):
        trainer.run(log_every=5)


def test_a_batch_without_a_finite_gradient_changes_nothing(monkeypatch):
    trainer = Trainer(EXPERIMENTS[0])
    trainer.advance(3)
    before = weights(trainer.learner)
    loss = Experiment.loss
    monkeypatch.setattr(Experiment, "loss", lambda self, learner, tasks: loss(self, learner, tasks) * torch.inf)
    trainer.advance(1)
    assert torch.equal(weights(trainer.learner), before)
    monkeypatch.undo()
    trainer.advance(1)
    assert weights(trainer.learner).isfinite().all()
    assert not torch.equal(weights(trainer.learner), before)


def test_a_run_goes_on_on_the_kind_of_device_it_began_on(tmp_path):
    Trainer(EXPERIMENTS[0]).save(tmp_path / "run")
    with pytest.raises(ValueError, match="is of a run on cpu: it cannot go on on cuda"):
        Trainer.resumed(tmp_path / "run", "cuda")


def test_experiment_is_what_was_written():
    for experiment in EXPERIMENTS:
        assert Experiment.from_dict(experiment.to_dict()) == experiment
    with pytest.raises(ValueError, match="unknown settings: other"):
        Experiment.from_dict({"other": 1})


@pytest.mark.parametrize("content", [None, b"", b"not a checkpoint", b"\x08\x00\x00\x00\x00\x00\x00\x00{}      "])
def test_no_whole_checkpoint_is_refused(content, tmp_path):
    path = tmp_path / "checkpoint"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match="checkpoint"):
        Trainer.resumed(path)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"task": "other"}, "task must be one of linear, sine, teacher"),
        ({"learner": "other"}, "learner must be one of"),
        ({"schedule": "other"}, "schedule must be one of"),
        ({"layers": 0}, "layers must be positive"),
        ({"rate": 0.0}, "rate must be positive"),
        ({"mlp_width": -1}, "mlp_width must be positive"),
        ({"learner": "transformer", "features": (4,)}, "features must be"),
        ({"task": "teacher", "noise": 0.1}, "noise and nonzero are for linear tasks"),
        ({"task": "sine", "x_dim": 2}, "must be 1 for sine waves"),
    ],
)
def test_bad_settings_are_refused(settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        Experiment(**settings)
