"""Where a training step goes: built-in programs on CPU ranks, by kind of work, beside what this machine could do.

A job is traced with its operators (trace_steps, trace_operators). What an operator took is the time that its thread was on a core, less
that of the operators it called, so that a machine which others use tells the same. Kinds:

  products    matrix products, convolutions and attention
  kernels     Lockstep's own, and the optimizer's pass
  operators   PyTorch's other operators
  dispatch    the rest of forward and backward: the program, autograd, operators that mostly call others or make views
  reduction   gradients laid into their places and all-reduces begun while backward runs, and by the clock the wait for their end
  data        waiting for it, by the clock
  no core     the rest of the clock: other programs had the core, or nothing was to do

The floor is what the same step takes if products run at the rate of large float32 products here, and if everything else is free, plus the time
to move what must be moved: inputs and outputs of products once each, parameters and the optimizer's state, at the bandwidth of a copy. Activations that
fit into a cache move faster; so it is a yardstick and no bound. Rates are those of as many processes as there are ranks, all at once.
"""

import argparse
import collections
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass

import numpy as np

from children import none_left, started
from report import BIN, ROOT, environment, print_table, write_json

SGD, ADAMW = ["--momentum", "0.9"], ["--optimizer", "adamw"]
TRANSFORMER = ["--model_layers", "6", "--model_width", "384", "--model_heads", "6", "--model_dropout", "0"]
IMAGES = ["--input_shape", "3,64,64", "--classes", "100"]
STEPS = 8  # of an epoch
STATE_PASSES = {"sgd": 5, "adamw": 7}  # over the parameters: gradient, parameter read and written, and each of the state


@dataclass
class Model:
    arguments: list  # of `lockstep model`
    batch: int       # samples of a rank
    optimizer: list
    inputs: dict     # by name: the sizes of one sample; behind them the bound of its integers, where it has integers
    classes: int
    target: tuple = ()

    def arrays(self, samples):
        """Numbers and labels, by the names of their files: what they are does not matter."""
        draw = np.random.default_rng(1)
        arrays = {name: draw.integers(bound[0], size=(samples, *sizes)) if bound else draw.standard_normal((samples, *sizes), dtype=np.float32)
                  for name, (sizes, *bound) in self.inputs.items()}
        return arrays | {"target": draw.integers(self.classes, size=(samples, *self.target))}


PICTURE = {"x": ((3, 64, 64),)}
MODELS = {
    "cnn": Model(["cnn", "--model_dropout", "0"], 64, SGD, {"x": ((1, 28, 28),)}, 10),
    "resnet18": Model(["resnet18", *IMAGES], 32, SGD, PICTURE, 100),
    "resnet50": Model(["resnet50", *IMAGES], 16, SGD, PICTURE, 100),
    "vit": Model(["vit", *IMAGES, "--model_patch_size", "8", *TRANSFORMER], 16, ADAMW, PICTURE, 100),
    "gpt": Model(["gpt", "--model_length", "256", "--model_vocabulary", "8192", *TRANSFORMER], 4, ADAMW,
                 {"input_ids": ((256,), 8192)}, 8192, (256,)),
    "bert": Model(["bert", "--model_length", "128", "--model_vocabulary", "8192", *TRANSFORMER], 8, ADAMW,
                  {"input_ids": ((128,), 8192), "attention_mask": ((128,), 2)}, 2),
    "mlp": Model(["mlp", "--model_hidden", ",".join(["128"] * 8), "--input_shape", "128", "--model_dropout", "0"], 64, SGD,
                 {"x": ((128,),)}, 10),
}
EVALUATION = "autograd::engine::evaluate_function: "  # of a node, around the node's own span
KINDS = ["products", "kernels", "operators", "dispatch", "reduction", "data", "no core"]
PRODUCT = re.compile(r"::(mm|addmm|bmm|baddbmm|mv|addmv|dot|linear|_linear_pointwise|mkldnn_\w+|\w*convolution\w*|_?thnn_conv\w+|_scaled_dot_product_\w+)$")
VIEW = re.compile(r"::(view|_unsafe_view|_reshape_alias|reshape|t|transpose|permute|expand|as_strided|select|slice|split|chunk|unbind|unsqueeze|squeeze|"
                  r"detach|detach_|alias|flatten|unflatten|empty|empty_like|empty_strided|empty_\w+|new_empty|result_type|resize_|resolve_\w+|to|_to_copy)$")


def prepare(model, directory, ranks):
    """The program and a channel of some steps: `model.pt2` and `train`."""
    (directory / "train").mkdir(parents=True)
    subprocess.run([BIN / "lockstep", "model", *model.arguments, "-o", directory / "model.pt2"], check=True, stdout=subprocess.DEVNULL)
    for name, array in model.arrays(STEPS * ranks * model.batch).items():
        np.save(directory / "train" / f"{name}.npy", array)


