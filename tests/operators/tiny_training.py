"""A training run that takes a second: Darcy flow on 17 x 17 points, 5 batches an epoch, the last of them short."""

import torch
from torch import nn

from fastsciml.data import DarcyFlow, OperatorData
from fastsciml.operators import MgNO, Trainer, TrainingSettings

DATA = DarcyFlow(17, refine=1).sample(26, generator=torch.Generator().manual_seed(0))
TRAIN, TEST = OperatorData(DATA.x[:18], DATA.y[:18]), OperatorData(DATA.x[18:], DATA.y[18:])
UNEVEN = OperatorData(DATA.x[:16], DATA.y[:16])  # in batches of 3 the last one is of 1
SMALL = {"epochs": 4, "batch": 4, "rate": 1e-2}


class WithDropout(nn.Module):
    """A model of another architecture, with random numbers in its steps and running statistics."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.GELU(), nn.Dropout(0.3), nn.Conv2d(4, 1, 1)
        )

    def forward(self, x):
        return self.layers(x)


def mgno(**changes):
    torch.manual_seed(0)
    return MgNO(**{"width": 4, "layers": 2, "levels": 3, **changes})


def dropout():
    torch.manual_seed(0)
    return WithDropout()


def trainer(model=None, train=TRAIN, test=TEST, ranks=None, dtype=None, **settings):
    model = (mgno() if model is None else model).to(dtype)
    return Trainer(model, TrainingSettings(**{**SMALL, **settings}), train, test, ranks=ranks)


def state(trained):
    """All weights and statistics of a trainer's operator."""
    return torch.cat([value.flatten().double() for value in trained.operator.state_dict().values()])
