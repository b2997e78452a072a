"""`python compile_offline.py`: compile every kernel for every target, print what ptxas says of each as JSON lines.

A process of its own, since a process that has interpreted the kernels cannot compile them.
"""

import json
import re
import subprocess
import tempfile

import triton
from fastsciml.kernels import evonorm_b, evonorm_s
from fastsciml.kernels.evonorm_tiles import MOST_HELD_BACKWARD, MOST_HELD_FORWARD, group_tiles, stage_tiles
from triton.backends.compiler import GPUTarget
from triton.backends.nvidia.compiler import get_ptxas
from triton.compiler import ASTSource

TARGETS = (80, 90, 100)
INTEGERS = ("channels", "group_channels", "space", "stride_n", "stride_c", "stride_s")
REAL = ("v", "weight", "bias", "statistics", "parameters", "out", "sums")


def cases():
    """Kernel, constants, warps: the largest held groups, a split one, the stages in both layouts."""
    kernels = ((evonorm_s.forward_kernel, MOST_HELD_FORWARD), (evonorm_s.backward_kernel, MOST_HELD_BACKWARD))
    for kernel, most_held in kernels:
        for channels, positions in ((2, most_held // 2), (8, 65536)):
            tiles = group_tiles(channels, positions, most_held)
            block = {"HELD": tiles.held, "BLOCK_C": tiles.channels, "BLOCK_S": tiles.positions}
            centred = {"CENTRED": True} if kernel is evonorm_s.forward_kernel else {}
            yield kernel, {**centred, **block}, tiles.warps
    for interleaved in (False, True):
        tiles = stage_tiles(64, 3136, interleaved)
        block = {"BLOCK_C": tiles.channels, "BLOCK_S": tiles.positions}
        yield evonorm_b.moments_kernel, {"CENTRED": True, **block}, tiles.warps
        for kernel in (evonorm_b.map_kernel, evonorm_b.sums_kernel, evonorm_b.slope_kernel):
            for variant in range(3 if interleaved else 1):
                yield kernel, {"VARIANT": variant, **block}, tiles.warps


def argument_type(name, element):
    if name in INTEGERS:
        return "i32"
    if name == "eps":
        return "fp32"
    return "*fp32" if name in REAL else f"*{element}"


def report(kernel, constants, warps, target, element):
    signature = {name: "constexpr" if name in constants else argument_type(name, element) for name in kernel.arg_names}
    source = ASTSource(fn=kernel, signature=signature, constexprs=constants)
    compiled = triton.compile(source, target=GPUTarget("cuda", target, 32), options={"num_warps": warps})
    architecture = re.search(r"\.target (sm_\w+)", compiled.asm["ptx"]).group(1)
    with tempfile.NamedTemporaryFile(suffix=".ptx", mode="w") as file:
        file.write(compiled.asm["ptx"])
        file.flush()
        command = [get_ptxas(target).path, "-v", f"-arch={architecture}", file.name, "-o", "/dev/null"]
        done = subprocess.run(command, text=True, capture_output=True)
        assert done.returncode == 0, done.stderr
    stores, loads = re.search(r"(\d+) bytes spill stores, (\d+) bytes spill loads", done.stderr).groups()
    registers = int(re.search(r"Used (\d+) registers", done.stderr).group(1))
    return {"spilled": int(stores) + int(loads), "registers": registers, "threads": 32 * warps}


if __name__ == "__main__":
    for kernel, constants, warps in cases():
        for target in TARGETS:
            about = {"kernel": kernel.fn.__name__, "target": target, **constants}
            print(json.dumps(about | report(kernel, constants, warps, target, "fp32")), flush=True)