def command(model, directory, ranks, *flags):
    """Of a job of it that has no end."""
    return [BIN / "lockstep", "train", "--model", directory / "model.pt2", "--channel", f"train={directory / 'train'}", "--shuffle", "false",
            "--epochs", 1 << 30, "--export", "none", "--output_dir", directory / "output", "--model_dir", directory / "exported", "--reports", "none",
            "--device", "cpu", "--ranks_per_host", ranks, "--threads_per_rank", 1, "--batch_size", ranks * model.batch, *model.optimizer, *flags]


def train(model, directory, options):
    """The traced job's spans and its metrics."""
    first, steps = options.warm_up + 1, options.warm_up + 2 * options.steps
    job = command(model, directory, options.ranks, "--max_steps", steps, "--log_every", "0.000001", "--trace_steps",
                  f"{first}-{options.warm_up + options.steps}", "--trace_operators", "true", "--precision", options.precision, *options.flags)
    with started(job, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                 env={**os.environ, "OMP_NUM_THREADS": "1"}) as process:
        output, _ = process.communicate()
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, job))}\nended with {process.returncode}:\n{output[-3000:]}")
    metrics = [json.loads(line) for line in (directory / "output" / "data" / "metrics.jsonl").read_text().splitlines()]
    trace = json.loads((directory / "output" / "data" / "trace.json").read_text())
    return [event for event in trace["traceEvents"] if event["ph"] == "X"], metrics


def own_times(operators):
    """(name, own µs on a core, whether those that it called took longer) of each; and all µs of those that were called by none."""
    found, open_ones, outer = [], [], 0

    def close():
        name, _, own, inner = open_ones.pop()
        found.append((name, own, inner > own))

    for event in sorted(operators, key=lambda event: (event["ts"], -event["dur"])):
        time, end = event.get("tdur", 0), event["ts"] + event["dur"]
        while open_ones and open_ones[-1][1] < end - 1e-3:
            close()
        if open_ones:
            open_ones[-1][2] -= time
            open_ones[-1][3] += time
        else:
            outer += time
        open_ones.append([event["name"], end, time, 0])
    while open_ones:
        close()
    return found, outer


def kind_of(name, called):
    if "AccumulateGrad" in name:
        return "reduction"
    if "lockstep::" in name:
        return "kernels"
    if PRODUCT.search(name):
        return "products"
    if called or VIEW.search(name) or not name.startswith("aten::"):
        return "dispatch"
    return "operators"


def account(spans, steps):
    """ms of a step of one rank by kind, by kind and operator, and of the whole step: means over ranks and steps."""
    kinds, names, ranks, all_steps = collections.Counter(), collections.Counter(), {span["pid"] for span in spans}, 0
    for rank in ranks:
        mine = [span for span in spans if span["pid"] == rank]
        traced = sum(span["cat"] == "steps" for span in mine)
        if traced != steps:
            raise SystemExit(f"the trace of rank {rank} is full: it holds {traced} of {steps} steps; give fewer --steps")
        phases = collections.Counter()
        busy = collections.Counter()
        for span in mine:
            if span["cat"] == "compute":
                phases[span["name"]] += span["dur"]
                busy[span["name"]] += span.get("tdur", 0)
        found, outer = own_times([span for span in mine if span["cat"] == "operators"])
        for name, own, called in found:
            kinds[kind_of(name, called)] += own
            names[kind_of(name, called), name.removeprefix(EVALUATION)] += own
        kinds["kernels"] += busy["optimizer"]
        names["kernels", "optimizer"] += busy["optimizer"]
        kinds["dispatch"] += busy["forward"] + busy["backward"] - outer
        names["dispatch", "outside of operators"] += busy["forward"] + busy["backward"] - outer
        kinds["reduction"] += phases["reduction_wait"]
        kinds["data"] += phases["data_wait"]
        whole = sum(span["dur"] for span in mine if span["cat"] == "steps")
        all_steps += whole
        kinds["no core"] += whole - phases["reduction_wait"] - phases["data_wait"] - busy["forward"] - busy["backward"] - busy["optimizer"]
    share = 1e-3 / (len(ranks) * steps)
    return {kind: kinds[kind] * share for kind in KINDS}, {key: time * share for key, time in names.most_common()}, all_steps * share


def needed(program, model):
    """Floating-point operations and bytes of a rank's step: PyTorch makes one and counts them."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils.flop_counter import flop_registry

    flash = {"forward": flop_registry[torch.ops.aten._scaled_dot_product_flash_attention],
             "backward": flop_registry[torch.ops.aten._scaled_dot_product_flash_attention_backward]}

    class Count(TorchDispatchMode):
        flops, bytes = 0, 0

        def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
            result = function(*arguments, **(keywords or {}))
            packet = function._overloadpacket
            if packet is torch.ops.aten._scaled_dot_product_flash_attention_for_cpu:
                self.flops += flash["forward"](*arguments[:3], out_val=result)
            elif packet is torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward:
                self.flops += flash["backward"](*arguments[:4], out_val=result)
            elif packet in flop_registry:
                self.flops += flop_registry[packet](*arguments, **(keywords or {}), out_val=result)
            else:
                return result
            tensors = [*arguments, *(result if isinstance(result, tuple) else (result,))]
            self.bytes += sum(each.nbytes for each in tensors if isinstance(each, torch.Tensor))
            return result

    module = torch.export.load(program).module()
    arrays = model.arrays(model.batch)
    with Count() as count:
        output = module(*(torch.from_numpy(arrays[name]) for name in model.inputs))
        output.backward(torch.ones_like(output))
    parameters = sum(parameter.nbytes for parameter in module.parameters())
    optimizer = "adamw" if "adamw" in model.optimizer else "sgd"
    return {"flops": count.flops, "bytes": count.bytes + STATE_PASSES[optimizer] * parameters}


RATES = """
import json, time, torch
torch.set_num_threads(1)
def best(work, amount):
    work()
    rates = []
    for _ in range(12):
        start = time.process_time()
        work()
        rates.append(amount / (time.process_time() - start))
    return sorted(rates)[-3]
