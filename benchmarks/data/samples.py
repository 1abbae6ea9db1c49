"""Samples by seconds of CPU time, all threads together: an epoch that Lockstep reads in a random order, beside what people read the same
files with. tf.data and DataLoader read them in their order, numpy's memmap in a random one."""

import argparse
import io
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
import PIL.Image
import tensorflow as tf
import torch

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from children import none_left, started  # noqa: E402
from report import BIN, ROOT, environment, print_table, write_json  # noqa: E402

NUMBERS, WINDOW, SIZE, BATCH = 256, 256, 224, 256
GENERATOR = np.random.default_rng(0)


def feature(values):
    if isinstance(values, bytes):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[values]))
    if values.dtype == np.int64:
        return tf.train.Feature(int64_list=tf.train.Int64List(value=values))
    return tf.train.Feature(float_list=tf.train.FloatList(value=values))


def write_records(path, records):
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in records:
            features = {name: feature(values) for name, values in record.items()}
            writer.write(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())


def picture():
    """Smooth, as photographs are, with some noise; 256×320."""
    small = GENERATOR.integers(0, 256, (16, 20, 3), np.uint8)
    pixels = np.asarray(PIL.Image.fromarray(small).resize((320, 256), PIL.Image.BICUBIC)).astype(np.int16)
    noisy = np.clip(pixels + GENERATOR.integers(-6, 7, pixels.shape), 0, 255).astype(np.uint8)
    packed = io.BytesIO()
    PIL.Image.fromarray(noisy).save(packed, "JPEG", quality=90)
    return packed.getvalue()


class Records:
    ours = ["in_order"]

    def __init__(self, directory, samples):
        write_records(directory / "data.tfrecord",
                      ({"x": GENERATOR.standard_normal(NUMBERS).astype(np.float32), "label": np.array([i % 10])} for i in range(samples)))
        self.files, self.samples = tf.data.TFRecordDataset(str(directory / "data.tfrecord")), samples

    def peer(self):
        shape = {"x": tf.io.FixedLenFeature([NUMBERS], tf.float32), "label": tf.io.FixedLenFeature([], tf.int64)}
        return sum(len(batch["label"]) for batch in self.files.batch(BATCH).map(lambda records: tf.io.parse_example(records, shape)))


class JpegRecords:
    ours = [f"image={SIZE},{SIZE}"]

    def __init__(self, directory, samples):
        samples //= 40
        write_records(directory / "data.tfrecord", ({"image": picture(), "label": np.array([i % 10])} for i in range(samples)))
        self.files, self.samples = tf.data.TFRecordDataset(str(directory / "data.tfrecord")), samples

    def peer(self):
        def decode(record):
            values = tf.io.parse_single_example(record, {"image": tf.io.FixedLenFeature([], tf.string), "label": tf.io.FixedLenFeature([], tf.int64)})
            pixels = tf.io.decode_and_crop_jpeg(values["image"], [0, 32, 256, 256], channels=3)
            return tf.cast(tf.image.resize(pixels, [SIZE, SIZE], antialias=True), tf.uint8), values["label"]
        return sum(len(labels) for _, labels in self.files.map(decode).batch(BATCH))


class Folder(torch.utils.data.Dataset):
    """As torchvision's ImageFolder with Resize and CenterCrop, which are Pillow's."""
    ours = [f"image={SIZE},{SIZE}"]

    def __init__(self, directory, samples):
        samples //= 40
        self.paths = [directory / str(i % 10) / f"{i}.jpg" for i in range(samples)]
        for path in self.paths:
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(picture())
        self.samples = samples

    def __len__(self):
        return self.samples

    def __getitem__(self, index):
        with PIL.Image.open(self.paths[index]) as image:
            image = image.convert("RGB").resize((280, SIZE), PIL.Image.BILINEAR).crop((28, 0, 28 + SIZE, SIZE))
            return torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous(), int(self.paths[index].parent.name)

    def peer(self):
        loader = torch.utils.data.DataLoader(self, batch_size=BATCH, shuffle=True, num_workers=2)
        return sum(len(labels) for _, labels in loader)


