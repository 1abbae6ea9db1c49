"""The wheel and the Debian package: installed in a fresh place, they train, and when they are removed nothing is left."""

import os
import pathlib
import shutil
import subprocess
import sys
import sysconfig

import numpy as np

import common

ROOT = pathlib.Path(__file__).parents[2]
BUILD = common.BIN.parent


def output_of(*command, expect=0, environment=None):
    result = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=600, env=environment)
    assert result.returncode == expect, f"{command}: {result.returncode}, expected {expect}\n{result.stdout}{result.stderr}"
    return result.stdout + result.stderr


def below(root):
    """Files, links and directories, but for what Python compiles beside other packages."""
    found = {path.relative_to(root) for path in root.rglob("*")}
    return {str(path) for path in found if "__pycache__" not in path.parts}


def job_in(directory):
    """Its arguments, for a table of which the target is a sum."""
    channel = directory / "train"
    channel.mkdir(parents=True)
    x = np.random.default_rng(1).normal(size=(64, 4)).astype(np.float32)
    np.save(channel / "x.npy", x)
    np.save(channel / "y.npy", x.sum(1, keepdims=True))
    return ["train", "--channel", f"train={channel}", "--loss", "mse", "--epochs", "3", "--ranks_per_host", "2", "--threads_per_rank", "1",
            "--model_dir", directory / "model", "--output_dir", directory / "output"]


@common.in_directory(pathlib.Path)
def the_wheel(directory):
    """In an environment that has torch and pyarrow, as pip would have put them there."""
    wheel = output_of(sys.executable, ROOT / "packaging" / "wheel.py", BUILD, directory / "wheels").strip().splitlines()[-1]
    size = os.path.getsize(wheel)
    output_of(sys.executable, "-m", "venv", directory / "venv")
    packages = next((directory / "venv").glob("lib/python3*/site-packages"))
    own = pathlib.Path(sysconfig.get_path("purelib"))
    for path in own.iterdir():
        if not (packages / path.name).exists() and path.suffix != ".pth":
            (packages / path.name).symlink_to(path)
    before = below(directory / "venv")
    environment = {"PATH": f"{directory}/venv/bin:/usr/bin:/bin", "HOME": str(directory), "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    output_of("pip", "install", "--quiet", "--no-index", wheel, environment=environment)
    output_of("pip", "check", environment=environment)
    output_of("lockstep", *job_in(directory / "job"), "--model", "mlp", environment=environment)
    assert (directory / "job" / "model" / "model.safetensors").exists()
    script = f"""
import lockstep, torch
from torch import nn
torch.manual_seed(1)
lockstep.export(nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1)), torch.zeros(2, 4), "model.pt2")
try:
    lockstep.export(nn.Flatten(), torch.zeros(2, 4), "nothing.pt2")
except ValueError as error:
    print("refused:", error)
try:
    lockstep.export(nn.Linear(4, 1), torch.zeros(1, 4), "one.pt2")
except ValueError as error:
    print("refused:", error)
lines = lockstep.metrics({str(directory / "job" / "output")!r})
print("events", sorted({{line["event"] for line in lines}}), lockstep.__version__)
import sys
sys.argv = ["lockstep"] + {[str(word) for word in job_in(directory / "own")]!r} + ["--model", "model.pt2"]
lockstep.main()
"""
    (directory / "entry.py").write_text(script)
    result = subprocess.run(["python", "entry.py"], capture_output=True, text=True, cwd=directory, env=environment)
    text = result.stdout + result.stderr
    assert result.returncode == 0 and text.count("refused:") == 2 and "at least 2" in text and "'epoch'" in text, text
    assert not (directory / "nothing.pt2").exists() and (directory / "own" / "model" / "model.pt2").exists()
    installed = sum(path.stat().st_size for path in (packages / "lockstep").rglob("*") if path.is_file())
    output_of("pip", "uninstall", "--quiet", "--yes", "lockstep", environment=environment)
    assert below(directory / "venv") == before, below(directory / "venv") ^ before
    print(f"the wheel: {size / 1e6:.1f} MB, installed {installed / 1e6:.1f} MB")


@common.in_directory(pathlib.Path)
def the_debian_package(directory):
    """In a copy of this root, which is an overlay of a mount namespace of its own."""
    output_of("cpack", "--config", BUILD / "CPackConfig.cmake", "-B", directory / "package")
    package = next((directory / "package").glob("*.deb"))
    size = package.stat().st_size
    shutil.rmtree(directory / "package" / "_CPack_Packages")
    fields = output_of("dpkg-deb", "--field", package)
    assert "Depends: openmpi-bin, libopenmpi3, " in fields, fields
    (directory / "root").mkdir()
    job = job_in(directory / "job")
    script = f"""set -e
mount -t tmpfs tmpfs {directory}/root && cd {directory}/root && mkdir upper work whole
mount -t overlay overlay -o lowerdir=/,upperdir=upper,workdir=work whole
mount --rbind /dev whole/dev; mount --rbind /proc whole/proc; mount --rbind {directory} whole{directory}
chroot whole dpkg -i {package}
chroot whole dpkg -s lockstep | grep -q 'ok installed'
chroot whole env -i PATH=/usr/bin:/bin HOME=/root {" ".join(map(str, ["lockstep", *job, "--model", "mlp"]))}
chroot whole dpkg -P lockstep
chroot whole dpkg -s lockstep 2>&1 | grep 'not installed'
cd upper; find . -type d -printf 'directory %p\\n' -o -printf 'file %p\\n' | sort
"""
    text = output_of("unshare", "--mount", "bash", "-c", script)
    assert (directory / "job" / "model" / "model.safetensors").exists(), text
    made = [line.split(" ", 1) for line in text.splitlines() if line.startswith(("file ./", "directory ./"))]
    assert "is not installed" in text and made, text
    left = [path for kind, path in made if not path.startswith(("./var/lib/dpkg", "./var/log", "./var/cache"))
            and not (kind == "directory" and pathlib.Path("/", path).is_dir())]
    assert not left, f"{left} are left"
    print(f"the Debian package: {size / 1e6:.1f} MB, installed {int(fields.split('Installed-Size: ')[1].split()[0]) / 1e3:.1f} MB")


if __name__ == "__main__":
    common.main(the_wheel, the_debian_package)
