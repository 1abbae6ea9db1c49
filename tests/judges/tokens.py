"""Data that stays in its files: tokens, CIFAR's batches and large arrays, written by numpy, train to the numbers of the same samples as .npz."""

import pathlib
import struct
import subprocess
import time

import numpy as np
import torch
from torch import nn

import common
import models

torch.set_num_threads(1)
WINDOW, VOCABULARY = 12, 60
JOB = dict(precision="fp64", batch_size=10, epochs=2, optimizer="sgd", learning_rate=0.3, momentum=0.9)


class Next(nn.Module):
    """Says what follows each token of a window, from all tokens up to there."""

    def __init__(self):
        super().__init__()
        self.embed, self.head = nn.Embedding(VOCABULARY, 8), nn.Linear(8, VOCABULARY)

    def forward(self, text):
        return self.head(torch.tanh(torch.cumsum(self.embed(text), 1)))


def write_program(directory):
    torch.manual_seed(4)
    models.export(Next(), directory / "in.pt2", torch.zeros(4, WINDOW, dtype=torch.int64))


def texts():
    generator = np.random.default_rng(8)
    return [generator.integers(0, VOCABULARY, count) for count in (700, 361, 9)]


def write_npz(directory):
    """What the windows of the texts are: of the third there is none."""
    windows = [text[first:first + WINDOW + 1] for text in texts() for first in range(0, len(text) - WINDOW, WINDOW)]
    assert len(windows) == 58 + 30, len(windows)
    data = np.stack(windows)
    np.savez(directory / "data.npz", tokens=data[:, :-1], targets=data[:, 1:])


def write_llmc(directory, magic, version, kind):
    for i, text in enumerate(texts()):
        header = np.zeros(256, np.int32)
        header[:3] = magic, version, len(text)
        (directory / f"train_{i:06}.bin").write_bytes(header.tobytes() + text.astype(kind).tobytes())


def write_megatron(directory, code, kind):
    for i, text in enumerate(texts()):
        lengths = np.array([3, len(text) - 3], np.int32)
        pointers = np.array([0, 3 * np.dtype(kind).itemsize], np.int64)
        (directory / f"text{i}.bin").write_bytes(text.astype(kind).tobytes())
        (directory / f"text{i}.idx").write_bytes(b"MMIDIDX\0\0" + struct.pack("<QBQQ", 1, code, 2, 3) + lengths.tobytes()
                                                 + pointers.tobytes() + np.arange(3, dtype=np.int64).tobytes())


def write_raw(directory, end, kind):
    for i, text in enumerate(texts()):
        (directory / f"train{i}{end}").write_bytes(text.astype(kind).tobytes())


FORMATS = {"llm.c, uint16": lambda d: write_llmc(d, 20240520, 1, np.uint16), "llm.c, uint32": lambda d: write_llmc(d, 20240801, 7, np.uint32),
           "Megatron, uint16": lambda d: write_megatron(d, 8, np.uint16), "Megatron, int32": lambda d: write_megatron(d, 4, np.int32),
           "raw, uint16": lambda d: write_raw(d, ".bin", np.uint16), "raw, uint32": lambda d: write_raw(d, ".uint32.bin", np.uint32)}


def same(a, b):
    assert a.keys() == b.keys()
    return all((a[name] == b[name]).all() for name in a)


def tokens_of_every_format_train_alike():
    with common.temporary_directory() as name:
        directory = pathlib.Path(name)
        write_program(directory)
        (directory / "npz").mkdir()
        write_npz(directory / "npz")
        wanted = {ranks: common.train(directory, {"train": directory / "npz"}, ranks, model=directory / "in.pt2", **JOB)[1] for ranks in (1, 3)}
        for i, (kind, write) in enumerate(FORMATS.items()):
            channel = directory / str(i)
            channel.mkdir()
            write(channel)
            for ranks in (1, 3) if kind in ("llm.c, uint16", "Megatron, uint16") else (1,):
                output, found = common.train(directory, {"train": channel}, ranks, model=directory / "in.pt2", **JOB)
                assert same(found, wanted[ranks]), f"{kind}, {ranks} ranks"
                # The third text, and what is left of 700 and of 361.
                assert "windows of 12 tokens; 12 of 1,070 tokens fill none" in output, output
                assert ("read as uint16" in output) == (kind == "raw, uint16"), output


def what_does_not_fit_is_refused():
    with common.temporary_directory() as name:
        directory = pathlib.Path(name)
        write_program(directory)
        channel = directory / "data"
        channel.mkdir()
        text = texts()[0]

        def refused(*wanted, **job):
            output = common.run(["train", "--channel", f"train={channel}", "--output_dir", directory / "output", "--max_steps", 2,
                                 *(f"--{key}={value}" for key, value in {"model": directory / "in.pt2", **job}.items())], expect=2)
            for part in wanted:
                assert part in output, f"{part!r} is not in:\n{output}"

        (channel / "a.bin").write_bytes(text[:12].astype(np.uint16).tobytes())
        refused("no window of 12 tokens and one that follows", "a.bin has 12")
        (channel / "a.bin").write_bytes(np.where(np.arange(len(text)) == 40, VOCABULARY, text).astype(np.uint16).tobytes())
        refused("a.bin, window at byte 72: the token of sample 3 is 60", "takes 60 different ones")
        refused("exported with a fixed number of tokens", model="mlp")
        output = common.run(["inspect", channel])
        assert "699 samples, of 1 file of tokens" in output and "a.bin has no header: read as uint16" in output, output