class Tokens:
    ours = [f"window={WINDOW}"]

    def __init__(self, directory, samples):
        self.path, self.samples = directory / "data.bin", samples
        GENERATOR.integers(0, 50257, samples * WINDOW + 1, np.uint16).tofile(self.path)

    def peer(self):
        tokens, count = np.memmap(self.path, np.uint16, "r"), 0
        order = GENERATOR.permutation(self.samples)
        for first in range(0, self.samples, BATCH):
            windows = order[first:first + BATCH]
            x = np.stack([tokens[i * WINDOW:(i + 1) * WINDOW].astype(np.int64) for i in windows])
            y = np.stack([tokens[i * WINDOW + 1:(i + 1) * WINDOW + 1].astype(np.int64) for i in windows])
            count += len(x) if len(x) == len(y) else 0
        return count


class Arrays:
    ours = []

    def __init__(self, directory, samples):
        np.save(directory / "x.npy", GENERATOR.standard_normal((samples, NUMBERS)).astype(np.float32))
        np.save(directory / "y.npy", GENERATOR.integers(0, 10, samples))
        self.directory, self.samples = directory, samples

    def peer(self):
        x, y = (np.load(self.directory / name, mmap_mode="r") for name in ("x.npy", "y.npy"))
        order, count = GENERATOR.permutation(self.samples), 0
        for first in range(0, self.samples, BATCH):
            rows = order[first:first + BATCH]
            count += len(x[rows]) if len(y[rows]) else 0
        return count


CASES = {"TFRecord of numbers": Records, "TFRecord of JPEG": JpegRecords, "folder of JPEG": Folder, "tokens": Tokens, "npy": Arrays}
PEERS = {"TFRecord of numbers": "tf.data", "TFRecord of JPEG": "tf.data", "folder of JPEG": "DataLoader, 2 workers, Pillow",
         "tokens": "numpy.memmap", "npy": "numpy.memmap"}


def benchmark(directory, *arguments):
    with started([BIN / "data_benchmark", directory, *arguments], stdout=subprocess.PIPE, text=True) as process:
        output, _ = process.communicate()
    if process.returncode != 0:
        sys.exit(process.returncode)
    return list(map(float, output.split()))


def cpu_seconds(work):
    def used():
        return sum(getattr(resource.getrusage(who), field) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
                   for field in ("ru_utime", "ru_stime"))
    start = used()
    result = work()
    return used() - start, result


def framing(directory):
    """How fast the records of a TFRecord file are got at, 64 KiB each, beside reading the file and computing a CRC32C of it."""
    write_records(directory / "data.tfrecord", ({"x": GENERATOR.bytes(1 << 16), "label": np.array([i % 10])} for i in range(2000)))
    _, read, _, _, checksums, content, _ = benchmark(directory, "field=label", "in_order")
    return content / read / 1e9, content / checksums / 1e9


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=60_000, help="of images a fortieth")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--output", type=pathlib.Path, default=ROOT / "benchmarks" / "results" / "samples.json")
    options = parser.parse_args()
    torch.set_num_threads(1)
    printed, results = [], {}
    for name, case in CASES.items():
        with tempfile.TemporaryDirectory() as directory:
            files = case(pathlib.Path(directory), options.samples)
            files.peer()  # warm
            runs = []
            for _ in range(options.repeats):
                _, read, samples, *_ = benchmark(directory, *case.ours)
                theirs, count = cpu_seconds(files.peer)
                if samples != count:
                    sys.exit(f"{name}: Lockstep read {samples} samples, and {PEERS[name]} {count}")
                runs.append((read, theirs))
            read, theirs = (statistics.median(run[i] for run in runs) for i in range(2))
            printed.append({"files": name, "samples/s": f"{files.samples / read:,.0f}", "peer": PEERS[name],
                            "peer, samples/s": f"{files.samples / theirs:,.0f}", "peer's time ÷ ours": f"{theirs / read:.2f}"})
            results[name] = runs
    with tempfile.TemporaryDirectory() as directory:
        results["framing and CRC32C, GB/s"] = framed = [framing(pathlib.Path(directory)) for _ in range(options.repeats)]
    print_table(printed)
    read, checksums = (statistics.median(run[i] for run in framed) for i in range(2))
    print(f"\nTFRecord, records of 64 KiB: {read:.2f} GB/s; the file read and a CRC32C of it {checksums:.2f} GB/s; ratio {read / checksums:.2f}")
    write_json(options.output, environment=environment("tensorflow-cpu", "torch", "numpy", "pillow"), samples=options.samples, seconds=results)


with none_left():
    main()
