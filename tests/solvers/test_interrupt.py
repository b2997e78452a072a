import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from fastsciml import solve_poisson

# Long enough to be met in the middle, and many calls of the kernels rather than one.
LONG_SOLVE = """
import torch, fastsciml
rhs = torch.ones(1500, 24, 24, 24, dtype=torch.float64)
fastsciml.solve_poisson(rhs, dims=3, tol=1e-12, progress=lambda *step: print("step", *step, flush=True))
print("finished", flush=True)
"""


def test_ctrl_c_ends_a_long_solve():
    with subprocess.Popen(
        [sys.executable, "-c", LONG_SOLVE], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ
    ) as process:
        assert process.stdout.readline().startswith("step 1 ")
        process.send_signal(signal.SIGINT)
        try:
            out, err = process.communicate(timeout=120)  # a solve that does not end early finishes, which shows below
        finally:
            process.kill()
    assert process.returncode == -signal.SIGINT
    assert err.rstrip().endswith("KeyboardInterrupt")
    assert "finished" not in out


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_exception_of_the_progress_function_passes_through(error):
    rhs = np.random.randn(16, 16, 16)
    kept, expected = rhs.copy(), solve_poisson(rhs).solution

    def stop(iteration, residual):
        if iteration == 1:
            raise error

    with pytest.raises(error):
        solve_poisson(rhs, progress=stop)
    np.testing.assert_array_equal(rhs, kept)
    np.testing.assert_array_equal(solve_poisson(rhs).solution, expected)
