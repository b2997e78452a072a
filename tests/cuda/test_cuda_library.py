"""The CUDA library as it is shipped: there, with code for every target, and loadable by a CUDA build of torch."""

import os
import re
import struct
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from fastsciml._library import LOADED

ROOT = Path(__file__).parents[2]
OPERATORS = re.findall(r'library\.impl\("(\w+)"', (ROOT / "csrc/operators_cuda.cpp").read_text())
LIBRARY = LOADED.folder / "libfastsciml_cuda.so"
TARGETS = {80, 90, 100}
FATBIN_MAGIC = 0xBA55ED50
DEVICE_CODE = 2  # a fatbin entry's kind: machine code, not PTX

needs_library = pytest.mark.skipif(not LOADED.nvcc, reason=f"NO CUDA LIBRARY: {LOADED.cuda_absent_because}")


@needs_library
def test_is_there_when_nvcc_was_found():
    assert LIBRARY.is_file()


def device_code_targets(library: Path) -> set[int]:
    """The SM numbers of the machine code in a library; cuobjdump --list-elf, which few machines have."""
    binary = library.read_bytes()
    targets = set()
    for magic in re.finditer(re.escape(struct.pack("<I", FATBIN_MAGIC)), binary):
        _, _, header, size = struct.unpack_from("<IHHQ", binary, magic.start())
        entry, end = magic.start() + header, magic.start() + header + size
        while entry < end:
            kind, _, entry_header, entry_size = struct.unpack_from("<HHIQ", binary, entry)
            (target,) = struct.unpack_from("<I", binary, entry + 28)
            targets |= {target} if kind == DEVICE_CODE else set()
            entry += entry_header + entry_size
    return targets


@needs_library
def test_holds_code_for_every_target():
    assert device_code_targets(LIBRARY) >= TARGETS


@needs_library
@pytest.mark.skipif(torch.version.cuda is not None, reason="this torch has the real library")
def test_registers_where_a_stub_stands_for_the_library_of_torch_that_has_cuda(tmp_path):
    """A CPU build of torch lends every other symbol the library needs: one that torch lacks fails here."""
    stub = tmp_path / "libtorch_cuda.so"
    options = ["-shared", "-fPIC", "-Wl,-soname,libtorch_cuda.so", "-DUSE_CUDA"]
    headers = ["-isystem", str(Path(torch.__file__).parent / "include")]
    source = ROOT / "csrc/core/torch_cuda_stub.cpp"
    subprocess.run([os.environ.get("CXX", "c++"), "-std=c++20", *options, *headers, source, "-o", stub], check=True)
    script = f"""
import ctypes, fastsciml, torch
ctypes.CDLL({str(stub)!r})
torch.ops.load_library({str(LIBRARY)!r})
print(all(torch._C._dispatch_has_kernel_for_dispatch_key(f"fastsciml::{{name}}", "CUDA") for name in {OPERATORS}))
"""
    done = subprocess.run([sys.executable, "-c", script], text=True, capture_output=True)
    assert done.stdout == "True\n", done.stderr


@needs_library
@pytest.mark.skipif(torch.version.cuda is None, reason="CPU BUILD OF TORCH: loading the CUDA library is not tested")
def test_registers_its_operators():
    assert LOADED.cuda
    for name in OPERATORS:
        assert torch._C._dispatch_has_kernel_for_dispatch_key(f"fastsciml::{name}", "CUDA")
