"""`python compile_offline.py 90`: compile every kernel for a target, print what ptxas says of each as JSON lines.

A process of its own, since a process that has interpreted the kernels cannot compile them.
"""

import json
import re
import subprocess
import sys
import tempfile

import torch
import triton
import triton.language as tl
from fastsciml.kernels import evonorm_b, evonorm_s, evonorm_s_stages, gram_attention, linear_attention
from fastsciml.kernels.evonorm_moments import moments_kernel
from fastsciml.kernels.evonorm_tiles import held_group, merged_channels, next_power_of_2, stage
from fastsciml.kernels.gram_attention_launch import options as options_of_gram
from fastsciml.kernels.linear_attention_tiles import DECAYED_OUTPUTS, OUTPUTS, STATES
from triton.backends.compiler import GPUTarget
from triton.backends.nvidia.compiler import get_ptxas
from triton.compiler import ASTSource

from fastsciml.ops.gram_attention import WIDEST_ON_CUDA

WITHOUT_ARGUMENTS = 90  # the target for which arguments that may be None are left out as well
ELEMENTS = ("x", "dy", "y", "dx")
INTEGERS = (
    "channel_units", "group_units", "space_units", "channels", "group_channels", "groups", "space", "chunks", "samples",
    "n",
)  # fmt: skip
NUMBERS = {"EPS": 1e-5, "CENTRED": True}
ABSENT = ("v", "weight", "bias", "variance", "pull")  # of EvoNorm, each of which may be None
# Of linear attention: float32 whatever the tensors are (float64 for float64), and tables.
REAL_OF_ATTENTION = ("log_decay", "first", "states", "last", "before", "after", "dots", "q_dots", "k_dots")
TABLES = ("sequences", "chunk_sequences")
OPERANDS = {
    "bfloat16": ("bf16", tl.bfloat16, "ieee"),
    "float16": ("fp16", tl.float32, "tf32"),
    "float32": ("fp32", tl.float32, "ieee"),
    "float64": ("fp64", tl.float64, "ieee"),
}


def evonorm_cases():
    """Kernel, constants, warps: the largest held groups, the stages in both layouts."""
    for kernel in (evonorm_s.forward_kernel, evonorm_s.backward_kernel):
        for channels, positions in ((1, 8192), (4, 2048), (8, 512), (16, 256), (16, 64), (64, 64), (4096, 1)):
            tiles = held_group(channels, positions, False, 4, kernel is evonorm_s.backward_kernel)
            yield kernel, placed(tiles, False), tiles.warps
    for interleaved in (False, True):
        tiles = stage(32, 64, 3136, interleaved)
        constants = placed(tiles, interleaved) | {"STEPS": tiles.steps}
        stages = (moments_kernel, evonorm_s_stages.map_kernel, evonorm_s_stages.sums_kernel)
        for kernel in (*stages, evonorm_s_stages.slope_kernel):
            yield kernel, constants, tiles.warps
        for kernel in (evonorm_b.map_kernel, evonorm_b.sums_kernel, evonorm_b.slope_kernel):
            for variant in range(3 if interleaved else 1):
                yield kernel, constants | {"VARIANT": variant}, tiles.warps
    for chunks in (1, 64):
        merge = {"BLOCK_K": next_power_of_2(chunks), "BLOCK_C": merged_channels(64, chunks)}
        yield evonorm_s_stages.statistics_kernel, merge | {"CHUNK": 2048}, 4
        yield evonorm_s_stages.pull_kernel, merge, 4
    rows = {"BLOCK_N": 32, "BLOCK_C": 32}
    yield evonorm_s_stages.gradients_kernel, rows, 4
    yield evonorm_b.batch_kernel, rows | {"CHUNK": 2048}, 4
    yield evonorm_b.totals_kernel, rows, 4


def placed(tiles, interleaved):
    units = {"UNIT_C": 2, "UNIT_S": 16, "INTERLEAVED": interleaved, "WIDE": False}
    return units | {"BLOCK_C": tiles.channels, "BLOCK_S": tiles.positions}


