"""The images, without an engine that builds them: their files, and the tree that `cmake --install` makes for them."""

import fnmatch
import io
import json
import os
import pathlib
import re
import shlex
import subprocess
import sysconfig

import common
import dockerfile_parse

ROOT = pathlib.Path(__file__).resolve().parents[2]
VERSION = re.search(r"project\(lockstep VERSION (\S+)", (ROOT / "CMakeLists.txt").read_text()).group(1)
INSTALL = (ROOT / "docker" / "install.sh").read_text()
RUNTIME = re.search(r"^debian_runtime=\((.*?)\)", INSTALL, re.M | re.S).group(1).split()
NOBODY = 65534


def output_of(*command, **variables):
    return subprocess.run(list(map(str, command)), check=True, stdout=subprocess.PIPE, text=True, env=os.environ | variables).stdout


class Dockerfile:
    """Stages by name, the last as ""; each with its base and its instructions as pairs."""

    def __init__(self, path):
        self.stages, self.arguments = {}, {}
        for entry in dockerfile_parse.DockerfileParser(fileobj=io.BytesIO(path.read_bytes())).structure:
            instruction, value = entry["instruction"], entry["value"]
            if instruction == "FROM":
                base, name = re.fullmatch(r"(\S+)(?: AS (\S+))?", value).groups("")
                self.stages[name] = (base, [])
            elif instruction == "ARG" and not self.stages:
                name, _, default = value.partition("=")
                self.arguments[name] = default
            elif instruction != "COMMENT":
                self.stages[name][1].append((instruction, value))

    def image(self, **arguments):
        """The base, and all instructions of the last stage's line, that one's first."""
        name, instructions = "", []
        while name in self.stages:
            base, own = self.stages[name]
            instructions += own
            name = re.sub(r"\$(\w+)", lambda match: (self.arguments | arguments)[match.group(1)], base)
        return name, instructions


DOCKERFILES = {name: Dockerfile(ROOT / "docker" / name) for name in ("Dockerfile", "Dockerfile.cpu")}
IMAGES = [DOCKERFILES["Dockerfile.cpu"].image(), DOCKERFILES["Dockerfile"].image(), DOCKERFILES["Dockerfile"].image(EFA="on")]


def values(instructions, instruction):
    return [value for name, value in instructions if name == instruction]


def the_linter_finds_nothing():
    hadolint = pathlib.Path(sysconfig.get_path("scripts")) / "hadolint"
    subprocess.run([hadolint, *(ROOT / "docker" / name for name in DOCKERFILES)], check=True)


def what_they_name_is_there():
    ignored = [line for line in (ROOT / ".dockerignore").read_text().split("\n") if line and not line.startswith("#")]
    sets = set(re.findall(r"^#   docker/install\.sh (\w+)", INSTALL, re.M))
    sources = ["Makefile", "CMakeLists.txt", "CMakePresets.json", "cmake",
               *re.findall(r"^add_subdirectory\((\w+)\)", (ROOT / "CMakeLists.txt").read_text(), re.M)]
    called = []
    for dockerfile in DOCKERFILES.values():
        for _, instructions in dockerfile.stages.values():
            for value in values(instructions, "COPY"):
                *words, _ = shlex.split(value)
                if words[0].startswith("--from="):
                    assert words[0].removeprefix("--from=") in dockerfile.stages, value
                else:
                    sources += words
            for value in values(instructions, "RUN"):
                for mount in re.findall(r"--mount=(\S+)", value):
                    options = dict(option.split("=") for option in mount.split(","))
                    if "from" in options:
                        assert options["from"] in dockerfile.stages, value
                    else:
                        sources.append(options["source"])
                called += re.findall(r"install\.sh (\w+)", value) + re.findall(r"SET=(\w+)", value)
    assert {"build", "gpu", "runtime"} == set(called) <= sets, f"{called} of {sets}"
    for source in sources:
        assert (ROOT / source).exists(), source
        assert not any(fnmatch.fnmatch(source.split("/")[0], pattern) for pattern in ignored), f"{source} is in .dockerignore"


def they_hold_what_runs():
    for base, instructions in IMAGES:
        assert base == "debian:12-slim", base
        assert values(instructions, "COPY") == ["--from=build /opt/lockstep /opt/lockstep"], instructions
        assert [json.loads(value) for value in values(instructions, "ENTRYPOINT")] == [["/opt/lockstep/bin/lockstep"]], instructions
        assert not values(instructions, "CMD") and not values(instructions, "USER"), instructions
        assert any("PATH=/opt/lockstep/bin:$PATH" in value for value in values(instructions, "ENV")), instructions
        labels = dict(word.split("=", 1) for value in values(instructions, "LABEL") for word in shlex.split(value))
        assert {name.removeprefix("org.opencontainers.image.") for name in labels} == {"title", "description", "version", "licenses"}
        assert labels["org.opencontainers.image.version"] == VERSION, labels
        commands = "\n".join(values(instructions, "RUN"))
        assert "install.sh runtime" in commands and "apt-get install" not in commands, commands
        assert "/opt/ml" not in str(instructions), instructions
    assert ["efa_installer" in str(instructions) for _, instructions in IMAGES] == [False, False, True]


