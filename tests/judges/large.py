"""Data larger than the memory that a rank may take: 6 GB of CSV and of JPEGs in a tar file (in `make test` 300 MB of each) train,
and the memory that is the rank's own (not the system's cache of files) stays under 500 MB; the data's size hardly shows in it. Of tokens
the judge of tokens says it."""

import io
import os
import pathlib
import tarfile

import numpy as np
from PIL import Image

import common

SOAKING = "LOCKSTEP_SOAK" in os.environ
BYTES = 6_000_000_000 if SOAKING else 300_000_000
FEW = 3_000_000         # bytes of the data beside which it is held
MOST = 500_000_000      # bytes of memory
# An index has little more than 4 bytes a record. Buffers are filled as far as the data go.
GROWTH = 64_000_000


def repeated(path, block, size):
    with open(path, "wb") as file:
        for _ in range(max(1, size // len(block))):
            file.write(block)


def write_csv(directory, size):
    rows = np.random.default_rng(0).standard_normal((10_000, 16))
    text = "".join(f"{i % 10}," + ",".join(f"{value:.6g}" for value in row) + "\n" for i, row in enumerate(rows))
    repeated(directory / "table.csv", text.encode(), size)


def write_tar(directory, size):
    generator = np.random.default_rng(0)
    jpegs = []
    for _ in range(16):
        image = io.BytesIO()
        Image.fromarray(generator.integers(0, 256, (64, 64, 3)).astype(np.uint8)).save(image, "JPEG", quality=90)
        jpegs.append(image.getvalue())

    def member(name, content):
        info = tarfile.TarInfo(name)
        info.size = len(content)
        return info.tobuf(tarfile.USTAR_FORMAT) + content + b"\0" * (-len(content) % 512)

    with open(directory / "images.tar", "wb") as file:
        i = 0
        while file.tell() < size:
            file.write(member(f"{i:08}.jpg", jpegs[i % 16]) + member(f"{i:08}.cls", str(i % 10).encode()))
            i += 1
        file.write(b"\0" * 1024)


def peak(write, size, **job):
    with common.temporary_directory() as name:
        directory = pathlib.Path(name)
        (directory / "train").mkdir()
        write(directory / "train", size)
        arguments = ["train", "--channel", f"train={directory / 'train'}", "--model_dir", directory / "model", "--output_dir", directory / "output",
                     "--export", "none", "--max_steps", 30, "--threads_per_rank", 1]
        for key, value in job.items():
            arguments += [f"--{key}", value]
        most = common.most_own_memory(arguments, name)
        found = sum(file.stat().st_size for file in (directory / "train").iterdir())
        return most, found


JOBS = {"CSV": (write_csv, dict(model="mlp", batch_size=64)),
        "JPEGs in a tar file": (write_tar, dict(model="cnn", batch_size=8))}


def main():
    for name, (write, job) in JOBS.items():
        few, _ = peak(write, FEW, **job)
        many, size = peak(write, BYTES, **job)
        print(f"{name}: {size / 1e9:.1f} GB train with {many / 1e6:.0f} MB of own memory, {FEW / 1e6:.0f} MB with {few / 1e6:.0f} MB", flush=True)
        assert 20_000_000 < many < MOST, (name, many)
        if not SOAKING:
            assert many - few < GROWTH, (name, few, many)


if __name__ == "__main__":
    main()
