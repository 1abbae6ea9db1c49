"""Exporting a large program takes, beside its parameters, less than 1.3 times their size of memory in each format: they are written piece by
piece, and read back once. 2.5 GB of parameters with LOCKSTEP_SOAK, in `make test` 160 MB."""

import os
import pathlib
import subprocess

import common

SOAKING = "LOCKSTEP_SOAK" in os.environ
WIDTH = 25_000 if SOAKING else 6_300
FORMATS = ("pt2", "safetensors", "saved_model", "onnx", "torchscript")
# Below 1 GiB an ONNX model is one message, which is in memory beside the tensors that are read of it.
MOST = {kind: 2.2 if kind == "onnx" and not SOAKING else 1.3 for kind in FORMATS}


def write_program(path, width):
    common.run(["model", "mlp", "-o", path, "--input_shape", 100, "--classes", 3, "--model_hidden", f"{width},{width}"])
    return path


def export(program, kind, directory):
    """Bytes that the process had at most."""
    process = subprocess.Popen([common.BIN / "lockstep", "export", program, "--export", kind, "-o", directory], stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True)
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, output
    return usage.ru_maxrss * 1024


def main():
    with common.temporary_directory() as directory:
        directory = pathlib.Path(directory)
        small, large = write_program(directory / "small.pt2", 8), write_program(directory / "large.pt2", WIDTH)
        size = 4 * (WIDTH * WIDTH + 104 * WIDTH)
        wrong = []
        for kind in FORMATS:
            above = export(large, kind, directory / kind) - export(small, kind, directory / f"small-{kind}") - size
            print(f"    {kind:12} {above / size:5.2f} of {size / 1e6:,.0f} MB above the parameters", flush=True)
            subprocess.run(["rm", "-r", directory / kind], check=True)
            if above >= MOST[kind] * size:
                wrong.append(kind)
        assert not wrong, f"too much memory: {', '.join(wrong)}"


if __name__ == "__main__":
    main()
