"""What Lockstep and its peer both train: models, sizes, batches and optimizers.

    task.py DIRECTORY [--small]    writes the models' graphs, from which training.py makes the programs without exporting them
"""

import argparse
import pathlib
import sys
from dataclasses import dataclass

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import programs  # noqa: E402

SGD = dict(optimizer="sgd", learning_rate=0.01, momentum=0.9)
ADAMW = dict(optimizer="adamw", learning_rate=1e-4)
PADDED_VOCABULARY = 50304  # a multiple of 64: what tensor cores like


@dataclass
class Job:
    program: programs.Program
    batch: int
    precision: str
    optimizer: dict     # Lockstep's hyperparameters
    unit: str
    per_sample: int = 1  # of the unit


def add_arguments(parser):
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--small", action="store_true", help="tiny models: only tries everything out")
    parser.add_argument("--gpt2_batch", type=int, default=16, help="sequences of a step")


def program_file(name, options):
    return f"{name}-small.pt2" if options.small else f"{name}-benchmark.pt2"


def jobs(options):
    if options.small:
        return {"resnet50": Job(programs.SMALL["resnet50"], 8, "bf16", SGD, "images"),
                "gpt2": Job(programs.SMALL["gpt2"], 4, "bf16", ADAMW, "tokens", 16),
                "mlp": Job(programs.SMALL["mlp"], 8, "fp32", SGD, "samples")}
    return {"resnet50": Job(programs.FULL["resnet50"], 256, "bf16", SGD, "images"),
            "gpt2": Job(programs.gpt2(vocabulary=PADDED_VOCABULARY), options.gpt2_batch, "bf16", ADAMW, "tokens", 1024),
            "mlp": Job(programs.FULL["mlp"], 128, "fp32", SGD, "samples")}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=pathlib.Path)
    add_arguments(parser)
    options = parser.parse_args()
    options.directory.mkdir(parents=True, exist_ok=True)
    for name, job in jobs(options).items():
        job.program.export_graph(options.directory / program_file(name, options))


if __name__ == "__main__":
    main()