def debian_gives_no_compiler_and_no_python():
    depends = output_of("apt-cache", "depends", "--recurse", "--installed", *(f"--no-{kind}" for kind in
                        ("recommends", "suggests", "conflicts", "breaks", "replaces", "enhances")), *RUNTIME, LC_ALL="C")
    found = {line.removesuffix(":amd64") for line in depends.splitlines() if not line.startswith((" ", "<"))}
    assert set(RUNTIME) < found, found
    unwanted = [name for name in found if re.search(r"^(python|gcc-\d+$|g\+\+|cpp|clang|make$|cmake|nvidia)|-dev$", name)]
    assert not unwanted, unwanted


class Tree:
    def __init__(self, directory):
        self.root = pathlib.Path(directory) / "tree"
        self.root.parent.chmod(0o755)
        self.install("cpu")

    def install(self, component, **variables):
        output_of("cmake", "--install", common.BIN.parent, "--prefix", self.root, "--component", component, **variables)
        self.files = {path.name: path for path in self.root.rglob("*") if path.is_file()}

    def dynamic_section(self, name):
        return output_of("readelf", "-d", self.files[name])

    def needed(self, name):
        return set(re.findall(r"\(NEEDED\).*\[(.*)\]", self.dynamic_section(name)))


tree = common.in_directory(Tree)


@tree
def the_tree_is_whole(t):
    """What a file needs is in it, or a library of Debian's runtime packages, or the driver's."""
    t.install("cuda", CMAKE_INSTALL_MODE="ABS_SYMLINK")  # 3 GB otherwise; names are all that is looked at
    libraries = {path.name for path in (t.root / "lib").iterdir()}
    assert {"libtorch_cpu.so", "libtorch_cuda.so", "libnccl.so.2", "libcudnn_graph.so.9"} <= libraries, libraries
    system = {pathlib.Path(line).name for line in output_of("dpkg-query", "-L", *RUNTIME, "libc6", "libstdc++6", "libgcc-s1").splitlines()}
    for name in t.files:
        missing = t.needed(name) - libraries - system - {"libcuda.so.1"}
        assert not missing, f"{name} needs {missing}"
        if t.needed(name) & libraries and not name.startswith("lockstep"):
            assert "ORIGIN" in t.dynamic_section(name), f"{name} does not look beside itself"
    # What these open by name, as far as the wheels have it.
    wheels = {path.name for path in t.files["libtorch_cuda.so"].resolve().parents[2].glob("*/**/lib/*.so*")}
    for name in ("libcudnn.so.9", "libcudnn_graph.so.9", "libtorch_cuda_linalg.so", "libnvrtc.so.13", "libcaffe2_nvrtc.so"):
        named = {match.decode() for match in re.findall(rb"lib[\w-]+\.so(?:\.[0-9.]*[0-9])?", t.files[name].read_bytes())}
        missing = {library for library in wheels for word in named if library == word or library.startswith(f"{word}.")} - libraries
        assert not missing, f"{name} opens {missing}"


@tree
def the_tree_runs_alone_as_any_user(t):
    """Moved, as SageMaker starts it, and without the libraries that it was built with."""
    moved = t.root.rename(t.root.parent / "elsewhere")
    for line in output_of("ldd", moved / "bin" / "lockstep-rank").splitlines():
        assert "not found" not in line and "site-packages" not in line, line
    base = moved.parent / "ml"
    common.write_channel(base / "input" / "data" / "train", *common.images(64))
    config = base / "input" / "config"
    config.mkdir()
    (config / "hyperparameters.json").write_text(json.dumps({"model": "mlp", "epochs": "1", "batch_size": "16", "ranks_per_host": "2"}))
    (config / "resourceconfig.json").write_text(json.dumps({"current_host": "algo-1", "hosts": ["algo-1"]}))
    (config / "inputdataconfig.json").write_text(json.dumps({"train": {"TrainingInputMode": "File"}}))
    for name in ("model", "output"):
        (base / name).mkdir()
        if os.geteuid() == 0:
            os.chown(base / name, NOBODY, NOBODY)
    environment = {"PATH": f"{moved / 'bin'}:{os.environ['PATH']}", "HOME": "/", "SAGEMAKER_BASE_DIR": str(base)}
    user = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
    result = subprocess.run([moved / "bin" / "train"], capture_output=True, text=True, timeout=120, env=environment, cwd="/", **user)
    assert result.returncode == 0 and "2 on algo-1" in result.stdout, result.stdout + result.stderr
    assert (base / "model" / "model.pt2").exists()


if __name__ == "__main__":
    common.main(the_linter_finds_nothing, what_they_name_is_there, they_hold_what_runs, debian_gives_no_compiler_and_no_python,
                the_tree_is_whole, the_tree_runs_alone_as_any_user)
