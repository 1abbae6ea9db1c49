"""Images that Pillow wrote: read as Pillow reads them, cut and scaled as it scales them, and trained on as their pixels are."""

import ctypes
import io
import os
import pathlib
import struct
import subprocess
import sys
import tarfile
import zlib

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import nn

import common
import models

torch.set_num_threads(1)

MASK = 2**64 - 1


def splitmix(value):
    value = value + 0x9E3779B97F4A7C15 & MASK
    value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9 & MASK
    value = (value ^ value >> 27) * 0x94D049BB133111EB & MASK
    return value ^ value >> 31


class Chance:
    """engine/data/Draw.h."""

    def __init__(self, seed, epoch, sample, use):
        self.state = splitmix(splitmix(splitmix(splitmix(seed) ^ epoch) ^ sample) ^ use)

    def next(self):
        number = splitmix(self.state)
        self.state = self.state + 0x9E3779B97F4A7C15 & MASK
        return number

    def between(self, least, most):
        return least + (most - least) * ((self.next() >> 11) * 2.0**-53)

    def below(self, count):
        return (self.next() >> 32) * count >> 32


def nearest(number):
    return int(np.floor(number + 0.5))


def random_box(height, width, chance):
    """As torchvision's RandomResizedCrop.get_params, by other random numbers: top, left, height, width."""
    for _ in range(10):
        part = height * width * chance.between(0.08, 1)
        ratio = np.exp(chance.between(np.log(3 / 4), np.log(4 / 3)))
        columns, rows = nearest(np.sqrt(part * ratio)), nearest(np.sqrt(part / ratio))
        if 1 <= columns <= width and 1 <= rows <= height:
            return chance.below(height - rows + 1), chance.below(width - columns + 1), rows, columns
    return middle(height, width, min(max(width / height, 3 / 4), 4 / 3))


def middle(height, width, ratio):
    rows, columns = max(1, nearest(min(height, width / ratio))), max(1, nearest(min(width, height * ratio)))
    return (height - rows) // 2, (width - columns) // 2, rows, columns


def scaled(image, box, height, width):
    """Pillow chooses whether height or width comes first, and rounds in between: that is one level's difference."""
    top, left, rows, columns = box
    part = image.crop((left, top, left + columns, top + rows))
    found = part.resize((columns, height), Image.BILINEAR).resize((width, height), Image.BILINEAR)
    at_once = np.asarray(part.resize((width, height), Image.BILINEAR))
    assert np.abs(np.asarray(found).astype(int) - at_once).max() <= 1
    return found


