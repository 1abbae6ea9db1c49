"""What every benchmark says about itself: where it ran, a table for people, a file for programs."""

import contextlib
import ctypes
import datetime
import importlib.metadata
import json
import os
import pathlib
import platform
import re
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent
BIN = pathlib.Path(os.environ.get("LOCKSTEP_BIN", ROOT / "build" / "bin"))
# The options are those that `lockstep train` starts its ranks with (`lockstep plan` shows them).
MPIRUN = ["mpirun", "--quiet", "--allow-run-as-root", "--bind-to", "none", "--map-by", "slot:OVERSUBSCRIBE",
          "--mca", "pml", "ob1", "--mca", "btl", "self,vader", "--mca", "mpi_yield_when_idle", "1"]
# Of PyTorch and TensorFlow: glibc keeps what is freed instead of asking for zeroed pages again and again, up to a fifth faster with torch.
KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": "536870912", "MALLOC_TRIM_THRESHOLD_": "536870912", "MALLOC_TOP_PAD_": "268435456"}


def first_line(*command):
    """Of what it prints; nothing where it is not installed."""
    try:
        return subprocess.run(command, capture_output=True, text=True, cwd=ROOT).stdout.partition("\n")[0].strip()
    except FileNotFoundError:
        return ""


def environment(*packages):
    cpu = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "cpu": cpu.group(1) if cpu else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "commit": os.environ.get("LOCKSTEP_COMMIT") or first_line("git", "describe", "--always", "--dirty"),
        "openmpi": first_line("mpirun", "--version"),
        "python": platform.python_version(),
        **{package: importlib.metadata.version(package) for package in packages},
    }


def gpu():
    """The card that CUDA counts first, and its driver. RuntimeError says why there is none."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError as error:
        raise RuntimeError(f"no driver: {error}")
    count, version, name = ctypes.c_int(), ctypes.c_int(), ctypes.create_string_buffer(256)
    if (error := driver.cuInit(0)) != 0 or (error := driver.cuDeviceGetCount(ctypes.byref(count))) != 0:
        raise RuntimeError(f"CUDA's driver answers with error {error}")
    if count.value == 0:
        raise RuntimeError("CUDA's driver sees no card")
    driver.cuDeviceGetName(name, len(name), 0)
    driver.cuDriverGetVersion(ctypes.byref(version))
    return {"card": name.value.decode(), "driver": driver_version(),
            "driver_for_cuda": f"{version.value // 1000}.{version.value % 1000 // 10}"}


def driver_version():
    """As the kernel's module tells it; where there is none to be seen, as nvidia-smi does."""
    for path in ("/sys/module/nvidia/version", "/proc/driver/nvidia/version"):
        with contextlib.suppress(OSError):
            if found := re.search(r"\b\d{3}\.\d+(\.\d+)?\b", pathlib.Path(path).read_text()):
                return found.group()
    return first_line("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader") or "unknown"


def print_table(rows):
    """Markdown; `rows`: dicts of texts with the same keys."""
    columns = list(rows[0])
    widths = [max(len(column), *(len(row[column]) for row in rows)) for column in columns]
    lines = [columns, ["-" * width for width in widths], *([row[column] for column in columns] for row in rows)]
    for line in lines:
        print("| " + " | ".join(text.ljust(width) for text, width in zip(line, widths)) + " |")


def write_json(path, **content):
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = path.with_name(path.name + ".part")
    whole.write_text(json.dumps(content, indent=1) + "\n")
    whole.rename(path)
    print(f"\n{path}")
