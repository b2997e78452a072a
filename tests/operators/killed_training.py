"""Trains as `tiny_training` says until an epoch's second batch, and then kills itself: CHECKPOINT EPOCH."""

import os
import signal
import sys
from pathlib import Path

import torch
from tiny_training import trainer

torch.set_num_threads(1)
checkpoint, epoch = Path(sys.argv[1]), int(sys.argv[2])


def kill(done):
    if done > epoch - 1 + 0.3:
        os.kill(os.getpid(), signal.SIGKILL)


trainer().run(checkpoint, on_batch=kill)
