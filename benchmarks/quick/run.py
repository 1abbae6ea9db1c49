"""Has something become slower? Built-in programs on 2 ranks of one thread, Lockstep beside PyTorch DDP, in less than five minutes.

Contenders take turns, each a process of its own, on the same program and batch. Both keep freed memory, ours by itself, the peer as it is told. A ratio
is that of the medians of a turn's windows; its spread is that of the turns, and a rate's that of all windows. Memory is the most
that a rank has held, the largest of ours and the peer's first.
Figures are compared with those that --write kept, in benchmarks/results/quick.json, of the same kind of processor: one has moved when all that was
measured now lies outside of all that was measured then. --write puts the new ones in their place.
"""

import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from children import none_left, peak_mib, started  # noqa: E402
from report import KEEP_MEMORY, ROOT, environment, print_table, write_json  # noqa: E402
from where import MODELS, command, prepare  # noqa: E402

PEER = pathlib.Path(__file__).resolve().parent / "ddp.py"
FIGURES = ROOT / "benchmarks" / "results" / "quick.json"
RANKS = 2
SETS = {"avx2", "avx512f", "avx512_bf16", "amx_bf16", "sve", "bf16"}  # of instructions, that decide how products are computed
TIME_LIMIT = 120  # seconds of a turn


def processor():
    """The kind of this processor: its model and its sets of instructions."""
    known = {}
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        known.setdefault(name.strip(), value.strip())
    flags = set(known.get("flags", known.get("Features", "")).split())
    name = known.get("model name") or " ".join(known.get(key, "") for key in ("CPU implementer", "CPU part"))
    numbers = "/".join(known[key] for key in ("cpu family", "model") if key in known)
    return f"{name}, {numbers}, {' '.join(sorted(flags & SETS))}"


def environment_of_a_rank():
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def failed(job, process, text):
    raise SystemExit(f"{' '.join(map(str, job))}\nended with {process.returncode}:\n{text[-3000:]}")


def lockstep(model, directory, options):
    """Samples per second of each window, from its own progress lines, the first left out, and the most memory of a rank. It trains until there are enough."""
    shutil.rmtree(directory / "output", ignore_errors=True)
    job = command(model, directory, RANKS, "--log_every", options.seconds)
    metrics = directory / "output" / "data" / "metrics.jsonl"
    with open(directory / "log", "w+") as log, started(job, stdout=log, stderr=log, env=environment_of_a_rank()) as process:
        deadline = time.monotonic() + TIME_LIMIT
        while time.monotonic() < deadline:
            if process.poll() is not None:
                break
            whole = metrics.read_text().rpartition("\n")[0].splitlines() if metrics.exists() else []
            lines = [line for line in map(json.loads, whole) if line["event"] == "progress"][1:]
            if len(lines) >= options.windows:
                return [line["samples_per_second"] for line in lines[:options.windows]], peak_mib(process)
            time.sleep(0.05)
        log.seek(0)
        failed(job, process, log.read())


def ddp(model, directory, options):
    job = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", RANKS, PEER, directory, "--batch", model.batch, "--inputs",
           *model.inputs, "--optimizer", "adamw" if "adamw" in model.optimizer else "sgd", "--windows", options.windows, "--seconds", options.seconds]
    with started(list(map(str, job)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                 env=environment_of_a_rank() | KEEP_MEMORY) as process:
        output, _ = process.communicate(timeout=TIME_LIMIT)
    if process.returncode != 0:
        failed(job, process, output)
    result = json.loads(next(line for line in reversed(output.splitlines()) if line.startswith("{")))
    return result["rates"], result["peak_mib"]


def spread(values):
    return {"median": statistics.median(values), "least": min(values), "most": max(values)}


def measure(name, directory, options):
    directory /= name
    prepare(MODELS[name], directory, RANKS)
    rates, peers, ratios, held, held_by_peers = [], [], [], [], []
    for turn in range(options.turns):
        (own, memory), (peer, peer_memory) = (contender(MODELS[name], directory, options) for contender in (lockstep, ddp))
        rates, peers = rates + own, peers + peer
        held, held_by_peers = held + [memory], held_by_peers + [peer_memory]
        ratios.append(statistics.median(own) / statistics.median(peer))
        print(f"{name}, {turn + 1} of {options.turns}: {statistics.median(own):.1f} samples/s, {ratios[-1]:.2f} × DDP", file=sys.stderr, flush=True)
    return {"ratio": spread(ratios), "rate": spread(rates), "ddp_rate": spread(peers),
            "peak_mib": spread(held), "ddp_peak_mib": spread(held_by_peers)}


def moved(now, then):
    """+1, -1 or 0: what was measured now lies above, below or among what was measured then."""
    return (now["least"] > then["most"]) - (now["most"] < then["least"])


def text_of(figure, digits):
    return f"{figure['median']:.{digits}f} ({figure['least']:.{digits}f}–{figure['most']:.{digits}f})"


def row(name, now, then):
    def verdict(figure):
        if not then:
            return "no figures"
        change = f"{100 * (now[figure]['median'] / then[figure]['median'] - 1):+.0f} %"
        return change + {1: ", faster", 0: "", -1: ", SLOWER"}[moved(now[figure], then[figure])]

    return {"model": name, "samples/s": text_of(now["rate"], 1), "to the kept": verdict("rate"),
            "÷ PyTorch DDP": text_of(now["ratio"], 2), "ratio to the kept": verdict("ratio"),
            "MiB of a rank, DDP's": f"{now['peak_mib']['median']:.0f}, {now['ddp_peak_mib']['median']:.0f}",
            "kept on": then["date"] if then else ""}


def conclusion(now, then):
    compared = now.keys() & then.keys()
    if not compared:
        return "nothing was compared: --write keeps these"
    slower = [name for name in now if name in compared and moved(now[name]["ratio"], then[name]["ratio"]) < 0]
    return f"slower beside DDP by more than the spread: {', '.join(slower)}" if slower else "nothing is slower beside DDP by more than its spread"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=["cnn", "resnet18", "gpt", "mlp"])
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--windows", type=int, default=2, help="measured in each turn")
    parser.add_argument("--seconds", type=float, default=1.5, help="of a window, at least")
    parser.add_argument("--figures", type=pathlib.Path, default=FIGURES)
    parser.add_argument("--write", action="store_true", help="keep these as the figures of this kind of processor")
    options = parser.parse_args()
    start, kind = time.monotonic(), processor()
    known = json.loads(options.figures.read_text()) if options.figures.exists() else {}
    then = known.get(kind, {})
    with tempfile.TemporaryDirectory(prefix="lockstep-quick-") as directory:
        now = {name: measure(name, pathlib.Path(directory), options) for name in options.models}
    print(f"{kind}\n")
    print_table([row(name, figures, then.get(name)) for name, figures in now.items()])
    print(f"\n{time.monotonic() - start:.0f} s; {conclusion(now, then)}")
    if options.write:
        here = environment("torch")
        write_json(options.figures, **known | {kind: then | {name: here | figures for name, figures in now.items()}})


if __name__ == "__main__":
    with none_left():
        main()
