"""What the machine code of the CUDA kernels must look like: a GPU has to be at hand to time them, not to see that a load waits for the one before
it, that registers spill, or that an index is divided in 64 bits. Reads sm_90 code with cuobjdump, which PyTorch's triton brings."""

import collections
import os
import pathlib
import re
import subprocess
import sys
import sysconfig

BUILD = pathlib.Path(os.environ["LOCKSTEP_BUILD"])
CUOBJDUMP = pathlib.Path(sysconfig.get_path("purelib")) / "triton/backends/nvidia/bin/cuobjdump"

Kernel = collections.namedtuple("Kernel", "name registers instructions")


def read(*arguments):
    result = subprocess.run([CUOBJDUMP, *arguments], capture_output=True, text=True)
    assert result.returncode == 0, f"{arguments}: {result.stderr}"
    return result.stdout


def kernels(file):
    """Those of an object file. An instruction is its name, without its predicate, and the numbers of the registers among its operands."""
    registers = dict(re.findall(r"Function (\S+):\s*\n\s*REG:(\d+)", read("-res-usage", "-arch", "sm_90", file)))
    code = read("-sass", "-arch", "sm_90", file)
    parts = re.split(r"Function : (\S+)\n", code)[1:]
    names = subprocess.run(["c++filt"], input="\n".join(parts[::2]), capture_output=True, text=True, check=True).stdout.splitlines()
    for mangled, name, body in zip(parts[::2], names, parts[1::2]):
        lines = re.findall(r"^\s*/\*[0-9a-f]+\*/\s+(?:@!?U?P\d+ )?([A-Z0-9][A-Z0-9_.]*)([^;]*)", body, re.MULTILINE)
        instructions = [(instruction, [int(number) for number in re.findall(r"\bR(\d+)", operands)]) for instruction, operands in lines]
        name = re.sub(r"lockstep::kernels::|\(anonymous namespace\)::|device::|^void ", "", name)
        yield Kernel(f"{file.parent.name}/{name}", int(registers[mangled]), instructions)


def count(kernel, pattern):
    return sum(bool(re.match(pattern, name)) for name, _ in kernel.instructions)


def wide_loads_at_once(kernel):
    """The most 16-byte loads that have been begun before an instruction touches what one of them brings."""
    most, pending = 0, []
    for name, registers in kernel.instructions:
        pending = [first for first in pending if not any(first <= register < first + 4 for register in registers)]
        if name.startswith("LDG.E.128"):
            pending.append(registers[0])
            most = max(most, len(pending))
    return most


