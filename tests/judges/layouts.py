"""What servers find in the model directory: layout=triton's configuration against what the runtimes say of the models, labels, images as bytes
and as files within the served graph, and weights of 8 bits, in the hands of ONNX Runtime and TensorFlow."""

import json
import pathlib
import re
import sys

import numpy as np
import torch

import common
import programs
import zoo
from onnx_consumer import session

CONSUMER = pathlib.Path(__file__).with_name("layouts_consumer.py")
ROOT = pathlib.Path(__file__).resolve().parents[2]
OLD = pathlib.Path(sys.prefix) / "tensorflow-2.13" / "bin" / "python3"
TYPES = {"TYPE_FP32": "float32", "TYPE_INT64": "int64", "TYPE_UINT8": "uint8", "TYPE_BOOL": "bool"}
ONNX_TYPES = {"tensor(float)": "float32", "tensor(int64)": "int64", "tensor(uint8)": "uint8", "tensor(bool)": "bool"}


def in_tensorflow(*question, python=sys.executable):
    """What layouts_consumer.py says: TensorFlow and PyTorch are not loaded together."""
    return common.ask(python, CONSUMER, *question)


def parsed(path):
    """A config.pbtxt: protobuf's text form, of which this reads what Triton's configurations of models hold."""
    tokens = re.findall(r'"(?:[^"\\]|\\.)*"|[\[\]{}:,]|[^\s\[\]{}:,]+', path.read_text())

    def message(end):
        found = {}
        while tokens and tokens[0] != end:
            name = tokens.pop(0)
            if tokens[0] == ":":
                tokens.pop(0)
            found.setdefault(name, [])
            found[name] += values()
        if tokens:
            tokens.pop(0)
        return found

    def values():
        token = tokens.pop(0)
        if token == "[":
            listed = []
            while tokens[0] != "]":
                listed += values()
                if tokens[0] == ",":
                    tokens.pop(0)
            tokens.pop(0)
            return listed
        if token == "{":
            return [message("}")]
        return [json.loads(token) if re.fullmatch(r'-?\d+|".*"', token) else token]

    return message(None)


def described(config, kind):
    """name → (type, sizes): with the batch in front where Triton adds it."""
    batch = [-1] if config["max_batch_size"][0] > 0 else []
    found = {}
    for entry in config[kind]:
        shape = entry["reshape"][0]["shape"] if "reshape" in entry else entry["dims"]
        found[entry["name"][0]] = (TYPES[entry["data_type"][0]], batch + shape)
    return found


def of_onnx(tensors):
    return {tensor.name: (ONNX_TYPES[tensor.type], [size if isinstance(size, int) else -1 for size in tensor.shape]) for tensor in tensors}


def triton_is_told_what_the_models_are():
    batched = {"resnet18": True, "bert": False, "two_tower": True, "llama": True}  # bert also returns a loss
    for name, whole in batched.items():
        case = zoo.cases(programs.SAMPLES)[name]
        with common.temporary_directory() as directory:
            directory = pathlib.Path(directory)
            torch.manual_seed(7)
            zoo.export(case, case.model(), directory / "in.pt2")
            repository = directory / "model"
            common.run(["export", directory / "in.pt2", "--export", "saved_model,onnx,torchscript", "--layout", "triton",
                        "--served_name", name, "-o", repository])
            common.run(["check", repository])
            models_there = {path.name for path in repository.iterdir() if path.is_dir()}
            assert models_there == {f"{name}_saved_model", f"{name}_onnx", f"{name}_torchscript"}, models_there
            configs = {kind: parsed(repository / f"{name}_{kind}" / "config.pbtxt") for kind in ("saved_model", "onnx", "torchscript")}
            for kind, config in configs.items():
                assert config["name"] == [f"{name}_{kind}"] and (config["max_batch_size"][0] > 0) == whole, config
            runtime = session(repository / f"{name}_onnx" / "1" / "model.onnx", True)
            assert described(configs["onnx"], "input") == of_onnx(runtime.get_inputs())
            assert described(configs["onnx"], "output") == of_onnx(runtime.get_outputs()), (described(configs["onnx"], "output"), of_onnx(runtime.get_outputs()))
            said = in_tensorflow("describe", repository / f"{name}_saved_model" / "1" / "model.savedmodel")
            for kind, title in (("input", "inputs"), ("output", "outputs")):
                assert described(configs["saved_model"], kind) == {key: (t, s) for key, (t, s) in said[title].items()}, (configs["saved_model"], said)
            module = torch.jit.load(repository / f"{name}_torchscript" / "1" / "model.pt")
            arguments = [argument.name for argument in module.forward.schema.arguments][1:]
            assert list(described(configs["torchscript"], "input")) == arguments, arguments
            inputs = {field: array[:2].float() if array.is_floating_point() else array[:2] for field, array in case.inputs.items()}
            outputs = module(**inputs)
            outputs = (outputs,) if torch.is_tensor(outputs) else outputs
            assert isinstance(outputs, tuple)
            for i, output in enumerate(outputs):
                kind, sizes = described(configs["torchscript"], "output")[f"OUTPUT__{i}"]
                assert str(output.dtype) == f"torch.{kind}" and len(sizes) == output.dim(), (output, kind, sizes)
                assert all(size in (-1, found) for size, found in zip(sizes, output.shape)), (sizes, output.shape)
        print(f"    {name}")


