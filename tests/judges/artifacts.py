"""Artifacts in the hands of their consumers: torch.export.load and the safetensors package."""

import json
import pathlib
import re
import warnings

import torch
from safetensors import safe_open
from safetensors.torch import load_file

import common
import models

torch.set_num_threads(1)
warnings.filterwarnings("ignore", message="The given buffer is not writable")


def logits(module, pixels, batch=256):
    x = torch.tensor(pixels, dtype=torch.float32).div(255).unsqueeze(1)
    with torch.no_grad():
        return torch.cat([module(part) for part in x.split(batch)])


def built_in(name, directory, **options):
    pixels, labels = common.images(600, size=28, seed=1)
    common.write_channel(directory / "train", pixels, labels)
    common.write_channel(directory / "test", pixels[:500], labels[:500])
    output, _ = common.train(directory, {"train": directory / "train", "test": directory / "test"}, 2, model=name, epochs=2,
                             batch_size=64, monitor="accuracy:max", **options)
    return output, pixels[:500], labels[:500]


def torch_loads_the_programs():
    """torch.export.load gives the accuracy that the engine reported, at batches of 1, 7 and all."""
    for name in ("cnn", "mlp"):
        with common.temporary_directory() as directory:
            directory = pathlib.Path(directory)
            output, pixels, labels = built_in(name, directory)
            module = torch.export.load(directory / "model" / "model.pt2").module()
            all_at_once = logits(module, pixels)
            for batch in (1, 7):
                close = common.compare_outputs(logits(module, pixels, batch).numpy(), all_at_once.numpy())
            right = (all_at_once.argmax(1).numpy() == labels).sum()
            reported = float(re.findall(r"test_accuracy=([0-9.]+)", output)[-1]) * len(labels)
            assert abs(right - reported) < close + 0.1, f"right: PyTorch {right}, the engine {reported}"


def safetensors_hold_the_state():
    """The state dict loads into the module of the program, and gives the same logits."""
    with common.temporary_directory() as directory:
        directory = pathlib.Path(directory)
        _, pixels, _ = built_in("cnn", directory)
        state = load_file(directory / "model" / "model.safetensors")
        program = torch.export.load(directory / "model" / "model.pt2")
        assert state.keys() == program.state_dict.keys()
        for name, tensor in program.state_dict.items():
            assert torch.equal(state[name], tensor), name
        assert state["block1.norm.num_batches_tracked"].item() > 0
        assert (state["block1.norm.running_var"] != 1).any()


def artifacts_say_what_they_are():
    """The step of the state, what it was evaluated at and the program's digest: alike in every format that has a place for it."""
    import onnx
    with common.temporary_directory() as directory:
        directory = pathlib.Path(directory)
        output, _, _ = built_in("mlp", directory, export="pt2,safetensors,onnx")
        extra = {"metadata.json": ""}
        torch.export.load(directory / "model" / "model.pt2", extra_files=extra)
        said = json.loads(extra["metadata.json"])
        assert said["step"] in ("10", "20") and re.fullmatch("[0-9a-f]{16}", said["program_digest"]), said
        reported = {name: value for name, value in said.items() if name.endswith("_accuracy")}
        assert len(reported) == 1 and all(0 < float(value) <= 1 for value in reported.values()), said
        with safe_open(directory / "model" / "model.safetensors", "pt") as file:
            assert file.metadata() == {**said, "format": "pt", "program": "mlp"}, file.metadata()
        model = onnx.load(str(directory / "model" / "model.onnx"), load_external_data=False)
        properties = {entry.key: entry.value for entry in model.metadata_props}
        assert {**said, "program": "mlp"}.items() <= properties.items(), properties


