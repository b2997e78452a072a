"""What ptxas says of the kernels: no spills, and few enough registers for the occupancy their headers aim at."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import torch

CSRC = Path(__file__).parents[2] / "csrc"
NVCC = os.environ.get("CUDACXX") or shutil.which("nvcc")
TARGETS = (80, 90, 100)
REGISTERS = 65536  # of a multiprocessor, on every target
SOURCES = sorted(CSRC.glob("*/*_cuda.cu"))


def ptxas_reports(source: Path, folder: Path) -> list[dict[str, int]]:
    """Registers and spilled bytes of each kernel of a source, for every target."""
    targets = [f"-gencode=arch=compute_{target},code=sm_{target}" for target in TARGETS]
    headers = [f"-I{CSRC}", "-isystem", str(Path(torch.__file__).parent / "include")]
    definitions = ["-DUSE_CUDA", "-DTORCH_TARGET_VERSION=0x020a000000000000"]
    output = ["-fatbin", "-Xptxas=-v", "-o", str(folder / "kernels.fatbin")]
    command = [NVCC, "-std=c++20", "-O3", *targets, *headers, *definitions, *output, source]
    done = subprocess.run(command, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    reports = re.findall(r"(\d+) bytes spill stores, (\d+) bytes spill loads\s.*Used (\d+) registers", done.stderr)
    assert len(reports) == done.stderr.count("Compiling entry function")
    return [{"spilled": int(stores) + int(loads), "registers": int(used)} for stores, loads, used in reports]


def constant(header: Path, name: str) -> int:
    return int(re.search(rf"constexpr unsigned {name} = (\d+);", header.read_text()).group(1))


@pytest.mark.skipif(NVCC is None, reason="NO nvcc: the CUDA kernels' registers and spills are not tested")
@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_no_spills_and_registers_within_the_occupancy_aimed_at(source, tmp_path):
    header = source.with_name(source.name.replace("_cuda.cu", ".cuh"))
    threads = constant(header, "kThreads") * constant(header, "kResidentBlocks")
    reports = ptxas_reports(source, tmp_path)
    assert len(reports) >= len(TARGETS)
    assert max(report["spilled"] for report in reports) == 0
    assert max(report["registers"] for report in reports) * threads <= REGISTERS
