"""Arrays that show a kernel's stray accesses."""

import numpy as np

GUARD_BYTES = 4096
ALIGNMENT = 512  # of memory that torch allocates on a device
# In every byte of fresh memory: NaN as float32 and float64, no bit pattern a kernel writes by chance.
POISON = 0xFF


class GuardedMemory:
    """Arrays between guard regions of poison, themselves poisoned until the test fills them.

    What a kernel reads outside is NaN and spoils its result; what it writes outside shows in `check`.
    """

    def __init__(self) -> None:
        self._memory: list[np.ndarray] = []

    def empty(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        bytes_inside = int(np.prod(shape)) * np.dtype(dtype).itemsize
        memory = np.full(bytes_inside + 2 * GUARD_BYTES + ALIGNMENT, POISON, dtype=np.uint8)
        start = -memory.ctypes.data % ALIGNMENT
        memory = memory[start : start + bytes_inside + 2 * GUARD_BYTES]
        self._memory.append(memory)
        return memory[GUARD_BYTES : GUARD_BYTES + bytes_inside].view(dtype).reshape(shape)

    def copy(self, array: np.ndarray) -> np.ndarray:
        guarded = self.empty(array.shape, array.dtype)
        guarded[...] = array
        return guarded

    def check(self) -> None:
        for memory in self._memory:
            for guard, side in ((memory[:GUARD_BYTES], "before"), (memory[-GUARD_BYTES:], "after")):
                assert (guard == POISON).all(), (
                    f"a kernel wrote {side} an array of {memory.size - 2 * GUARD_BYTES} bytes"
                )
