"""Seeds of streams of random numbers that have nothing to do with each other."""

import numpy as np


def mixed_seed(*numbers: int) -> int:
    """One seed of several numbers, at least 0: far from that of their neighbours."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))
