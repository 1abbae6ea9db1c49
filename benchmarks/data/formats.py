"""The demo's network trained on the same pictures from IDX, TFRecord, CSV and Parquet: whole jobs in turn, one rank of one thread. CPU seconds are
those of the whole job less those of a job of one step: opening the channel is not in them. Data wait is the job's own."""

import argparse
import gzip
import json
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile

import numpy as np
import pyarrow
import pyarrow.csv
import pyarrow.parquet
import torch

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from children import none_left, started  # noqa: E402
from report import BIN, ROOT, environment, print_table, write_json  # noqa: E402

FASHION_MNIST = pathlib.Path("/usr/share/datasets/fashion-mnist")
BATCH = 64


def pictures(count):
    pixels = np.frombuffer(gzip.open(FASHION_MNIST / "train-images-idx3-ubyte.gz").read(), np.uint8, offset=16)
    labels = np.frombuffer(gzip.open(FASHION_MNIST / "train-labels-idx1-ubyte.gz").read(), np.uint8, offset=8)
    return pixels.reshape(-1, 784)[:count], labels[:count]


class Rows(torch.nn.Module):
    """The built-in cnn, of pictures that come as rows of numbers."""

    def __init__(self, cnn):
        super().__init__()
        self.cnn = cnn

    def forward(self, x):
        return self.cnn(x.reshape(-1, 1, 28, 28))


def write_program(directory):
    subprocess.run([BIN / "lockstep", "model", "cnn", "-o", directory / "cnn.pt2", "--input_shape", "1,28,28"], check=True, stdout=subprocess.DEVNULL)
    program = torch.export.export(Rows(torch.export.load(directory / "cnn.pt2").module()), (torch.zeros(2, 784),),
                                  dynamic_shapes=({0: torch.export.Dim("batch")},))
    torch.export.save(program, directory / "rows.pt2")


def write_idx(directory, pixels, labels):
    for name, array in (("images", pixels), ("labels", labels)):
        sizes = b"".join(int(size).to_bytes(4, "big") for size in array.shape)
        (directory / f"{name}-ubyte").write_bytes(bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes())


def write_records(directory, pixels, labels):
    import tensorflow as tf
    with tf.io.TFRecordWriter(str(directory / "data.tfrecord")) as writer:
        for row, label in zip(pixels, labels):
            features = {"x": tf.train.Feature(bytes_list=tf.train.BytesList(value=[row.tobytes()])),
                        "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[int(label)]))}
            writer.write(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())


def table(pixels, labels):
    return pyarrow.table({"label": labels.astype(np.int64), **{f"p{i}": pixels[:, i].astype(np.int64) for i in range(784)}})


def write_csv(directory, pixels, labels):
    pyarrow.csv.write_csv(table(pixels, labels), directory / "data.csv")


def write_parquet(directory, pixels, labels):
    pyarrow.parquet.write_table(table(pixels, labels), directory / "data.parquet")


FORMATS = {"IDX": write_idx, "TFRecord": write_records, "CSV": write_csv, "Parquet": write_parquet}


def cpu_seconds():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def train(directory, name, steps):
    """CPU seconds of the job, and what it says of itself at its end."""
    before = cpu_seconds()
    command = [BIN / "lockstep", "train", "--model", directory / "rows.pt2", "--channel", f"train={directory / name}", "--model_dir", directory / "model",
               "--output_dir", directory / "output", "--export", "none", "--ranks_per_host", 1, "--threads_per_rank", 1, "--batch_size", BATCH,
               "--max_steps", steps, "--learning_rate", 0.01]
    if name in ("CSV", "Parquet"):  # numbers are not taken for pixels
        command += ["--input_mean", 0.286 * 255, "--input_std", 0.353 * 255]
    with started(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        output, _ = process.communicate()
    if process.returncode != 0:
        sys.exit(output)
    events = map(json.loads, (directory / "output" / "data" / "metrics.jsonl").read_text().splitlines())
    return cpu_seconds() - before, next(event for event in events if event["event"] == "final")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=20_000)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--output", type=pathlib.Path, default=ROOT / "benchmarks" / "results" / "formats.json")
    options = parser.parse_args()
    runs = {name: [] for name in FORMATS}
    with tempfile.TemporaryDirectory() as place:
        directory = pathlib.Path(place)
        write_program(directory)
        for name, write in FORMATS.items():
            (directory / name).mkdir()
            write(directory / name, *pictures(options.samples))
        for _ in range(options.repeats):
            for name in FORMATS:
                alone, _ = train(directory, name, 1)
                whole, said = train(directory, name, options.steps)
                runs[name].append({"cpu_seconds": whole - alone, "samples_per_second": said["samples_per_second"], "data_wait": said["data_wait_share"]})
    printed = []
    for name, each in runs.items():
        def ratio(key, each=each):
            return statistics.median(run[key] / idx[key] for run, idx in zip(each, runs["IDX"]))
        printed.append({"format": name, "samples/s": f"{statistics.median(run['samples_per_second'] for run in each):,.0f}",
                        "÷ IDX": f"{ratio('samples_per_second'):.3f}", "CPU seconds ÷ IDX": f"{ratio('cpu_seconds'):.3f}",
                        "data wait": f"{100 * statistics.median(run['data_wait'] for run in each):.2f} %"})
    print_table(printed)
    write_json(options.output, environment=environment("torch", "pyarrow", "tensorflow-cpu"), samples=options.samples, steps=options.steps, runs=runs)


with none_left():
    main()
