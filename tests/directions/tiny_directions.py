"""A training run that takes a second or two: a box of 16^3 cells, 6 steps an epoch, the last of them short."""

from fastsciml.directions import Settings, Trainer, training_data

SMALL = {
    "problem": "box",
    "size": 16,
    "ritz": 60,
    "count": 44,
    "validation": 8,
    "epochs": 3,
    "batch": 8,
    "rate": 3e-3,
    "changes": {"channels": 8, "layers": [2, 1, 1]},
}


def settings(**changes):
    return Settings(**{**SMALL, **changes})


def trainer(folder, **changes):
    of = settings(**changes)
    return Trainer(of, training_data(of, folder))


def losses(records):
    """All that is logged but the time."""
    return [(r.epoch, r.loss, r.validation_loss, r.rate) for r in records]
