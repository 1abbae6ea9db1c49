"""Makes a wheel of a build: `packaging/wheel.py BUILD DIRECTORY` writes lockstep-VERSION-py3-none-linux_x86_64.whl and prints its path.

It holds the programs and a module in front of them. libtorch and Arrow's libraries come from the wheels of `torch` and `pyarrow` that it
depends on, in the versions that the build was made with: the programs look for them in the directories beside the module's own.
"""

import base64
import hashlib
import pathlib
import re
import subprocess
import sys
import tempfile
import zipfile

ROOT = pathlib.Path(__file__).parents[1]


def cached(build, name):
    return re.search(rf"^{name}:\w+=(.*)$", (build / "CMakeCache.txt").read_text(), re.MULTILINE)[1]


def version_of(build, package):
    """Of an installed package that the build was made with."""
    found = list(pathlib.Path(cached(build, "LOCKSTEP_PREFIX_PATH")).glob(f"lib/python3*/site-packages/{package}-*.dist-info"))
    assert len(found) == 1, f"{package}: {found}"
    return found[0].name.removeprefix(f"{package}-").removesuffix(".dist-info").split("+")[0]


def files_of(build, version):
    """By their names in the wheel."""
    with tempfile.TemporaryDirectory() as stage:
        subprocess.run(["cmake", "--install", build, "--prefix", stage, "--component", "wheel", "--strip"], check=True, stdout=subprocess.DEVNULL)
        programs = {f"lockstep/bin/{path.name}": path.read_bytes() for path in sorted(pathlib.Path(stage).rglob("*")) if path.is_file()}
    modules = {f"lockstep/{path.name}": path.read_bytes() for path in sorted((ROOT / "packaging" / "python" / "lockstep").glob("*.py"))}
    about = f"lockstep-{version}.dist-info"
    metadata = f"""Metadata-Version: 2.1
Name: lockstep
Version: {version}
Summary: Trains programs that PyTorch exported, data-parallel across GPUs, CPUs and hosts, without Python at run time
License: Apache-2.0
Requires-Python: >=3.9
Requires-Dist: torch=={version_of(build, "torch")}
Requires-Dist: pyarrow=={version_of(build, "pyarrow")}
"""
    return {**programs, **modules,
            f"{about}/METADATA": metadata.encode(),
            f"{about}/WHEEL": b"Wheel-Version: 1.0\nGenerator: lockstep\nRoot-Is-Purelib: false\nTag: py3-none-linux_x86_64\n",
            f"{about}/entry_points.txt": b"[console_scripts]\nlockstep = lockstep:main\n",
            f"{about}/LICENSE": (ROOT / "LICENSE").read_bytes()}


def main(build, directory):
    version = cached(build, "CMAKE_PROJECT_VERSION")
    files = files_of(build, version)
    record = "".join(f"{name},sha256={base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip('=')},{len(data)}\n"
                     for name, data in files.items())
    files[f"lockstep-{version}.dist-info/RECORD"] = (record + f"lockstep-{version}.dist-info/RECORD,,\n").encode()
    directory.mkdir(parents=True, exist_ok=True)
    wheel = directory / f"lockstep-{version}-py3-none-linux_x86_64.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = (0o100755 if name.startswith("lockstep/bin/") else 0o100644) << 16
            archive.writestr(entry, data)
    print(wheel)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
