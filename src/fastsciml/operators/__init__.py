"""Neural operators: models from functions to functions."""

from fastsciml.operators.mgno import MgNO
from fastsciml.operators.published_layout import from_published, to_published
from fastsciml.operators.resolution import AtTrainingResolution

__all__ = ["AtTrainingResolution", "MgNO", "from_published", "to_published"]