def photo(height, width, seed=0, channels=3):
    """Smooth, with edges and some noise, so that it is no easy one."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    waves = [127 + 100 * np.sin(x / (5 + 7 * c) + y / (11 + 3 * c) + generator.uniform(0, 6)) for c in range(channels)]
    pixels = np.stack(waves, -1) + generator.normal(0, 6, (height, width, channels))
    pixels[height // 3: height // 2, width // 4: width // 2] = generator.uniform(0, 255, channels)
    return np.clip(pixels, 0, 255).astype(np.uint8)


def read(directory, channels, height, width, crop="center", draw=()):
    """Of all images of a channel, in the order of their names."""
    result = subprocess.run([common.BIN / "judge_pixels", directory, *map(str, (channels, height, width, crop, *draw))], capture_output=True, timeout=60)
    assert result.returncode == 0, result.stderr.decode()
    each = channels * height * width
    count = len(result.stdout) // (each + 8)
    return (np.frombuffer(result.stdout, np.uint8, count * each).reshape(count, channels, height, width),
            np.frombuffer(result.stdout, np.int64, count, count * each))


def planes(image, mode="RGB"):
    pixels = np.asarray(image.convert(mode))
    return pixels.transpose(2, 0, 1) if pixels.ndim == 3 else pixels[None]


def written(directory, images):
    """Saves images by names, each as (image, format, options); of one size, 40×56, upright."""
    (directory / "a").mkdir(parents=True)
    for name, (image, form, options) in images.items():
        image.save(directory / "a" / name, form, **options)
    return [Image.open(directory / "a" / name) for name in sorted(images)]


def every_kind():
    colours, grey = Image.fromarray(photo(40, 56)), Image.fromarray(photo(40, 56, 1, 1)[..., 0])
    alpha = colours.copy()
    alpha.putalpha(Image.fromarray(photo(40, 56, 2, 1)[..., 0]))
    deep = Image.fromarray(photo(40, 56, 3, 1)[..., 0].astype(np.uint16) * 256 + 77)
    clear = colours.quantize(50)
    exact = {
        "rgb.png": (colours, "PNG", {}), "grey.png": (grey, "PNG", {}), "alpha.png": (alpha, "PNG", {}), "grey alpha.png": (grey.convert("LA"), "PNG", {}),
        "palette.png": (colours.quantize(200), "PNG", {}), "four.png": (colours.quantize(11), "PNG", {"bits": 4}), "clear.png": (clear, "PNG", {"transparency": 3}),
        "one.png": (grey.convert("1"), "PNG", {}), "lossless.webp": (colours, "WEBP", {"lossless": True}),
        "lossless alpha.webp": (alpha, "WEBP", {"lossless": True, "exact": True}),
        # By content and not by name.
        "png.jpg": (colours, "PNG", {}), "no name": (grey, "PNG", {})}
    near = {f"{subsampling} {quality}{' progressive' * progressive}.jpg": (colours, "JPEG", {"quality": quality, "subsampling": subsampling, "progressive": progressive})
            for subsampling in ("4:4:4", "4:2:2", "4:2:0") for quality in (30, 95) for progressive in (False, True)}
    near |= {"grey.jpg": (grey, "JPEG", {}), "cmyk.jpg": (colours.convert("CMYK"), "JPEG", {"quality": 95}), "restarts.jpg": (colours, "JPEG", {"restart_marker_rows": 1}),
             "optimized.jpg": (colours, "JPEG", {"optimize": True}), "profile.jpg": (colours, "JPEG", {"icc_profile": b"\xff\xda" * 500}),
             "lossy.webp": (colours, "WEBP", {"quality": 80}), "lossy alpha.webp": (alpha, "WEBP", {"quality": 80})}
    return exact, near, deep


@common.in_directory(pathlib.Path)
def every_kind_is_read_as_pillow_reads_it(directory):
    exact, near, deep = every_kind()
    for kinds, most in ((exact, 0), (near, 2)):
        images = written(directory / str(most), kinds)
        for channels, mode in ((3, "RGB"), (1, "L")):
            found, _ = read(directory / str(most), channels, 40, 56)
            worst = {}
            for name, pixels, image in zip(sorted(kinds), found, images):
                difference = np.abs(pixels.astype(int) - planes(image.convert("RGB"), mode))
                worst[name] = difference.max()
            assert max(worst.values()) <= most, worst
            print(f"{mode}: {len(worst)} kinds, {sum(value == 0 for value in worst.values())} of them exact, others {dict((n, int(v)) for n, v in worst.items() if v)}")
    # The upper 8 of 16 bits, where Pillow has none of its own.
    written(directory / "deep", {"deep.png": (deep, "PNG", {})})
    assert (read(directory / "deep", 1, 40, 56)[0][0, 0] == np.asarray(deep) >> 8).all()
    # What Pillow reads and does not write: interlaced, which is seven images in turn, colours of 16 bits, YCCK.
    place = directory / "others" / "a"
    place.mkdir(parents=True)
    pixels = photo(23, 30)
    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    (place / "interlaced.png").write_bytes(png(pixels, [pixels[top::down, left::right] for top, left, down, right in passes], 8, 1))
    deep = (pixels.astype(np.uint16) * 256 + 200).astype(">u2")
    (place / "deep.png").write_bytes(png(pixels, [deep], 16, 0))
    (place / "ycck.jpg").write_bytes(ycck(photo(23, 30, 5, 4)))
    assert Image.open(place / "ycck.jpg").mode == "CMYK" and Image.open(place / "ycck.jpg").info["adobe_transform"] == 2
    found, _ = read(directory / "others", 3, 23, 30)
    for name, image in zip(("deep.png", "interlaced.png", "ycck.jpg"), found):
        difference = np.abs(image.astype(int) - planes(Image.open(place / name)))
        assert difference.max() <= (2 if name == "ycck.jpg" else 0), (name, difference.max())
    assert (found[0] == found[1]).all() and (found[1] == pixels.transpose(2, 0, 1)).all()


def ycck(inks):
    """As TurboJPEG writes four channels."""
    library = ctypes.CDLL("libturbojpeg.so.0")
    library.tjInitCompress.restype = ctypes.c_void_p
    out, size = ctypes.POINTER(ctypes.c_ubyte)(), ctypes.c_ulong()
    height, width, _ = inks.shape
    cmyk, full_colours = 11, 0  # TJPF_CMYK, TJSAMP_444
    failed = library.tjCompress2(ctypes.c_void_p(library.tjInitCompress()), inks.ctypes.data_as(ctypes.c_void_p), width, 0, height, cmyk,
                                 ctypes.byref(out), ctypes.byref(size), full_colours, 90, 0)
    assert failed == 0
    return ctypes.string_at(out, size.value)


def png(pixels, images, bits, interlaced):
    """Of the size of `pixels`, holding `images` in turn."""
    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    rows = b"".join(b"\0" + row.tobytes() for image in images for row in image)
    height, width, _ = pixels.shape
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, 2, 0, 0, interlaced))
            + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


@common.in_directory(pathlib.Path)
def images_are_turned_upright(directory):
    for form in ("JPEG", "PNG", "WEBP"):
        place = directory / form / "a"
        place.mkdir(parents=True)
        for value in range(1, 9):
            exif = Image.Exif()
            exif[274] = value
            options = {"lossless": True} if form == "WEBP" else {"quality": 95} if form == "JPEG" else {}
            image = Image.fromarray(photo(48, 32) if value >= 5 else photo(32, 48))
            image.save(place / str(value), form, exif=exif, **options)
        for height, width, most in ((32, 48, 0), (20, 20, 1)):
            found, _ = read(directory / form, 3, height, width)
            for value in range(1, 9):
                upright = ImageOps.exif_transpose(Image.open(place / str(value)).convert("RGB"))
                wanted = planes(scaled(upright, middle(32, 48, width / height), height, width))
                difference = np.abs(found[value - 1].astype(int) - wanted).max()
                assert difference <= most, (form, value, difference)


@common.in_directory(pathlib.Path)
def images_are_cut_and_scaled_as_pillow_does(directory):
    place = directory / "data" / "a"
    place.mkdir(parents=True)
    generator = np.random.default_rng(3)
    images = [Image.fromarray(photo(*generator.integers(20, 300, 2), seed)) for seed in range(20)] + [Image.fromarray(photo(9, 700)), Image.fromarray(photo(1, 1))]
    for i, image in enumerate(images):
        image.save(place / f"{i:02}.png")
    for height, width in ((32, 32), (40, 25), (224, 224), (1, 1)):
        for crop in ("center", "stretch", "random"):
            for draw in ((7, 0), (7, 3)) if crop == "random" else ((),):
                found, _ = read(directory / "data", 3, height, width, crop, draw)
                for i, (pixels, image) in enumerate(zip(found, images)):
                    box = ((0, 0, image.height, image.width) if crop == "stretch" else middle(image.height, image.width, width / height) if crop == "center"
                           else random_box(image.height, image.width, Chance(*draw, i, 1)))
                    wanted = planes(scaled(image, box, height, width))
                    assert (pixels == wanted).all(), (height, width, crop, draw, i, np.abs(pixels.astype(int) - wanted).max())
    # Without a draw, as in evaluation, the middle.
    assert (read(directory / "data", 3, 32, 32, "random")[0] == read(directory / "data", 3, 32, 32)[0]).all()


@common.in_directory(pathlib.Path)
def large_jpegs_are_decoded_smaller(directory):
    """At an eighth, a quarter and a half, where that stays as large as what is wanted: near what Pillow makes of all pixels."""
    place = directory / "data" / "a"
    place.mkdir(parents=True)
    image = Image.fromarray(photo(113, 150)).resize((1203, 901), Image.BICUBIC)
    image.save(place / "large.jpg", quality=90)
    for size in (64, 112, 113, 225, 300, 451):
        found, _ = read(directory / "data", 3, size, size)
        wanted = planes(scaled(Image.open(place / "large.jpg"), middle(901, 1203, 1), size, size))
        error = np.sqrt(np.mean((found[0].astype(float) - wanted) ** 2))
        print(f"to {size}: {error:.2f} levels apart, root of the mean square")
        assert error < 2, (size, error)


JOB = dict(precision="fp64", batch_size=16, epochs=2, learning_rate=0.05, momentum=0.9, artifact_state="last", input_mean=0.4, input_std=0.3)
CLASSES = ("ant", "bee", "cow")


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 6, 3, stride=2), nn.Tanh(), nn.Flatten(), nn.Linear(6 * 11 * 11, len(CLASSES)))

    def forward(self, x):
        return self.layers(x)


class Grey(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(24 * 24, len(CLASSES))

    def forward(self, x):
        return self.layer(x.flatten(1))


def write_folder(directory, count, seed, height=24, width=24, end="png"):
    """Images in the order of their names, and their labels."""
    labels = np.sort(np.random.default_rng(seed).integers(0, len(CLASSES), count))
    images = [Image.fromarray(photo(height, width, seed * 1000 + i) // 2 + 30 * label.astype(np.uint8)) for i, label in enumerate(labels)]
    for i, (image, label) in enumerate(zip(images, labels)):
        place = directory / CLASSES[label]
        place.mkdir(parents=True, exist_ok=True)
        image.save(place / f"{i:03}.{end}")
    return images, labels


def write_npz(directory, images, labels):
    directory.mkdir(parents=True)
    np.savez(directory / "data.npz", image=np.stack([planes(image) for image in images]), target=labels)


def same(found, wanted):
    return found.keys() == wanted.keys() and all((found[name] == wanted[name]).all() for name in wanted)


def write_program(directory):
    torch.manual_seed(1)
    models.export(Small(), directory / "in.pt2", torch.rand(3, 3, 24, 24))
    return directory / "in.pt2"


@common.in_directory(pathlib.Path)
def a_folder_trains_as_its_pixels(directory):
    job = dict(JOB, model=write_program(directory), image_flip=0.5, image_padding=3)
    images = {name: write_folder(directory / "folder" / name, *what) for name, what in (("train", (50, 1)), ("validation", (20, 2)))}
    for name, what in images.items():
        write_npz(directory / "npz" / name, *what)
    found = {}
    for ranks, threads in ((1, 4), (2, 1), (3, 2)):
        for kind, loader_threads in (("folder", threads), ("npz", 1)):
            channels = {name: directory / kind / name for name in images}
            output, found[kind, ranks] = common.train(directory / f"{kind}{ranks}", channels, ranks, loader_threads=loader_threads, **job)
        assert same(found["folder", ranks], found["npz", ranks]), output
        losses = [[line["validation_loss"] for line in common.metrics(directory / f"{kind}{ranks}", "final")] for kind in ("folder", "npz")]
        assert losses[0] == losses[1], losses
        assert common.relative_difference(found["folder", ranks], found["folder", 1]) < common.tolerance(steps=8)
    still = common.train(directory / "still", {"train": directory / "npz/train"}, **{**job, "image_flip": 0, "image_padding": 0})[1]
    assert not same(still, found["npz", 1])
    # A program of rows and columns alone takes grey ones.
    models.export(Grey(), directory / "grey.pt2", torch.rand(3, 24, 24))
    (directory / "grey").mkdir()
    np.savez(directory / "grey/data.npz", image=np.stack([planes(image, "L")[0] for image in images["train"][0]]), target=images["train"][1])
    grey = {**job, "model": directory / "grey.pt2", "epochs": 1}
    assert same(*(common.train(directory / "of grey", {"train": directory / place}, **grey)[1] for place in ("folder/train", "grey")))
    # What has stopped within an epoch goes on with the same pixels.
    checkpoints = {"checkpoint_dir": directory / "checkpoints", "checkpoint_every": 2}
    channels = {name: directory / "folder" / name for name in images}
    common.train(directory / "resumed", channels, 2, max_steps=6, **checkpoints, **job)
    output, resumed = common.train(directory / "resumed", channels, 2, loader_threads=3, **checkpoints, **job)
    assert same(resumed, found["folder", 2]), output


def write_tars(directory, folder, images, labels):
    """As the files of a folder, in three tar files of another form each, one of them packed."""
    directory.mkdir()
    files = sorted(path for path in folder.rglob("*.jpg"))
    for i, (form, end) in enumerate(((tarfile.USTAR_FORMAT, "tar"), (tarfile.GNU_FORMAT, "tar"), (tarfile.PAX_FORMAT, "tar.gz"))):
        with tarfile.open(directory / f"{i}.{end}", "w:gz" if end == "tar.gz" else "w", format=form) as file:
            for path, label in list(zip(files, labels))[i * 17: (i + 1) * 17]:
                key = f"{path.stem}{'n' * (150 if i else 0)}"
                for name, content in ((f"{key}.jpg", path.read_bytes()), (f"{key}.cls", str(label).encode()), (f"{key}.json", b"{}")):
                    about = tarfile.TarInfo(name)
                    about.size = len(content)
                    file.addfile(about, io.BytesIO(content))


@common.in_directory(pathlib.Path)
def random_parts_are_the_same_for_all(directory):
    """One epoch of them, beside the pixels that Pillow makes of what `random_box` says; ranks, threads, tar files."""
    job = dict(JOB, model=write_program(directory), epochs=1, seed=5)
    images, labels = write_folder(directory / "folder", 50, 3, 60, 44)
    parts = [scaled(image, random_box(60, 44, Chance(5, 0, i, 1)), 24, 24) for i, image in enumerate(images)]
    write_npz(directory / "npz", parts, labels)
    wanted = common.train(directory / "expected", {"train": directory / "npz"}, 2, **job)[1]
    found = common.train(directory / "found", {"train": directory / "folder"}, 2, image_crop="random", loader_threads=4, **job)[1]
    assert same(found, wanted)
    images, labels = write_folder(directory / "jpeg", 50, 4, 120, 100, "jpg")
    write_tars(directory / "tar", directory / "jpeg", images, labels)
    job |= {"image_crop": "random", "image_flip": 0.5, "epochs": 2}
    wanted = common.train(directory / "expected", {"train": directory / "jpeg"}, 3, **job)[1]
    output, found = common.train(directory / "found", {"train": directory / "tar"}, 3, loader_threads=4, **job)
    assert same(found, wanted), output
    alone = common.train(directory / "found", {"train": directory / "tar"}, 1, **job)[1]
    assert common.relative_difference(alone, wanted) < common.tolerance(steps=8)
    output = common.run(["inspect", directory / "tar"])
    assert "50 samples, of 3 files of WebDataset" in output and "class labels 0 … 2" in output, output
    output = common.run(["inspect", directory / "folder"])
    assert "50 samples, of 50 files of images" in output and "images of 60×44, made 60×44" in output and "3 categories: ant, bee, cow" in output, output


@common.in_directory(pathlib.Path)
def a_built_in_program_takes_the_first_images_size(directory):
    images, labels = write_folder(directory / "train", 30, 7)
    Image.fromarray(photo(50, 31)).save(directory / "train" / CLASSES[labels[-1]] / "029.png")
    write_folder(directory / "validation", 10, 8, 31, 27)
    output, _ = common.train(directory, {name: directory / name for name in ("train", "validation")}, 2, model="mlp", model_hidden="[4]", epochs=1)
    assert "30 samples of 3×24×24, 3 classes" in output and "10 samples" in output, output


TFRECORDS = """
import sys, pathlib, tensorflow as tf
with tf.io.TFRecordWriter(sys.argv[2]) as writer:
    for line in open(sys.argv[1]):
        path, label = line.split()
        features = {"image": tf.train.Feature(bytes_list=tf.train.BytesList(value=[pathlib.Path(path).read_bytes()])),
                    "target": tf.train.Feature(int64_list=tf.train.Int64List(value=[int(label)]))}
        writer.write(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())
