"""Neural operators: models from functions to functions."""

from fastsciml.operators.mgno import MgNO

__all__ = ["MgNO"]