a, b, c = (torch.randn(1024, 1024) for _ in range(3))
source, target = torch.randn(32 << 20), torch.empty(32 << 20)
print(json.dumps([best(lambda: torch.mm(a, b, out=c), 2 * 1024 ** 3), best(lambda: target.copy_(source), 2 * source.nbytes)]))
"""


def rates(ranks):
    """FLOP/s and bytes/s of one process among so many, in time on a core."""
    processes = [subprocess.Popen([sys.executable, "-c", RATES], stdout=subprocess.PIPE, text=True,
                                  env={**os.environ, "OMP_NUM_THREADS": "1"}) for _ in range(ranks)]
    found = [json.loads(process.communicate()[0]) for process in processes]
    return [statistics.mean(each) for each in zip(*found)]


def measure(name, directory, options, flops_per_second, bytes_per_second):
    model, directory = MODELS[name], directory / name
    prepare(model, directory, options.ranks)
    spans, metrics = train(model, directory, options)
    kinds, names, step = account(spans, options.steps)
    lines = [line for line in metrics if line["event"] == "progress" and line["step"] > options.warm_up + options.steps]
    untraced = statistics.median(sum(line["seconds_per_step"].values()) for line in lines) * 1e3
    traced = statistics.median(span["dur"] for span in spans if span["cat"] == "steps") * 1e-3
    work = needed(directory / "model.pt2", model)
    floor = {"products": work["flops"] / flops_per_second * 1e3, "bytes": work["bytes"] / bytes_per_second * 1e3}
    return {"model": name, "batch_of_a_rank": model.batch, "kinds_ms": kinds, "step_ms": step,
            "untraced_step_ms": untraced, "traced_step_ms": traced, **work, "floor_ms": floor,
            "operators_ms": [{"kind": kind, "name": operator, "ms": time} for (kind, operator), time in names.items() if time > 0]}


def rows(results):
    for result in results:
        busy = result["step_ms"] - result["kinds_ms"]["no core"]
        floor = sum(result["floor_ms"].values())
        yield {"model": result["model"], "batch": str(result["batch_of_a_rank"]), "ms busy": f"{busy:.1f}",
               **{kind: f"{result['kinds_ms'][kind]:.1f} ({100 * result['kinds_ms'][kind] / busy:.0f} %)" for kind in KINDS[:-1]},
               "no core": f"{result['kinds_ms']['no core']:.1f}",
               "floor: products + bytes": f"{result['floor_ms']['products']:.1f} + {result['floor_ms']['bytes']:.1f}",
               "busy ÷ floor": f"{busy / floor:.2f}",
               "traced ÷ not": f"{result['traced_step_ms'] / result['untraced_step_ms']:.2f}"}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--steps", type=int, default=6, help="that are traced")
    parser.add_argument("--warm_up", type=int, default=4, help="steps before them")
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--operators", type=int, default=8, help="largest ones that are printed of each model")
    parser.add_argument("--output", type=pathlib.Path, default=ROOT / "benchmarks" / "results" / "where.json")
    parser.add_argument("flags", nargs="*", help="behind --: more hyperparameters, as in -- --passes none")
    options = parser.parse_args()
    flops_per_second, bytes_per_second = rates(options.ranks)
    print(f"a core of {options.ranks}: {flops_per_second / 1e9:.1f} GFLOP/s of float32 products, {bytes_per_second / 1e9:.1f} GB/s of a copy\n")
    with tempfile.TemporaryDirectory(prefix="lockstep-where-") as directory:
        results = [measure(name, pathlib.Path(directory), options, flops_per_second, bytes_per_second) for name in options.models]
    print_table(list(rows(results)))
    for result in results:
        print(f"\n{result['model']}, ms of a step: " + ", ".join(
            f"{each['name']} {each['ms']:.2f}" for each in result["operators_ms"][:options.operators]))
    write_json(options.output, environment=environment("torch"), ranks=options.ranks, precision=options.precision, flags=options.flags,
               flops_per_second=flops_per_second, bytes_per_second=bytes_per_second, results=results)


if __name__ == "__main__":
    with none_left():
        main()