def exported_models_come_back():
    """A Python model's own class takes the trained state and computes what the artifact computes."""
    for model in (models.Mlp(), models.Residual(), models.Tied()):
        with common.temporary_directory() as directory:
            directory = pathlib.Path(directory)
            pixels, labels = common.images(100, seed=2)
            models.export(model, directory / "in.pt2")
            common.write_channel(directory / "train", pixels, labels)
            common.train(directory, {"train": directory / "train"}, 2, model=directory / "in.pt2", epochs=1, batch_size=16)
            model.load_state_dict(load_file(directory / "model" / "model.safetensors"))
            artifact = torch.export.load(directory / "model" / "model.pt2").module()
            common.compare_outputs(logits(model.eval(), pixels).numpy(), logits(artifact, pixels).numpy())


def lockstep_model_writes_what_torch_loads():
    with common.temporary_directory() as directory:
        path = pathlib.Path(directory) / "mlp.pt2"
        common.run(["model", "mlp", "-o", path, "--input_shape", "1,8,8", "--classes", "3", "--model_hidden", "16,16"])
        module = torch.export.load(path).module()
        assert module(torch.rand(5, 1, 8, 8)).shape == (5, 3)
        text = common.run(["inspect", path])
        for expected in ("fc3.weight", "aten.linear.default", "[s0, 1, 8, 8]"):
            assert expected in text, text


def a_checkpoint_becomes_the_artifacts_of_its_job():
    """`lockstep export` of the job's program with its checkpoint leaves what the job left, and `lockstep check` says so of both."""
    with common.temporary_directory() as directory:
        directory = pathlib.Path(directory)
        pixels, labels = common.images(100, seed=2)
        models.export(models.Residual(), directory / "in.pt2")
        common.write_channel(directory / "train", pixels, labels)
        _, trained = common.train(directory, {"train": directory / "train"}, 2, model=directory / "in.pt2", epochs=2, batch_size=16,
                                  checkpoint_dir=directory / "checkpoints", checkpoint_every=7)
        again = directory / "again"
        common.run(["export", directory / "in.pt2", "--initial_weights", directory / "checkpoints", "--export", "pt2,safetensors", "-o", again])
        exported = load_file(again / "model.safetensors")
        assert exported.keys() == trained.keys() and all((exported[name] == trained[name]).all() for name in trained)
        common.compare_outputs(logits(torch.export.load(again / "model.pt2").module(), pixels).numpy(),
                               logits(torch.export.load(directory / "model" / "model.pt2").module(), pixels).numpy())
        for place in (directory / "model", again):
            assert "model.pt2: as it was written, and computes" in common.run(["check", place])
        card = json.loads((directory / "model" / "model_card.json").read_text())
        assert card["job"]["step"] == 14 and card["job"]["hyperparameters"]["batch_size"] == 16, card["job"]
        assert card["job"]["channels"]["train"]["samples"] == 100, card["job"]
        # The newest checkpoint that is whole; none is an error that says why.
        newest, older = sorted((directory / "checkpoints").iterdir(), reverse=True)
        (newest / "model.safetensors").write_bytes(b"x" * (newest / "model.safetensors").stat().st_size)
        output = common.run(["export", directory / "in.pt2", "--initial_weights", directory / "checkpoints", "--export", "safetensors", "-o", again])
        assert older.name in output, output
        output = common.run(["export", directory / "in.pt2", "--initial_weights", newest, "-o", again], expect=2)
        assert "holds no whole checkpoint" in output and "has the checksum" in output, output
        output = common.run(["export", older, "-o", again], expect=2)
        assert f"{older} is a directory: name the program, a .pt2 file" in output and "--initial_weights" in output, output
        (again / "model.safetensors").write_bytes((again / "model.safetensors").read_bytes()[:-1])
        assert str(again / "model.safetensors") in common.run(["check", again], expect=2)


if __name__ == "__main__":
    common.main(torch_loads_the_programs, safetensors_hold_the_state, artifacts_say_what_they_are, exported_models_come_back,
                lockstep_model_writes_what_torch_loads, a_checkpoint_becomes_the_artifacts_of_its_job)