"""


def write_recordio(path, images):
    """As mxnet.recordio's pack and MXRecordIO write them, by their source: MXNet is no longer to be had."""
    with open(path, "wb") as file:
        for i, (image, label) in enumerate(images):
            content = struct.pack("<IfQQ", 0, label, i, 0) + image if i % 2 else struct.pack("<IfQQf", 1, 0, i, 0, label) + image
            file.write(struct.pack("<II", 0xCED7230A, len(content)) + content + bytes(-len(content) % 4))


@common.in_directory(pathlib.Path)
def images_are_the_same_wherever_they_lie(directory):
    """In a folder, tar files, TFRecord, RecordIO and a list: the same pixels, also of random parts."""
    images, labels = write_folder(directory / "folder", 40, 6, 90, 70, "jpg")
    files = sorted((directory / "folder").rglob("*.jpg"))
    write_tars(directory / "tar", directory / "folder", images, labels)
    (directory / "names").write_text("".join(f"{path} {label}\n" for path, label in zip(files, labels)))
    (directory / "tfrecord").mkdir()
    subprocess.run([sys.executable, "-c", TFRECORDS, directory / "names", directory / "tfrecord/a.tfrecord"], check=True, timeout=300,
                   env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""})
    (directory / "recordio").mkdir()
    write_recordio(directory / "recordio/a.rec", [(path.read_bytes(), label) for path, label in zip(files, labels)])
    (directory / "list").mkdir()
    for i, path in enumerate(files):
        (directory / "list" / f"{len(files) - i}.jpg").write_bytes(path.read_bytes())
    (directory / "list/a.lst").write_text("".join(f"{i}\t{label:f}\t{len(files) - i}.jpg\n" for i, label in enumerate(labels)))
    for crop, draw in (("center", ()), ("random", (3, 8))):
        wanted = read(directory / "folder", 3, 32, 28, crop, draw)
        assert (wanted[1] == labels).all()
        for kind in ("tar", "tfrecord", "recordio", "list"):
            found = read(directory / kind, 3, 32, 28, crop, draw)
            assert (found[0] == wanted[0]).all() and (found[1] == labels).all(), (kind, crop)


@common.in_directory(pathlib.Path)
def what_does_nothing_is_refused(directory):
    images, labels = write_folder(directory / "folder", 8, 3)
    write_npz(directory / "npz", images, labels)
    (directory / "table").mkdir()
    np.savez(directory / "table/data.npz", x=np.zeros((8, 5)), y=labels)
    for channel, arguments, text in (("npz", ["--image_crop", "random"], "image_crop is for encoded images"),
                                     ("table", ["--image_flip", "0.5"], "image_flip and image_padding vary inputs of bytes of [rows, columns]"),
                                     ("folder/cow", [], "holds images without a class")):
        output = common.run(["train", "--channel", f"train={directory / channel}", "--output_dir", directory / "output", "--model", "mlp", *arguments], expect=2)
        assert text in output, output


if __name__ == "__main__":
    common.main(every_kind_is_read_as_pillow_reads_it, images_are_turned_upright, images_are_cut_and_scaled_as_pillow_does, large_jpegs_are_decoded_smaller,
                a_built_in_program_takes_the_first_images_size, images_are_the_same_wherever_they_lie, a_folder_trains_as_its_pixels, random_parts_are_the_same_for_all,
                what_does_nothing_is_refused)
