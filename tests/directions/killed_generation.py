"""Makes the data of `tiny_directions` with a longer basis, and kills itself at COUNT of WHAT: FOLDER WHAT COUNT."""

import os
import signal
import sys
from pathlib import Path

import torch
from tiny_directions import settings

from fastsciml.directions import training_data

torch.set_num_threads(1)
folder, what, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])


def kill(now, done, total):
    if now == what and done >= count:
        os.kill(os.getpid(), signal.SIGKILL)


training_data(settings(ritz=120, count=300), folder, kill)
