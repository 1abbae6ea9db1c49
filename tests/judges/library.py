"""The library, as others have it: installed, found by CMake, linked by programs in C++, C and Fortran that are built outside the tree.

Their parameters are compared with PyTorch's and with those of jobs."""

import functools
import os
import pathlib
import re
import shutil
import subprocess

import numpy as np
import torch
from safetensors.numpy import load_file
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


def export(model, path):
    example = (torch.zeros(2, INPUTS, dtype=torch.float64),)
    torch.export.save(torch.export.export(model.train(), example, dynamic_shapes=({0: torch.export.Dim("batch")},)), path)


class Place:
    """An install prefix, and in it the programs of tests/library."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.prefix = self.directory / "moved"
        output_of("cmake", "--install", common.BIN.parent, "--prefix", self.directory / "prefix", "--component", "library")
        (self.directory / "prefix").rename(self.prefix)
        self.tests = self.build(ROOT / "tests" / "library", self.directory / "tests")
        self.model = self.directory / "mlp.pt2"
        export(mlp(), self.model)
        generator = np.random.default_rng(5)
        self.x = generator.normal(size=(SAMPLES, INPUTS))
        self.y = np.tanh(self.x @ generator.normal(size=(INPUTS, OUTPUTS))) + 0.1 * generator.normal(size=(SAMPLES, OUTPUTS))
        self.data = self.directory / "data.bin"
        self.data.write_bytes(self.x.tobytes() + self.y.tobytes())
        self.channel = self.directory / "channel"
        self.channel.mkdir()
        np.save(self.channel / "x.npy", self.x)
        np.save(self.channel / "y.npy", self.y)

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


def the_rest_works_alone_and_on_two_ranks(place):
    """A channel gives the bits that a job gives, and what is exported computes what PyTorch computes with the same parameters."""
    channel = place.channel
    for ranks in (1, 2):
        directory = place.directory / f"features{ranks}"
        directory.mkdir()
        export(nn.Sequential(nn.Linear(INPUTS, 8), nn.BatchNorm1d(8), nn.Linear(8, OUTPUTS)).double(), directory / "normalized.pt2")
        launch = [*MPIRUN, "-np", ranks] if ranks > 1 else []
        text = output_of(*launch, place.tests / "features_cpp", place.model, directory, channel, "mpi" if ranks > 1 else "alone")
        steps = int(re.search(r"steps (\d+)", text)[1])
        assert steps == 3 * -(-SAMPLES // 16), text
        job = directory / "job"
        job.mkdir()
        _, trained = common.train(job, {"train": channel}, ranks=ranks, model=place.model, loss="mse", optimizer="adamw", learning_rate=0.01,
                                  precision="fp64", weight_decay=0.01, epochs=3, batch_size=16)
        exported = load_file(directory / "model" / "model.safetensors")
        assert exported.keys() == trained.keys()
        for name, tensor in trained.items():
            assert (exported[name] == tensor).all(), f"{name} is not what a job makes of it"
        program = torch.export.load(directory / "model" / "model.pt2").module()
        model = mlp()
        model.load_state_dict({name: torch.tensor(tensor) for name, tensor in exported.items()})
        x = torch.tensor(place.x)
        assert torch.allclose(program(x), model(x), rtol=1e-12, atol=1e-12)
        printed = float(re.search(r"validation_loss (\S+)", text)[1])
        loss = nn.functional.mse_loss(model(x), torch.tensor(place.y)).item()
        assert abs(printed - loss) < 1e-12 * loss, (printed, loss)


def c_and_fortran_have_the_rest_too(place):
    """Writing, predicting, rates, channels, checkpoints and exports; in Fortran also faulty calls, in C also a rank that fails alone."""
    version = re.search(r"VERSION (\d+\.\d+\.\d+)", (ROOT / "CMakeLists.txt").read_text())[1]
    for program in ("features_c", "features_f"):
        for ranks in (1, 2):
            directory = place.directory / f"{program}{ranks}"
            directory.mkdir()
            launch = [*MPIRUN, "-np", ranks] if ranks > 1 else []
            text = output_of(*launch, place.tests / program, place.model, directory, place.channel, "mpi" if ranks > 1 else "alone", version)
            assert sum(map(int, re.findall(r"(\d+) notes", text))) > 0, text
            exported = load_file(directory / "model" / "model.safetensors")
            assert [*map(list, (exported[name].shape for name in ("0.weight", "4.bias")))] == [[16, INPUTS], [OUTPUTS]], exported
            assert len(list((directory / "checkpoints").iterdir())) == 1, directory


def errors_are_values(place):
    suppressions = f"suppressions={ROOT / 'cmake' / 'sanitizers' / 'lsan.supp'}:print_suppressions=0"
    sanitizers = {"ASAN_OPTIONS": "detect_stack_use_after_return=1:fast_unwind_on_malloc=0", "LSAN_OPTIONS": suppressions}
    for program, environment in (("errors_c", {}), ("errors_c_asan", sanitizers)):
        empty = place.directory / program / "empty"
        empty.mkdir(parents=True)
        output_of(place.tests / program, place.model, empty, **environment)
    written = place.directory / "asan.bin"
    for launch, where in (([], "alone"), *([([*MPIRUN, "-np", 2], "mpi")] if SOAK else [])):
        output_of(*launch, place.tests / "train_cpp_asan", place.model, place.data, SAMPLES, INPUTS, OUTPUTS, 10, BATCH, written, "both", where,
                  "precision=fp64", "threads_per_rank=1", **sanitizers)


def memory_does_not_grow(place):
    for mode, ranks in (("plain", 0), *([("both", 2)] if SOAK else [])):
        text, _ = place.train("train_cpp", mode, ranks, steps=10_000)
        growth = int(re.search(r"growth (-?\d+)", text)[1])
        print(f"{mode}, {ranks or 'no'} ranks of MPI: {growth} KiB more after step 10,000 than after 2,000")
        assert growth < 2048, f"{growth} KiB more after step 10,000 than after 2,000"


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


def the_interface_is_documented(place):
    """Doxygen makes pages of the headers and has nothing to say; of a function without a comment it has."""
    def pages(headers):
        settings = f"@INCLUDE={ROOT / 'docs' / 'Doxyfile'}\nINPUT={headers}\nOUTPUT_DIRECTORY={place.directory / 'pages'}\n"
        return subprocess.run(["doxygen", "-"], input=settings, capture_output=True, text=True, timeout=120, cwd=ROOT)

    made = pages(place.prefix / "include" / "lockstep")
    assert made.returncode == 0 and not made.stderr, made.stderr
    for page in ("classlockstep_1_1Trainer.html", "lockstep_8h.html"):
        assert (place.directory / "pages" / "html" / page).exists(), page
    silent = place.directory / "silent"
    shutil.copytree(place.prefix / "include" / "lockstep", silent)
    with (silent / "lockstep.h").open("a") as header:
        header.write("int lockstep_silent(void);\n")
    made = pages(silent)
    assert made.returncode and "lockstep_silent" in made.stderr, made.stderr


def examples_run(place):
    out = place.build(ROOT / "examples" / "library", place.directory / "examples")
    for launch in ([out / "pendulum_cpp"], [*MPIRUN, "-np", 2, out / "pendulum_c"], [*MPIRUN, "-np", 2, out / "pendulum_f"]):
        directory = place.directory / pathlib.Path(launch[-1]).name
        directory.mkdir()
        result = subprocess.run([str(word) for word in launch], capture_output=True, text=True, timeout=300, cwd=directory, env={**os.environ, "OMP_NUM_THREADS": "1"})
        assert result.returncode == 0, result.stdout + result.stderr
        loss = float(re.search(r"of new pendulums: +(\S+)", result.stdout)[1])
        assert loss < 1e-3, result.stdout
        assert (directory / "pendulum" / "model.pt2").exists()
        print(f"{directory.name}: loss {loss:.1e}")


if __name__ == "__main__":
    with common.temporary_directory() as name:
        place = Place(name)
        common.main(*(functools.update_wrapper(functools.partial(check, place), check) for check in (
            nothing_but_the_interface_is_shown, the_interface_is_documented, parameters_are_pytorchs, the_rest_works_alone_and_on_two_ranks, c_and_fortran_have_the_rest_too,
            errors_are_values,
            memory_does_not_grow, examples_run)))