def a_text_of_6_gb():
    """Beside a job on few tokens: the same memory."""
    with common.temporary_directory() as name:
        directory = pathlib.Path(name)
        write_program(directory)
        channel = directory / "data"
        channel.mkdir()
        text = np.concatenate([texts()[0]] * 10).astype(np.uint16)
        peaks = []
        for size in (text.nbytes, 6 << 30):
            with open(channel / "a.bin", "wb") as file:
                file.write(text.tobytes())
                file.truncate(size)
            job = {**JOB, "model": directory / "in.pt2", "epochs": 1, "max_steps": 20, "ranks_per_host": 2, "threads_per_rank": 1, "export": "none"}
            arguments = ["train", "--channel", f"train={channel}", "--model_dir", directory / "model", "--output_dir", directory / "output"]
            peaks.append(common.most_own_memory(arguments + [part for key, value in job.items() for part in (f"--{key}", value)], name))
        print(f"a rank takes {peaks[0] >> 20} MiB with few tokens, {peaks[1] >> 20} MiB with 3,221,225,472")
        assert 20 << 20 < peaks[1] < min(peaks[0] + (32 << 20), 500_000_000), peaks
        # A token that is none is found when it is read.
        with open(channel / "a.bin", "r+b") as file:
            file.write(np.full(12, VOCABULARY, np.uint16).tobytes())
        output = common.run(["train", "--channel", f"train={channel}", "--output_dir", directory / "output", "--model", directory / "in.pt2",
                             "--batch_size", 10, "--max_steps", 5, "--shuffle", "false"], expect=2)
        assert "a.bin, window at byte 0: the token of sample 0 is 60" in output, output


def a_file_that_shrinks_is_named():
    with common.temporary_directory() as name:
        directory = pathlib.Path(name)
        write_program(directory)
        channel = directory / "data"
        channel.mkdir()
        write_llmc(channel, 20240520, 1, np.uint16)
        process = subprocess.Popen([common.BIN / "lockstep", "train", "--channel", f"train={channel}", "--output_dir", directory / "output",
                                    "--model", directory / "in.pt2", "--export", "none", "--batch_size", "10", "--epochs", "100000", "--log_every", "1"],
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        lines = directory / "output" / "data" / "metrics.jsonl"
        until = time.monotonic() + 120
        while not (lines.exists() and lines.stat().st_size > 2000) and process.poll() is None and time.monotonic() < until:
            time.sleep(0.05)
        with open(channel / "train_000000.bin", "r+b") as file:
            file.truncate(1500)
        output, _ = process.communicate(timeout=120)
        assert process.returncode != 0 and "train_000000.bin is truncated: it ends at byte" in output, (process.returncode, output[-3000:])


def trains_as_npz(arrays, write, **job):
    """To the bit: arrays as .npz, and what `write` leaves in a directory."""
    results = []
    for fill in (lambda channel: np.savez(channel / "data.npz", **arrays), write):
        with common.temporary_directory() as name:
            directory = pathlib.Path(name)
            (directory / "data").mkdir()
            fill(directory / "data")
            results.append(common.train(directory, {"train": directory / "data"}, 2, model="mlp", batch_size=20, **job)[1])
    assert same(*results)


def batches_of_cifar():
    generator = np.random.default_rng(1)
    images, labels = generator.integers(0, 256, (60, 3, 32, 32)).astype(np.uint8), generator.integers(0, 10, 60).astype(np.uint8)
    labels[0] = 9
    records = np.concatenate([labels[:, None], images.reshape(60, -1)], 1)

    def write(channel):
        records[:40].tofile(channel / "data_batch_1.bin")
        records[40:].tofile(channel / "data_batch_2.bin")

    trains_as_npz({"inputs": images, "targets": labels}, write, epochs=2)


# Above what is read into memory.
def a_large_array_stays_in_its_file():
    generator = np.random.default_rng(2)
    arrays = {"x": generator.standard_normal((1200, 30000), dtype=np.float32), "y": generator.integers(0, 5, 1200).astype(np.int32)}
    assert arrays["x"].nbytes > 128 << 20
    trains_as_npz(arrays, lambda channel: [np.save(channel / f"{name}.npy", array) for name, array in arrays.items()], max_steps=5)


if __name__ == "__main__":
    common.main(tokens_of_every_format_train_alike, what_does_not_fit_is_refused, a_text_of_6_gb, a_file_that_shrinks_is_named, batches_of_cifar,
                a_large_array_stays_in_its_file)