def pictures(directory, **options):
    """A job on pixels with names of classes; returns the output of the job, and pixels as the job had them."""
    from PIL import Image
    pixels, labels = common.images(240, classes=3, size=16, seed=3)
    for split, part in (("train", slice(0, 160)), ("validation", slice(160, 240))):
        for i, (image, label) in enumerate(zip(pixels[part], labels[part])):
            folder = directory / split / ("ant", "bee", "cat")[label]
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(folder / f"{i}.png")
    output, _ = common.train(directory, {"train": directory / "train", "validation": directory / "validation"}, model="cnn", epochs=1, batch_size=32,
                             model_channels="8", model_hidden="16", input_mean=0.4, input_std=0.3, **options)
    return output, pixels


def served(directory, pixels):
    """What both runtimes compute of the model directory: bytes in, probabilities and label out."""
    onnx = session(directory / "model" / "model.onnx", True).run(None, {"pixels": pixels})
    np.save(directory / "pixels.npy", pixels)
    found = in_tensorflow("run", directory / "model" / "1", "pixels", directory / "pixels.npy", directory / "found.npz")
    arrays = np.load(directory / "found.npz")
    np.testing.assert_allclose(onnx[0], arrays["probabilities"], rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(onnx[1], arrays["label"])
    return arrays["probabilities"], arrays["label"], found


def the_card_says_what_the_job_was(model, card):
    """Of pictures(): what the input was made of, what classes are called, which data it was, and which versions made it."""
    job = card["job"]
    (made,) = job["inputs"].values()
    assert list(job["inputs"]) == [card["inputs"][0]["name"]], job["inputs"]
    assert {key: made[key] for key in ("from", "to", "divided_by")} == {"from": "uint8", "to": "float32", "divided_by": 255}, made
    assert np.allclose(made["mean"], 0.4) and np.allclose(made["std"], 0.3) and made["column"], made
    assert job["labels"] == ["ant", "bee", "cat"] and job["step"] == 5 and job["ranks"] == 1, job
    assert {name: channel["samples"] for name, channel in job["channels"].items()} == {"train": 160, "validation": 80}, job["channels"]
    digests = [channel["digest"] for channel in job["channels"].values()]
    assert all(re.fullmatch("[0-9a-f]{8,}", digest) for digest in digests) and len(set(digests)) == 2, digests
    version = re.search(r"project\(lockstep VERSION (\S+)", (ROOT / "CMakeLists.txt").read_text())[1]
    assert job["versions"] == {"lockstep": version, "libtorch": torch.__version__.partition("+")[0]}, job["versions"]
    assert any(name.endswith("accuracy") and 0 <= value <= 1 for name, value in job["metrics"].items()), job["metrics"]
    assert job["hyperparameters"]["batch_size"] == 32 and job["hyperparameters"]["epochs"] == 1, job["hyperparameters"]
    text = (model / "model_card.md").read_text()
    assert all(part in text for part in ("ant", *digests, version)), text


def images_are_served_as_bytes():
    with common.temporary_directory() as directory:
        directory = pathlib.Path(directory)
        _, pixels = pictures(directory, export="pt2,saved_model,onnx", serve_preprocessing="pixels")
        common.run(["check", directory / "model"])
        card = json.loads((directory / "model" / "model_card.json").read_text())
        the_card_says_what_the_job_was(directory / "model", card)
        channels = card["inputs"][0]["sizes"][1]
        batch = np.repeat(pixels[:7, :, :, None], channels, axis=3)
        assert card["served"]["artifacts"] == ["1", "model.onnx"] and card["served"]["inputs"][0]["sizes"][1:] == [16, 16, channels], card["served"]
        probabilities, label, found = served(directory, batch)
        x = (torch.tensor(batch).float().div(255) - 0.4) / 0.3
        with torch.no_grad():
            logits = torch.export.load(directory / "model" / "model.pt2").module()(x.permute(0, 3, 1, 2).contiguous())
        np.testing.assert_allclose(probabilities, logits.softmax(1).numpy(), rtol=1e-3, atol=1e-5)
        assert (label == logits.argmax(1).numpy()).all() and np.allclose(probabilities.sum(1), 1, atol=1e-5)
        assert found["labels"] == ["ant", "bee", "cat"] and found["signatures"] == ["serving_default"], found
        texts = np.load(directory / "found.npz")["label_text"]
        assert [text.decode() for text in texts] == [found["labels"][i] for i in label], (texts, label)
        import onnx
        properties = {entry.key: entry.value for entry in onnx.load(str(directory / "model" / "model.onnx")).metadata_props}
        assert json.loads(properties["labels"]) == ["ant", "bee", "cat"], properties
        refused = common.run(["export", "--export", "pt2", "--serve_preprocessing", "pixels", directory / "model" / "model.pt2", "-o", directory / "no"], expect=2)
        assert "neither saved_model nor onnx" in refused, refused


def classes_have_a_signature():
    """Where classes have names, beside the program's own outputs."""
    with common.temporary_directory() as directory:
        directory = pathlib.Path(directory)
        _, pixels = pictures(directory, export="saved_model")
        np.save(directory / "x.npy", (pixels[:7, None].astype(np.float32) / 255 - 0.4) / 0.3)
        arrays = {}
        for signature in ("serving_default", "classify"):
            found = in_tensorflow("run", directory / "model" / "1", "x", directory / "x.npy", directory / "found.npz", signature)
            arrays |= np.load(directory / "found.npz")
        assert found == {"labels": ["ant", "bee", "cat"], "signatures": ["classify", "serving_default"]}, found
        scores = torch.tensor(arrays["output_0"])
        np.testing.assert_allclose(arrays["probabilities"], scores.softmax(1), rtol=1e-5, atol=1e-7)
        assert (arrays["label"] == scores.argmax(1).numpy()).all()
        assert [text.decode() for text in arrays["label_text"]] == [found["labels"][i] for i in arrays["label"]], arrays
        assert in_tensorflow("run", directory / "model" / "1", "x", directory / "x.npy", directory / "old.npz", "classify", python=OLD) == found
        in_the_old_version_too(directory, arrays)


def in_the_old_version_too(directory, arrays):
    """What TensorFlow 2.13 has left in old.npz is what the new one gave."""
    for name, old in np.load(directory / "old.npz").items():
        if old.dtype.kind == "f":
            np.testing.assert_allclose(old, arrays[name], rtol=1e-4, atol=1e-6)
        else:
            np.testing.assert_array_equal(old, arrays[name])


class Shown(torch.nn.Module):
    """Its scores are the pixels: what a served graph makes of an image can be read off the probabilities."""

    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(1))

    def forward(self, x):
        return x.flatten(1) * self.scale


