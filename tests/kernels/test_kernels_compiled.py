import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fastsciml.ops import evonorm_cuda

REGISTERS_OF_A_MULTIPROCESSOR = 65536


@pytest.mark.slow
@pytest.mark.parametrize("target", [80, 90, 100])
def test_every_kernel_compiles_and_spills_nothing(target, tmp_path):
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"} | {"TRITON_CACHE_DIR": str(tmp_path)}
    script = Path(__file__).with_name("compile_offline.py")
    done = subprocess.run([sys.executable, script, str(target)], env=environment, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr[-3000:]
    reports = [json.loads(line) for line in done.stdout.splitlines()]
    assert {report["kernel"] for report in reports} >= {"forward_kernel", "backward_kernel", "slope_kernel"}
    for report in reports:
        assert report["spilled"] == 0, report
        assert report["registers"] * report["threads"] <= REGISTERS_OF_A_MULTIPROCESSOR, report


def test_without_triton_a_sentence_names_the_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "fastsciml.kernels.evonorm_s_launch", None)
    with pytest.raises(RuntimeError, match=r"EvoNorm on CUDA tensors needs triton: pip install triton"):
        evonorm_cuda.evonorm_s(None, None, None, None, 2, True, 1e-5)
