"""Neural operators: models from functions to functions, and their training."""

from fastsciml.operators.losses import RelativeH1, RelativeL2
from fastsciml.operators.mgno import MgNO
from fastsciml.operators.normaliser import NormalisedOperator, Normaliser
from fastsciml.operators.published_layout import from_published, to_published
from fastsciml.operators.resolution import AtTrainingResolution
from fastsciml.operators.run import Run, load_model
from fastsciml.operators.settings import RunSettings, TrainingSettings
from fastsciml.operators.training import Record, Trainer

__all__ = [
    "AtTrainingResolution",
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
    "from_published",
    "load_model",
    "to_published",
]