def photographs(directory, height, width):
    """Files of several kinds and sizes; returns those that training reads at a part of their size, being twice as large as a sample."""
    from PIL import Image
    from sklearn.datasets import load_sample_images
    directory.mkdir(parents=True)
    large = []
    for i, photograph in enumerate(map(Image.fromarray, load_sample_images().images)):
        for j, (box, kind, options) in enumerate((
                ((100, 50, 160, 90), "jpg", {}), ((300, 200, 333, 247), "jpg", {"quality": 60, "progressive": True}),
                ((200, 100, 212, 110), "jpg", {"subsampling": 0}), ((310, 210, 342, 234), "jpg", {}), ((50, 60, 90, 110), "png", {}),
                ((400, 60, 440, 80), "png", {"mode": "P"}), ((220, 60, 300, 100), "jpg", {"mode": "L"}), ((20, 160, 51, 200), "png", {"mode": "LA"}),
                ((20, 160, 63, 200), "png", {"mode": "RGBA"}), ((0, 0, 640, 427), "jpg", {}), ((0, 0, 640, 427), "png", {}))):
            name = f"{i}{j:02}.{kind}"
            mode = options.pop("mode", "RGB")
            photograph.crop(box).convert(mode).save(directory / name, **options)
            if kind == "jpg" and box[2] - box[0] >= 2 * width and box[3] - box[1] >= 2 * height:
                large.append(name)
    return large


