"""What kernels compute in. Needs no triton."""

import torch
from torch import Tensor


def real_dtype(x: Tensor) -> torch.dtype:
    """What x is computed in, and its parameters, states and statistics are held in."""
    return torch.float64 if x.dtype == torch.float64 else torch.float32