def attention_cases():
    """Kernel, constants, tiles' options, element: every dtype, both directions, with decay and without, the whole."""
    flags = [(True, True, False), (True, False, False), (False, False, False), (False, False, True)]
    for dtype, (element, dot, precision) in OPERANDS.items():
        for decayed, backward, whole in flags:
            of_states = {"HAS_FIRST": not whole, "KEEPS": not whole}
            of_outputs = {"DOTS": decayed, "WHOLE": whole}
            for kernel, tiles, more in (
                (linear_attention.states_kernel, STATES[dtype], of_states),
                (linear_attention.outputs_kernel, (DECAYED_OUTPUTS if decayed else OUTPUTS)[dtype], of_outputs),
            ):
                constants = {"CHUNK": tiles.chunk, "BLOCK_D": tiles.depth, "BLOCK_E": tiles.width, "DOT": dot,
                             "PRECISION": precision, "DECAYED": decayed, "BACKWARD": backward}  # fmt: skip
                yield kernel, constants | more, {"num_warps": tiles.warps, "num_stages": tiles.stages}, element
        if element in ("fp32", "fp64"):
            constants = {"CHUNK": STATES[dtype].chunk, "BLOCK": 1024}
            yield linear_attention.decay_gradient_kernel, constants, {"num_warps": 4}, element


def gram_cases():
    """Kernel, constants, options, element: the widest of every dtype, the narrowest of two."""
    for dtype, (element, _, _) in OPERANDS.items():
        for width in (11, WIDEST_ON_CUDA) if element in ("bf16", "fp32") else (WIDEST_ON_CUDA,):
            for kernel in (
                gram_attention.output_kernel,
                gram_attention.tokens_gradient_kernel,
                gram_attention.weights_gradient_kernel,
            ):
                constants = options_of_gram(kernel, getattr(torch, dtype), width)
                yield kernel, constants, {"num_warps": constants.pop("num_warps")}, element


def evonorm_type(name, element):
    if name in INTEGERS:
        return "i32"
    return f"*{element}" if name in ELEMENTS else "*fp32"


def attention_type(name, element):
    if name in TABLES:
        return "*i64"
    if name in REAL_OF_ATTENTION:
        return "*fp64" if element == "fp64" else "*fp32"
    if name in ("x", "y", "z", "out", "dot_with"):
        return f"*{element}"
    return "fp64" if name.endswith("scale") else "i32"


def gram_type(name, element):
    if name == "sums":
        return "*fp64" if element == "fp64" else "*fp32"
    return f"*{element}" if name in ("tokens", "left", "right", "out", "dout", "dtokens") else "i32"


def report(kernel, constants, options, target, element, argument_type):
    constants = constants | {name: value for name, value in NUMBERS.items() if name in kernel.arg_names}
    signature = {name: "constexpr" if name in constants else argument_type(name, element) for name in kernel.arg_names}
    source = ASTSource(fn=kernel, signature=signature, constexprs=constants)
    compiled = triton.compile(source, target=GPUTarget("cuda", target, 32), options=options)
    return ptxas_report(compiled, target, 32 * options["num_warps"])


def ptxas_report(compiled, target, threads):
    """What ptxas makes of a kernel that Triton has compiled for a target."""
    architecture = re.search(r"\.target (sm_\w+)", compiled.asm["ptx"]).group(1)
    with tempfile.NamedTemporaryFile(suffix=".ptx", mode="w") as file:
        file.write(compiled.asm["ptx"])
        file.flush()
        command = [get_ptxas(target).path, "-v", f"-arch={architecture}", file.name, "-o", "/dev/null"]
        done = subprocess.run(command, text=True, capture_output=True)
        assert done.returncode == 0, done.stderr
    stores, loads = re.search(r"(\d+) bytes spill stores, (\d+) bytes spill loads", done.stderr).groups()
    registers = int(re.search(r"Used (\d+) registers", done.stderr).group(1))
    return {"spilled": int(stores) + int(loads), "registers": registers, "threads": threads}


if __name__ == "__main__":
    target, cases = int(sys.argv[1]), []
    for kernel, constants, warps in evonorm_cases():
        cases.append((kernel, constants, {"num_warps": warps}, "fp32", evonorm_type))
        absent = dict.fromkeys(set(ABSENT) & set(kernel.arg_names))
        if absent and target == WITHOUT_ARGUMENTS:
            cases.append((kernel, constants | absent, {"num_warps": warps}, "fp32", evonorm_type))
    cases += [(*case, attention_type) for case in attention_cases()]
    cases += [(*case, gram_type) for case in gram_cases()]
    for kernel, constants, options, element, argument_type in cases:
        about = {"kernel": kernel.fn.__name__, "target": target, "element": element}
        about |= {name: str(value) for name, value in constants.items()}
        print(json.dumps(about | report(kernel, constants, options, target, element, argument_type)), flush=True)