def images_are_served_as_files():
    """Decoded, cut and scaled in the graph as the engine does: a byte differs by 1 at most; of JPEGs that training reads at a part of their
    size, being large, by 20."""
    for size, crop in (((3, 24, 32), "center"), ((1, 20, 20), "stretch")):
        with common.temporary_directory() as directory:
            directory = pathlib.Path(directory)
            large = photographs(directory / "train" / "ant", *size[1:])
            photographs(directory / "train" / "bee", *size[1:])
            program = torch.export.export(Shown(), (torch.zeros(2, *size),), dynamic_shapes={"x": {0: torch.export.Dim("batch")}})
            torch.export.save(program, directory / "in.pt2")
            job = dict(model=directory / "in.pt2", max_steps=1, batch_size=4, optimizer="sgd", learning_rate=1e-30, image_crop=crop, input_mean=0,
                       input_std=1, serve_preprocessing="images")
            common.train(directory, {"train": directory / "train"}, export="saved_model,pt2", predict=["train"], **job)
            common.run(["check", directory / "model"])
            lines = (directory / "output" / "data" / "predictions_train.csv").read_text().splitlines()
            first = lines[0].split(",").index("output_0")
            pixels = np.array([line.split(",")[first:first + np.prod(size)] for line in lines[1:]], np.float32)
            files = sorted((directory / "train" / "ant").iterdir())
            pixels = pixels[:len(files)]
            np.save(directory / "files.npy", np.array([path.read_bytes() for path in files]))
            found = in_tensorflow("run", directory / "model" / "1", "image_bytes", directory / "files.npy", directory / "found.npz")
            assert found == {"labels": ["ant", "bee"], "signatures": ["pixels", "serving_default"]}, found
            arrays = np.load(directory / "found.npz")
            if crop == "center":
                in_tensorflow("run", directory / "model" / "1", "image_bytes", directory / "files.npy", directory / "old.npz", python=OLD)
                in_the_old_version_too(directory, arrays)
            distances = 255 * (np.log(arrays["probabilities"]) - torch.tensor(pixels).log_softmax(1).numpy())
            distances = np.abs(distances - np.median(distances, axis=1, keepdims=True))
            for path, distance in zip(files, distances):
                print(f"    {path.name}: by {distance.max():.2f} of 255, {distance.mean():.2f} on average", flush=True)
            names = [(["ant", "bee"] + [str(i) for i in range(2, pixels.shape[1])])[i] for i in arrays["label"]]
            assert [text.decode() for text in arrays["label_text"]] == names, arrays["label_text"]
            for path, distance in zip(files, distances):
                assert distance.max() < (20 if path.name in large else 1) + 0.1, path.name
                assert distance.mean() < (1 if path.name in large else 0.5), path.name
            np.save(directory / "pixels.npy", np.round(pixels * 255).astype(np.uint8).reshape(-1, *size).transpose(0, 2, 3, 1))
            in_tensorflow("run", directory / "model" / "1", "pixels", directory / "pixels.npy", directory / "found.npz", "pixels")
            np.testing.assert_allclose(np.load(directory / "found.npz")["probabilities"], torch.tensor(pixels).softmax(1), rtol=1e-5)
            refused = common.run(["export", directory / "model" / "model.pt2", "--export", "saved_model,onnx", "--serve_preprocessing", "images",
                                  "-o", directory / "no"], expect=2)
            assert "onnx cannot hold it: ONNX Runtime decodes no images" in refused, refused


