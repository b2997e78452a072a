"""`MgNO` in the training loop of the library neuraloperator, with its losses."""

import warnings

import pytest
import torch
from torch.utils.data import DataLoader

from fastsciml.operators import MgNO

neuralop = pytest.importorskip("neuralop", reason="the package neuraloperator is not installed")


@pytest.mark.parametrize("loss", ["LpLoss", "H1Loss"])
def test_trains_in_neuraloperators_trainer(loss):
    x = torch.randn(8, 1, 16, 16)
    samples = [{"x": a, "y": torch.nn.functional.avg_pool2d(a, 3, 1, 1)} for a in x]
    model = MgNO(width=8, layers=2, levels=3)
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    trainer = neuralop.Trainer(model=model, n_epochs=10)
    measure = getattr(neuralop, loss)(d=2)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r".*unexpected keyword arguments: \['x'\]")
        before = trainer.evaluate({"error": measure}, DataLoader(samples, 4))["_error"]
        after = trainer.train(
            DataLoader(samples, 4),
            {"test": DataLoader(samples, 4)},
            optimizer,
            torch.optim.lr_scheduler.ConstantLR(optimizer),
            training_loss=measure,
            eval_losses={"error": measure},
        )["test_error"]
    assert after < 0.9 * before
