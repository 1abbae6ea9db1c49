"""All-reduce of float32 on this host: Lockstep's MpiCommunicator beside torch.distributed over gloo, between 2 ranks on CPUs; with
--gpus N its NcclCommunicator between N ranks, one GPU each, or with --share any: then the figures say only that it runs.

GB/s are bytes by time; on the bus, as nccl-tests counts, they are times 2 (ranks - 1) / ranks: what each link carries."""

import argparse
import os
import pathlib
import statistics
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from children import none_left, started  # noqa: E402
from report import BIN, MPIRUN, ROOT, environment, gpu, print_table, write_json  # noqa: E402


def calls(sizes, most_bytes, most=2000):
    return [f"{size}:{min(most, max(20, most_bytes // size))}" for size in sizes]


def on_cpus():
    sizes = [4 << 10 << 2 * i for i in range(8)]  # 4 KiB to 64 MiB
    arguments = calls(sizes, 512 << 20)
    return 2, sizes, {
        "lockstep": [*MPIRUN, "-np", "2", BIN / "all_reduce_benchmark", *arguments],
        "gloo": [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2",
                 pathlib.Path(__file__).with_name("all_reduce_gloo.py"), *arguments],
    }


def on_gpus(ranks, share):
    sizes = [8 << 3 * i for i in range(8 if share else 10)]  # 8 B to 16 MiB or 1 GiB
    options = ["--share"] if share else []
    command = [*MPIRUN, "-np", str(ranks), BIN / "all_reduce_nccl_benchmark", *options, *calls(sizes, 16 << 30, 20 if share else 2000)]
    return ranks, sizes, {"lockstep": command}


def measure(command):
    with started(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}) as process:
        output, _ = process.communicate()
    if process.returncode == 77:
        sys.stdout.write(output)
    if process.returncode != 0:
        sys.exit(process.returncode)
    return {int(size): float(seconds) for size, seconds in map(str.split, output.splitlines())}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gpus", type=int, default=0, metavar="N")
    parser.add_argument("--share", action="store_true", help="with --gpus: ranks may share a GPU")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--output", type=pathlib.Path, help="default: benchmarks/results/all_reduce[_nccl].json")
    options = parser.parse_args()
    ranks, sizes, commands = on_gpus(options.gpus, options.share) if options.gpus else on_cpus()
    runs = {name: [] for name in commands}
    for _ in range(options.repeats):
        for name, command in commands.items():
            runs[name].append(measure(command))
    seconds = {name: {size: [run[size] for run in repeats] for size in sizes} for name, repeats in runs.items()}
    table = []
    for size in sizes:
        median = {name: statistics.median(seconds[name][size]) for name in commands}
        row = {"bytes": f"{size:,}"}
        for name, time in median.items():
            row |= {f"{name}, ms": f"{time * 1e3:.3f}", f"{name}, GB/s": f"{size / time / 1e9:.2f}",
                    f"{name}, GB/s on the bus": f"{size / time / 1e9 * 2 * (ranks - 1) / ranks:.2f}"}
        if "gloo" in median:
            row["gloo's time ÷ lockstep's"] = f"{median['gloo'] / median['lockstep']:.2f}"
        table.append(row)
    print_table(table)
    name = "all_reduce_nccl.json" if options.gpus else "all_reduce.json"
    about = environment("torch")
    if options.gpus:
        about |= gpu() | {"shared": options.share}
    write_json(options.output or ROOT / "benchmarks" / "results" / name, environment=about, ranks=ranks, seconds=seconds)


with none_left():
    main()
