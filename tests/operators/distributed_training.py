"""Trains as one of torchrun's processes, and has the first one save: CHECKPOINT."""

import sys
from pathlib import Path

import torch
from tiny_training import UNEVEN, trainer

from fastsciml.operators.distributed import joined

torch.set_num_threads(1)
with joined("cpu") as (ranks, _):
    distributed = trainer(train=UNEVEN, ranks=ranks, dtype=torch.float64, batch=3, epochs=2)
    distributed.run(Path(sys.argv[1]))
