"""What every benchmark says about itself: where it ran, a table for people, a file for programs."""

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


def print_table(rows):
    """Markdown; `rows`: dicts of texts with the same keys."""
    columns = list(rows[0])
    widths = [max(len(column), *(len(row[column]) for row in rows)) for column in columns]
    lines = [columns, ["-" * width for width in widths], *([row[column] for column in columns] for row in rows)]
    for line in lines:
        print("| " + " | ".join(text.ljust(width) for text, width in zip(line, widths)) + " |")


def write_json(path, **content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n")
    print(f"\n{path}")
