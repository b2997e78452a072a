"""Neural operators: models from functions to functions, and their training."""

from fastsciml.operators.losses import RelativeH1, RelativeL2
from fastsciml.operators.mgno import MgNO
from fastsciml.operators.normaliser import NormalisedOperator, Normaliser
from fastsciml.operators.run import Run, load_model
from fastsciml.operators.settings import RunSettings, TrainingSettings
from fastsciml.operators.training import Record, Trainer

__all__ = [
    "MgNO",
    "NormalisedOperator",
    "Normaliser",
    "Record",
    "RelativeH1",
    "RelativeL2",
    "Run",
    "RunSettings",
    "Trainer",
    "TrainingSettings",
    "load_model",
]
