import json
import math

import pytest

from fastsciml.operators import RunSettings, TrainingSettings

TRAINING = TrainingSettings(loss="l2", epochs=3, clip=1.5, amp="bfloat16", compile=True, side=1.0)
RUNS = [
    RunSettings(data="a.npz", changes={"width": 4}, training=TRAINING),
    RunSettings(generate="darcy-smooth", samples=7, test=2, refine=2),
]


@pytest.mark.parametrize("settings", RUNS)
def test_settings_are_what_was_written(settings):
    assert RunSettings.from_dict(json.loads(json.dumps(settings.to_dict()))) == settings


@pytest.mark.parametrize("kind", [TrainingSettings, RunSettings])
def test_unknown_settings_are_named(kind):
    with pytest.raises(ValueError, match="unknown settings: deepness, other"):
        kind.from_dict({"other": 1, "deepness": 2})


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"loss": "l3"}, "loss must be one of h1, l2, got 'l3'"),
        ({"schedule": "step"}, "schedule must be one of one-cycle, constant"),
        ({"optimizer": "sgd"}, "optimizer must be one of adam, adamw"),
        ({"amp": "float8"}, "amp must be one of none, bfloat16, float16"),
        ({"normalise_x": "pixel"}, "normalise_x must be one of channel, point, none"),
        ({"normalise_y": "pixel"}, "normalise_y must be one of channel, point, none"),
        ({"epochs": 0}, "epochs must be positive and finite, got 0"),
        ({"batch": -1}, "batch must be positive"),
        ({"rate": math.nan}, "rate must be positive"),
        ({"side": 0.0}, "side must be positive"),
        ({"clip": 0.0}, "clip must be positive"),
        ({"weight_decay": -0.1}, "weight_decay must be finite and not negative"),
        ({"seed": -1}, "seed must be finite and not negative"),
    ],
)
def test_bad_training_settings_are_refused(settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        TrainingSettings(**settings)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({}, "give one of data and generate"),
        ({"data": "a.npz", "generate": "darcy-rough"}, "give one of data and generate"),
        ({"generate": "darcy-rough", "test_data": "a.npz"}, "test_data goes with data from a file"),
        ({"data": "a.npz", "test": 0}, "test must be positive, got 0"),
        ({"data": "a.npz", "train": 0}, "train must be positive, got 0"),
        ({"data": "a.npz", "subsample": 0}, "subsample must be positive"),
        ({"data": "a.npz", "data_seed": -1}, "data_seed must not be negative"),
    ],
)
def test_bad_run_settings_are_refused(settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        RunSettings(**settings)