def weights_are_served_in_8_bits():
    """Their files are about a quarter as large, the runtimes compute what the rounded weights give, and the model card says what it costs."""
    with common.temporary_directory() as directory:
        directory = pathlib.Path(directory)
        options = dict(export="pt2,saved_model,onnx", model_channels="16,32", model_hidden="256")
        pixels, labels = common.images(300, size=16, seed=4)
        common.write_channel(directory / "train", pixels[:200], labels[:200])
        common.write_channel(directory / "validation", pixels[200:], labels[200:])
        job = dict(model="cnn", epochs=2, batch_size=32, monitor="accuracy:max", **options)
        common.train(directory, {"train": directory / "train", "validation": directory / "validation"}, **job)
        whole = (directory / "model" / "model.onnx").stat().st_size
        output, _ = common.train(directory, {"train": directory / "train", "validation": directory / "validation"}, quantize="int8-weights", **job)
        common.run(["check", directory / "model"])
        small = (directory / "model" / "model.onnx").stat().st_size
        variables = (directory / "model" / "1" / "variables" / "variables.data-00000-of-00001").stat().st_size
        assert small < 0.4 * whole and variables < 0.4 * whole, (whole, small, variables)
        card = json.loads((directory / "model" / "model_card.json").read_text())
        measured = card["job"]["quantized"]
        assert measured["channel"] == "validation" and {"trained", "int8_weights"} <= measured["accuracy"].keys(), measured
        assert "quantize=int8-weights: validation_accuracy is" in output, output
        x = (pixels[200:, None] / 255).astype(np.float32)
        (onnx,) = session(directory / "model" / "model.onnx", True).run(None, {"x": x})
        np.save(directory / "x.npy", x)
        in_tensorflow("run", directory / "model" / "1", "x", directory / "x.npy", directory / "found.npz")
        (tensorflow,) = np.load(directory / "found.npz").values()
        np.testing.assert_allclose(onnx, tensorflow, rtol=1e-3, atol=1e-4)
        right = (onnx.argmax(1) == labels[200:]).mean()
        assert abs(right - measured["accuracy"]["int8_weights"]) < 0.011, (right, measured)
        exact = torch.export.load(directory / "model" / "model.pt2").module()(torch.tensor(x)).detach().numpy()
        difference = np.abs(onnx - exact).max() / np.abs(exact).std()
        assert 1e-5 < difference < 0.1, difference  # rounded, and not by much
        print(f"    accuracy {measured['accuracy']}, {whole:,} bytes become {small:,}, logits differ by {difference:.1e} of their deviation")
        lonely = common.run(["train", "--model", "cnn", "--channel", f"train={directory / 'train'}", "--export", "onnx", "--quantize", "int8-weights",
                             "--model_dir", directory / "m", "--output_dir", directory / "o"], expect=2)
        assert "validation_share" in lonely, lonely
        refused = common.run(["export", directory / "model" / "model.pt2", "--export", "onnx", "--quantize", "int8-weights", "-o", directory / "no"], expect=2)
        assert "lockstep train" in refused, refused


if __name__ == "__main__":
    torch.set_num_threads(1)
    common.main(triton_is_told_what_the_models_are, images_are_served_as_bytes, classes_have_a_signature, images_are_served_as_files,
                weights_are_served_in_8_bits)
