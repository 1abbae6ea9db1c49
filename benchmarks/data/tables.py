"""Tables, in rows by seconds of CPU time: how fast Lockstep opens a channel, and reads all its rows in a random order, beside pyarrow, which reads the
same files in their order into memory. Lockstep keeps CSV and JSON lines in their files, and parses a row each time it is read."""

import argparse
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
import pyarrow
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from children import none_left, started  # noqa: E402
from report import BIN, ROOT, environment, print_table, write_json  # noqa: E402

COLUMNS = 20


def table(rows):
    generator = np.random.default_rng(0)
    columns = {f"x{i}": generator.standard_normal(rows) for i in range(COLUMNS)}
    return pyarrow.table({**columns, "label": generator.integers(0, 10, rows)})


def json_lines(rows, path):
    path.write_text(rows.to_pandas().to_json(orient="records", lines=True, double_precision=15))


# Name: writer, and pyarrow's reader.
FORMATS = {
    "data.csv": (lambda rows, path: pyarrow.csv.write_csv(rows, path, pyarrow.csv.WriteOptions(quoting_style="none")),
                 lambda path: pyarrow.csv.read_csv(path, pyarrow.csv.ReadOptions(use_threads=False))),
    "data.jsonl": (json_lines, lambda path: pyarrow.json.read_json(path, pyarrow.json.ReadOptions(use_threads=False))),
    "data.parquet": (lambda rows, path: pyarrow.parquet.write_table(rows, path, row_group_size=100_000),
                     lambda path: pyarrow.parquet.read_table(path, use_threads=False, pre_buffer=False)),
}


def ours(path):
    with started([BIN / "data_benchmark", path.parent, "field=features", "field=label"], stdout=subprocess.PIPE, text=True) as process:
        output, _ = process.communicate()
    if process.returncode != 0:
        sys.exit(process.returncode)
    return tuple(map(float, output.split()[:2]))


def timed(work):
    start = time.process_time()
    work()
    return time.process_time() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--output", type=pathlib.Path, default=ROOT / "benchmarks" / "results" / "tables.json")
    options = parser.parse_args()
    rows = table(options.rows)
    printed, results = [], {}
    for name, (write, peer) in FORMATS.items():
        with tempfile.TemporaryDirectory() as directory:
            path = pathlib.Path(directory) / name
            write(rows, path)
            peer(path)  # warm
            runs = [(*ours(path), timed(lambda: peer(path))) for _ in range(options.repeats)]
            opened, read, theirs = (statistics.median(run[i] for run in runs) for i in range(3))
            printed.append({"file": name, "MB": f"{path.stat().st_size / 1e6:.0f}",
                            "opened, rows/s": f"{options.rows / opened:,.0f}", "an epoch in random order, rows/s": f"{options.rows / read:,.0f}",
                            "pyarrow, rows/s": f"{options.rows / theirs:,.0f}",
                            "pyarrow's time ÷ opening": f"{theirs / opened:.2f}", "pyarrow's time ÷ an epoch": f"{theirs / read:.2f}"})
            results[name] = runs
    print_table(printed)
    write_json(options.output, environment=environment("pyarrow"), rows=options.rows, columns=COLUMNS, seconds=results)


with none_left():
    main()
