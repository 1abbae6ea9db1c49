"""The library, as others have it: installed, found by CMake, linked by programs in C++, C and Fortran that are built outside the tree.

Their parameters are compared with PyTorch's and with those of jobs."""

import functools
import os
import pathlib
import re
import subprocess

import numpy as np
import torch
from torch import nn

import common

torch.set_num_threads(1)
ROOT = pathlib.Path(__file__).parents[2]
SAMPLES, INPUTS, OUTPUTS, BATCH, STEPS = 60, 5, 3, 12, 25
TOLERANCE = 1e-9
SOAK = bool(os.environ.get("LOCKSTEP_SOAK"))
MPIRUN = ["mpirun", "--allow-run-as-root", "--oversubscribe", "--bind-to", "none", "--quiet", "--mca", "mpi_yield_when_idle", "1"]
LANGUAGES = ("train_cpp", "train_c", "train_f")


def output_of(*command, expect=0, **environment):
    result = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=600, env={**os.environ, **environment})
    assert result.returncode == expect, f"{command}: {result.returncode}, expected {expect}\n{result.stdout}{result.stderr}"
    return result.stdout + result.stderr


def mlp():
    torch.manual_seed(11)
    return nn.Sequential(nn.Linear(INPUTS, 16), nn.Tanh(), nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, OUTPUTS)).double()


class Place:
    """An install prefix, and in it the programs of tests/library."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.prefix = self.directory / "prefix"
        output_of("cmake", "--install", common.BIN.parent, "--prefix", self.prefix, "--component", "library")
        self.tests = self.build(ROOT / "tests" / "library", self.directory / "tests")
        self.model = self.directory / "mlp.pt2"
        example = (torch.zeros(2, INPUTS, dtype=torch.float64),)
        torch.export.save(torch.export.export(mlp().train(), example, dynamic_shapes=({0: torch.export.Dim("batch")},)), self.model)
        generator = np.random.default_rng(5)
        self.x = generator.normal(size=(SAMPLES, INPUTS))
        self.y = np.tanh(self.x @ generator.normal(size=(INPUTS, OUTPUTS))) + 0.1 * generator.normal(size=(SAMPLES, OUTPUTS))
        self.data = self.directory / "data.bin"
        self.data.write_bytes(self.x.tobytes() + self.y.tobytes())

    def build(self, source, out):
        output_of("cmake", "-S", source, "-B", out, f"-DCMAKE_PREFIX_PATH={self.prefix}", "-DCMAKE_BUILD_TYPE=Release")
        output_of("cmake", "--build", out, "-j", "2")
        return out

    def train(self, program, mode="plain", ranks=0, steps=STEPS, **hyperparameters):
        """Alone, or on so many ranks; returns what was printed, and the parameters."""
        options = {"precision": "fp64", "threads_per_rank": 1, "learning_rate": 0.05, "bucket_cap_mb": 0.001, **hyperparameters}
        if mode in ("plain", "optimizer"):
            options.setdefault("loss", "mse")
        if mode in ("plain", "loss"):
            options.setdefault("optimizer", "sgd")
        written = self.directory / "parameters.bin"
        written.unlink(missing_ok=True)
        launch = [*MPIRUN, "-np", ranks] if ranks else []
        text = output_of(*launch, self.tests / program, self.model, self.data, SAMPLES, INPUTS, OUTPUTS, steps, BATCH, written, mode,
                         "mpi" if ranks else "alone", *(f"{name}={value}" for name, value in options.items()))
        return text, np.fromfile(written)

    def expected(self, optimizer=functools.partial(torch.optim.SGD, lr=0.05, momentum=0.9), clip=0.0):
        model = mlp()
        optimizer = optimizer(model.parameters())
        for step in range(STEPS):
            at = slice(step % (SAMPLES // BATCH) * BATCH, (step % (SAMPLES // BATCH) + 1) * BATCH)
            loss = nn.functional.mse_loss(model(torch.tensor(self.x[at])), torch.tensor(self.y[at]))
            optimizer.zero_grad()
            loss.backward()
            if clip:
                nn.utils.clip_grad_norm_(model.parameters(), clip)
            optimizer.step()
        return loss.item(), np.concatenate([tensor.detach().numpy().ravel() for tensor in model.state_dict().values()])


def difference(found, expected):
    assert found.shape == expected.shape, (found.shape, expected.shape)
    return np.linalg.norm(found - expected) / np.linalg.norm(expected)


def parameters_are_pytorchs(place):
    loss, expected = place.expected()
    for program in LANGUAGES:
        for mode in ("plain", "loss", "optimizer", "both"):
            for ranks in (0, 2):
                if ranks and mode in ("loss", "optimizer") and not SOAK:
                    continue  # `both` has both
                text, found = place.train(program, mode, ranks)
                worst = difference(found, expected)
                printed = float(re.search(r"loss +(\S+)", text)[1])
                assert worst < TOLERANCE and abs(printed - loss) < TOLERANCE * loss, f"{program} {mode} {ranks}: {worst:.2e}, loss {printed} {loss}"
                print(f"{program}, {mode}, {ranks or 'no'} ranks of MPI: {worst:.1e}")
    # AdamW and clipping by the engine; clipping before an optimizer of the program's own.
    _, expected = place.expected(functools.partial(torch.optim.AdamW, lr=0.05, weight_decay=0.1), clip=0.3)
    _, found = place.train("train_cpp", ranks=3, optimizer="adamw", weight_decay=0.1, clip_norm=0.3, micro_batch_size=2)
    assert difference(found, expected) < TOLERANCE, difference(found, expected)
    _, expected = place.expected(clip=0.3)
    _, found = place.train("train_cpp", "both", ranks=2, clip_norm=0.3, micro_batch_size=3)
    assert difference(found, expected) < TOLERANCE, difference(found, expected)


def nothing_but_the_interface_is_shown(place):
    library = place.prefix / "lib" / "liblockstep.so"
    shown = output_of("nm", "-D", "--defined-only", "-C", library)
    # The standard library's templates are weak, and everybody's.
    others = [line for line in shown.splitlines() if not re.search(r" [Wuvw] (\w+ )*std::| (lockstep_\w+$|(typeinfo|typeinfo name|vtable) for lockstep::v1::Error$|lockstep::v1::(Trainer|Error)::|lockstep::v1::version\()", line)]
    assert not others, "\n".join(others[:20])
    for header in (place.prefix / "include" / "lockstep").glob("*.h"):
        for included in re.findall(r'#include ["<]([^">]+)[">]', header.read_text()):
            assert included.startswith("lockstep/") or "." not in included or included in ("stddef.h", "stdint.h"), f"{header.name} includes {included}"
    declared = set(re.findall(r"\b(lockstep_\w+)\(", (place.prefix / "include" / "lockstep" / "lockstep.h").read_text()))
    declared -= {name for name in declared if name.endswith("_function")}
    assert {line.split()[-1] for line in shown.splitlines() if " lockstep_" in line} == declared, "a function is declared and not there, or there and not declared"


if __name__ == "__main__":
    with common.temporary_directory() as name:
        place = Place(name)
        common.main(*(functools.update_wrapper(functools.partial(check, place), check) for check in (
            nothing_but_the_interface_is_shown, parameters_are_pytorchs)))
