"""What ptxas says of the kernels: no spills, and few enough registers for the occupancy their headers aim at."""

import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest
import torch

CSRC = Path(__file__).parents[2] / "csrc"
NVCC = os.environ.get("CUDACXX") or shutil.which("nvcc")
TARGETS = (80, 90, 100)
REGISTERS = 65536  # of a multiprocessor, on every target
STATIC_SHARED = 48 << 10
SOURCES = sorted(CSRC.glob("*/*_cuda.cu"))

needs_nvcc = pytest.mark.skipif(NVCC is None, reason="NO nvcc: the CUDA kernels' registers and spills are not tested")


@cache
def ptxas_report(source: Path) -> str:
    """What ptxas says of a source's kernels, for every target."""
    targets = [f"-gencode=arch=compute_{target},code=sm_{target}" for target in TARGETS]
    headers = [f"-I{CSRC}", "-isystem", str(Path(torch.__file__).parent / "include")]
    definitions = ["-DUSE_CUDA", "-DTORCH_TARGET_VERSION=0x020a000000000000"]
    output = ["-fatbin", "-Xptxas=-v", "-t2", "-o", os.devnull]
    command = [NVCC, "-std=c++20", "-O3", *targets, *headers, *definitions, *output, source]
    done = subprocess.run(command, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    return done.stderr


def resident_threads(kernel: str) -> int:
    """How many threads of a kernel (its mangled name) a multiprocessor is to hold, from the constants beside it."""
    (header,) = [path for path in CSRC.rglob("*.cuh") if re.search(rf"\b{short_name(kernel)}\(", path.read_text())]
    prefix = "kTail" if "tail_kernel" in kernel else "kSum" if "add_blocks" in kernel else "k"
    blocks = constant(header, "kResidentBlocks") if prefix == "k" else 1
    return constant(header, f"{prefix}Threads") * blocks


def short_name(kernel: str) -> str:
    return re.search(r"\d+([a-z_]+_kernel)", kernel).group(1)


def constant(header: Path, name: str) -> int:
    return int(re.search(rf"constexpr unsigned (?:\w+ = \d+, )?{name} = (\d+)[;,]", header.read_text()).group(1))


@needs_nvcc
@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_no_spills_and_registers_within_the_occupancy_aimed_at(source):
    text = ptxas_report(source)
    spilled = {
        int(number)
        for pair in re.findall(r"(\d+) bytes spill stores, (\d+) bytes spill loads", text)
        for number in pair
    }
    assert spilled == {0}
    kernels = re.findall(r"Compiling entry function '(\w+)' for '(\w+)'.*?Used (\d+) registers(.*?)\n", text, re.DOTALL)
    assert len(kernels) == text.count("Compiling entry function") >= len(TARGETS)
    for kernel, _, registers, rest in kernels:
        assert int(registers) * resident_threads(kernel) <= REGISTERS, kernel
        shared = re.search(r"(\d+) bytes smem", rest)
        assert shared is None or int(shared.group(1)) <= STATIC_SHARED, kernel


@needs_nvcc
def test_every_kernel_is_compiled_for_every_target():
    for source in SOURCES:
        names = re.findall(r"Compiling entry function '(\w+)' for 'sm_(\d+)'", ptxas_report(source))
        targets = {kernel: {int(target) for name, target in names if name == kernel} for kernel, _ in names}
        assert all(found == set(TARGETS) for found in targets.values())
