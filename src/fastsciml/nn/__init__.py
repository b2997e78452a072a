"""Layers made of the package's operators."""

from fastsciml.nn.convert import convert_norm_activation
from fastsciml.nn.evonorm import EvoNormB0, EvoNormB1, EvoNormB2, EvoNormS0, EvoNormS1, EvoNormS2

__all__ = [
    "EvoNormB0",
    "EvoNormB1",
    "EvoNormB2",
    "EvoNormS0",
    "EvoNormS1",
    "EvoNormS2",
    "convert_norm_activation",
]
