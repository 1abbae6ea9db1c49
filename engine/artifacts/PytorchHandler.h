// `code/inference.py`: the functions that SageMaker's PyTorch inference containers call, for `model.pt` and its model
// card beside it.
#pragma once

namespace lockstep {

/// For programs of any number of inputs and outputs: JSON by name, or an array where there is one.
inline constexpr const char* kPytorchHandler = R"python(import io
import json
import os

import numpy
import torch


def model_fn(model_dir):
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with open(os.path.join(model_dir, "model_card.json"), encoding="utf-8") as file:
        card = json.load(file)
    return torch.jit.load(os.path.join(model_dir, "model.pt"), map_location=device), card, device


def input_fn(body, content_type):
    """JSON: {"NAME": [...], ...} or, for one input, [...]. NumPy: the array of one input."""
    if content_type == "application/json":
        return json.loads(body)
    if content_type == "application/x-npy":
        return numpy.load(io.BytesIO(body), allow_pickle=False)
    raise ValueError(f"content type {content_type} is not known: send application/json or application/x-npy")


def predict_fn(data, model):
    module, card, device = model
    names = [entry["name"] for entry in card["inputs"]]
    if not isinstance(data, dict):
        if len(names) != 1:
            raise ValueError(f"the model has the inputs {', '.join(names)}: send them by name, as JSON")
        data = {names[0]: data}
    if sorted(data) != sorted(names):
        raise ValueError(f"the model has the inputs {', '.join(names)}, and not {', '.join(sorted(data))}")
    inputs = [torch.as_tensor(numpy.asarray(data[entry["name"]])).to(device, getattr(torch, entry["type"]))
              for entry in card["inputs"]]
    with torch.inference_mode():
        outputs = module(*inputs)
    if not isinstance(outputs, dict):
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        outputs = dict(zip((entry["name"] for entry in card["outputs"]), outputs))
    return {name: output.float().cpu().numpy() if output.dtype == torch.bfloat16 else output.cpu().numpy()
            for name, output in outputs.items()}


def output_fn(outputs, accept):
    """JSON: {"NAME": [...], ...}. NumPy: the array of one output."""
    if accept == "application/x-npy":
        if len(outputs) != 1:
            raise ValueError(f"the model has the outputs {', '.join(outputs)}: accept application/json")
        file = io.BytesIO()
        numpy.save(file, *outputs.values())
        return file.getvalue()
    if accept in ("application/json", "*/*", "", None):
        return json.dumps({name: output.tolist() for name, output in outputs.items()})
    raise ValueError(f"content type {accept} is not known: accept application/json or application/x-npy")
)python";

}  // namespace lockstep
