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
    """Those of an object file. An instruction is its name, without its predicate and operands."""
    registers = dict(re.findall(r"Function (\S+):\s*\n\s*REG:(\d+)", read("-res-usage", "-arch", "sm_90", file)))
    code = read("-sass", "-arch", "sm_90", file)
    parts = re.split(r"Function : (\S+)\n", code)[1:]
    names = subprocess.run(["c++filt"], input="\n".join(parts[::2]), capture_output=True, text=True, check=True).stdout.splitlines()
    for mangled, name, body in zip(parts[::2], names, parts[1::2]):
        instructions = re.findall(r"^\s*/\*[0-9a-f]+\*/\s+(?:@!?U?P\d+ )?([A-Z0-9][A-Z0-9_.]*)", body, re.MULTILINE)
        name = re.sub(r"lockstep::kernels::|\(anonymous namespace\)::|device::|^void ", "", name)
        yield Kernel(f"{file.parent.name}/{name}", int(registers[mangled]), instructions)


def count(kernel, prefix):
    return sum(name.startswith(prefix) for name in kernel.instructions)


def wide_loads_before_a_store(kernel):
    return count(kernel._replace(instructions=kernel.instructions[:next(i for i, name in enumerate(kernel.instructions) if name.startswith("STG"))]),
                 "LDG.E.128")


# A pattern of names; of what is counted, the least and the most there may be.
RULES = [
    (r"max_pool_relu/forward_kernel<[48], 3", {"wide loads before a store": (9, 9), "BRA": (0, 3), "CALL": (0, 0), "registers": (0, 80)}),
    (r"max_pool_relu/forward_kernel<[48], 2", {"wide loads before a store": (4, 4), "BRA": (0, 3), "CALL": (0, 0), "registers": (0, 40)}),
    (r"max_pool_relu/gather_kernel<[48], 2", {"wide loads before a store": (4, 4), "BRA": (0, 5), "CALL": (0, 0), "registers": (0, 40)}),
    (r"max_pool_relu/scatter_kernel", {"CALL": (0, 0), "registers": (0, 48)}),
    # Four vectors on their way; 32 elements, and a prologue of about 250 instructions.
    (r"bias_gelu/forward_kernel<\(Gelu\)\d, 8, (BFloat16|Half)", {"wide loads before a store": (4, 4), "CALL": (0, 1), "all": (0, 1300), "registers": (0, 48)}),
    (r"bias_gelu/backward_kernel<\(Gelu\)\d, 8, (BFloat16|Half)", {"wide loads before a store": (4, 4), "CALL": (0, 1), "all": (0, 1150), "registers": (0, 64)}),
    (r"bias_gelu/(forward|backward)_kernel<\(Gelu\)\d, 4, float", {"wide loads before a store": (4, 4), "registers": (0, 64)}),
    # Three blocks of four warps on a multiprocessor; for longer rows 16 warps.
    (r"layer_norm/backward_kernel<32, \d, [48], ", {"registers": (0, 168)}),
    (r"layer_norm/backward_kernel<(128|512), ", {"registers": (0, 128)}),
]


def measured(kernel, what):
    if what == "registers":
        return kernel.registers
    if what == "all":
        return len(kernel.instructions)
    if what == "wide loads before a store":
        return wide_loads_before_a_store(kernel)
    return count(kernel, what)


def faults(kernel):
    # Local memory (registers that spilled), a trap, a generic address, an atomic sum of floats: none has a place here.
    bad = {name for name in kernel.instructions if re.match(r"LDL|STL|BPT\.TRAP|LD\.|ST\.|(RED|ATOM)\S*\.F(32|64)", name)}
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
