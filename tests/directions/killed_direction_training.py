"""Trains as `tiny_directions` says until the second epoch's third step, and then kills itself: FOLDER CHECKPOINT."""

import os
import signal
import sys
from pathlib import Path

import torch
from tiny_directions import trainer

torch.set_num_threads(1)
folder, checkpoint = Path(sys.argv[1]), Path(sys.argv[2])


def kill(done, loss):
    if done > 1.4:
        os.kill(os.getpid(), signal.SIGKILL)


# After every step, so that it goes on from the middle of an epoch.
trainer(folder, schedule="cosine").run(checkpoint, save_every=0, on_batch=kill)