# A pattern of names; of what is counted, the least and the most there may be. How many loads and registers an optimizer's pass takes is the
# bytes that a multiprocessor waits for: docs/gpus.md.
FLOAT64 = r"D(FMA|ADD|MUL|SETP)"
RULES = [
    (r"max_pool_relu/forward_kernel<[48], 3, (float|BFloat16)", {"wide loads at once": (4, 9), "BRA": (0, 3), "CALL": (0, 0), "registers": (0, 80)}),
    (r"max_pool_relu/forward_kernel<[48], 2", {"wide loads at once": (2, 4), "BRA": (0, 3), "CALL": (0, 0), "registers": (0, 48)}),
    (r"max_pool_relu/gather_kernel<[48], [02]", {"wide loads at once": (4, 4), "BRA": (0, 5), "CALL": (0, 0), "registers": (0, 64)}),
    (r"max_pool_relu/scatter_kernel", {"CALL": (0, 0), "registers": (0, 48)}),
    # 32 elements, and a prologue of about 250 instructions.
    (r"bias_gelu/forward_kernel<\(Gelu\)\d, 8, (BFloat16|Half)", {"wide loads at once": (4, 4), "CALL": (0, 1), "all": (0, 1300), "registers": (0, 80)}),
    (r"bias_gelu/backward_kernel<\(Gelu\)\d, 8, (BFloat16|Half)", {"wide loads at once": (3, 4), "CALL": (0, 1), "all": (0, 1150), "registers": (0, 80)}),
    (r"bias_gelu/(forward|backward)_kernel<\(Gelu\)\d, 4, float", {"wide loads at once": (2, 4), "registers": (0, 80)}),
    # Three blocks of four warps on a multiprocessor; for longer rows 16 warps.
    (r"layer_norm/backward_kernel<32, \d, [48], ", {"registers": (0, 168)}),
    (r"layer_norm/backward_kernel<(128|512), ", {"registers": (0, 128)}),
    # 768 columns: a row and its residual.
    (r"layer_norm/forward_kernel<32, 3, 8, (BFloat16|Half)", {"wide loads at once": (3, 6), "registers": (0, 80)}),
    (r"layer_norm/forward_kernel<32, 6, 4, float", {"wide loads at once": (12, 12), "registers": (0, 96)}),
    (r"softmax_cross_entropy/(forward|backward)_kernel<\w+, (32|256), ", {"wide loads at once": (4, 4), "registers": (0, 128)}),
    # No power in float64.
    (r"\w+/adamw_kernel<float>", {"wide loads at once": (8, 8), FLOAT64: (0, 70), "registers": (0, 80)}),
    (r"\w+/flat_update_kernel<Adam<float>", {"wide loads at once": (8, 8), FLOAT64: (0, 70), "registers": (0, 96)}),
    (r"\w+/flat_update_kernel<.*<float", {"wide loads at once": (8, 12), "registers": (0, 128)}),
    (r"\w+/sgd_kernel<\(Momentum\)0, float", {"wide loads at once": (4, 8), FLOAT64: (0, 1), "registers": (0, 48)}),
    (r"\w+/sgd_kernel<\(Momentum\)[12], float", {"wide loads at once": (6, 12), FLOAT64: (0, 1), "registers": (0, 64)}),
    (r"\w+/first_pass_kernel<float>", {"wide loads at once": (8, 8), FLOAT64: (0, 110), "registers": (0, 80)}),
    (r"\w+/second_pass_kernel<float>", {"wide loads at once": (12, 12), FLOAT64: (0, 70), "registers": (0, 96)}),
    # Eight pieces of two numbers each at once.
    (r"\w+/trust_ratio_kernel", {"LDG": (16, 32)}),
    (r"\w+/gradient_norm_kernel<float>", {"wide loads at once": (3, 4), "registers": (0, 32)}),
    (r"embedding_gradient/sum_kernel<(8, (BFloat16|Half)|4, float)>", {"wide loads at once": (4, 8), r"STG\.E\.128": (1, 1), "registers": (0, 64)}),
    # Eight pixels of one channel are eight windows.
    (r"image_augment/augment_kernel<4, ", {r"STG\.E\.128": (1, 1), "all": (0, 560)}),
    (r"image_augment/augment_kernel<8, ", {r"STG\.E\.128": (1, 1), "all": (0, 820)}),
]


def measured(kernel, what):
    if what == "registers":
        return kernel.registers
    if what == "all":
        return len(kernel.instructions)
    if what == "wide loads at once":
        return wide_loads_at_once(kernel)
    return count(kernel, what)


def faults(kernel):
    # Local memory (registers that spilled), a trap, a generic address, an atomic sum of floats: none has a place here.
    bad = {name for name, _ in kernel.instructions if re.match(r"LDL|STL|BPT\.TRAP|LD\.|ST\.|(RED|ATOM)\S*\.F(32|64)", name)}
    if bad:
        yield f"{kernel.name}: has {', '.join(sorted(bad))}"
    for pattern, rules in RULES:
        if re.match(pattern, kernel.name):
            for what, (least, most) in rules.items():
                if not least <= measured(kernel, what) <= most:
                    yield f"{kernel.name}: {what} is {measured(kernel, what)}, not {least} … {most}"


def main():
    objects = sorted((BUILD / "kernels").glob("**/*.cu.o"))
    assert objects, f"no CUDA objects in {BUILD}/kernels: was it built without nvcc?"
    found = [kernel for file in objects for kernel in kernels(file)]
    assert len(found) > 100 and all(kernel.instructions for kernel in found), "cuobjdump's output is read wrongly"
    for pattern, _ in RULES:
        assert any(re.match(pattern, kernel.name) for kernel in found), f"no kernel is called {pattern}"
    wrong = [fault for kernel in found for fault in faults(kernel)]
    if wrong:
        sys.exit("\n".join(wrong))
    print(f"ok: {len(found)} kernels")


if __name__ == "__main__":
    main()
