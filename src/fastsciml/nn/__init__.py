"""Layers made of the package's operators."""

from fastsciml.nn.convert import convert_norm_activation
from fastsciml.nn.evonorm import EvoNormB0, EvoNormB1, EvoNormB2, EvoNormS0, EvoNormS1, EvoNormS2
from fastsciml.nn.in_context import InContextBlock, InContextLearner
from fastsciml.nn.in_context_transformer import InContextTransformer
from fastsciml.nn.multigrid_conv import MgConv1d, MgConv2d, MgConv3d
from fastsciml.nn.self_attention import LinearSelfAttention, SoftmaxSelfAttention

__all__ = [
    "EvoNormB0",
    "EvoNormB1",
    "EvoNormB2",
    "EvoNormS0",
    "EvoNormS1",
    "EvoNormS2",
    "InContextBlock",
    "InContextLearner",
    "InContextTransformer",
    "LinearSelfAttention",
    "MgConv1d",
    "MgConv2d",
    "MgConv3d",
    "SoftmaxSelfAttention",
    "convert_norm_activation",
]
