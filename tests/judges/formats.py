"""Models as people have them (published.py), written by `lockstep export` to every format and run by the consumers of each at batches of 1, 2
and 7: TensorFlow with oneDNN and without, ONNX Runtime without optimisations and with, torch.export.load, torch.jit.load, and safetensors with
the model's own class. All give what the model gives in PyTorch. The table of it is in docs/formats.md, and is true.

    formats.py [--write] [FAMILY...]

Without names: those that need PyTorch alone; with LOCKSTEP_SOAK=1 all, which needs torchvision, timm and transformers. --write renews the rows
of the table that were run."""

import importlib.util
import multiprocessing
import os
import pathlib
import re
import subprocess
import sys
import traceback
import warnings

os.environ.setdefault("USE_TF", "0")  # transformers would load it
import torch
from safetensors.torch import load_file, save_file

import common
import published
import serving
import zoo
from onnx_consumer import compare, session

warnings.filterwarnings("ignore")
PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs" / "formats.md"
TABLE = re.compile(r"(?<=<!-- models and formats -->\n\n).*?(?=\n<!-- end -->)", re.DOTALL)
BATCHES = ((0, 1, None), (1, 2, 5), (0, 7, None))  # first sample, how many, and the length of sequences where it is open
MOST = 1e-4  # of a number, relative to itself and to what is usual in its output
REFUSED = {}  # (family, format) → what the refusal says


def outputs(model, inputs, fixed):
    with torch.no_grad():
        return serving.named(model(**inputs, **fixed))


def difference(found, expected):
    return compare([found[name].numpy() for name in expected], [each.numpy() for each in expected.values()], MOST)


def in_pt2(artifacts, model, case, batches):
    loaded = torch.export.load(artifacts / "model.pt2").module()
    return max(difference(outputs(loaded, inputs, case.fixed), expected) for inputs, expected in batches)


def in_safetensors(artifacts, model, case, batches):
    state, loaded = model.state_dict(), load_file(artifacts / "model.safetensors")
    assert state.keys() == loaded.keys(), state.keys() ^ loaded.keys()
    state.update(loaded)  # it keeps its versions, which some models ask for
    model.load_state_dict(state)
    return max(difference(outputs(model, inputs, case.fixed), expected) for inputs, expected in batches)


def in_onnx(artifacts, model, case, batches):
    worst = 0.0
    for optimized in (False, True):
        runtime = session(artifacts / "model.onnx", optimized)
        for inputs, expected in batches:
            found = runtime.run(None, {name: array.numpy() for name, array in inputs.items()})
            worst = max(worst, compare(found, [each.numpy() for each in expected.values()], MOST))
    return worst


def in_torchscript(artifacts, model, case, batches):
    module = torch.jit.load(artifacts / "model.pt")
    worst = 0.0
    for inputs, expected in batches:
        for _ in range(3):  # the first two runs are watched, the third is of what was made of them
            found = outputs(module, inputs, {})
            worst = max(worst, compare([each.numpy() for each in found.values()], [each.numpy() for each in expected.values()], MOST))
    return worst


# What runs in this process; TensorFlow has one of its own (served_by_tensorflow).
CONSUMERS = {"pt2": in_pt2, "safetensors": in_safetensors, "saved_model": None, "onnx": in_onnx, "torchscript": in_torchscript}


def model_of(case):
    """As it is after some training, as far as batch norms and parameters that begin at zero are concerned."""
    torch.manual_seed(7)
    model = case.model().float().train(case.training)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.abs().max() < 1e-3:  # of a last layer, of a residual branch
                parameter.normal_(std=0.1)
        norms = [module for module in model.modules() if isinstance(module, torch.nn.modules.batchnorm._BatchNorm)]
        momenta = [norm.momentum for norm in norms]
        for norm in norms:
            norm.momentum = 1.0  # the statistics become those of the inputs
        model(**{name: array.float() if array.is_floating_point() else array for name, array in case.inputs.items()}, **case.fixed)
        for norm, momentum in zip(norms, momenta):
            norm.momentum = momentum
    return model


def batches_of(case, model):
    for start, count, length in BATCHES:
        inputs = {name: (array.float() if array.is_floating_point() else array)[start:start + count] for name, array in case.inputs.items()}
        inputs = {name: array[:, :length] if name in case.lengths else array for name, array in inputs.items()}
        expected = outputs(model, inputs, case.fixed)
        differing = any(each.float().std(0).max() > 1e-3 * each.abs().max() for each in expected.values())
        assert count == 1 or differing, "the outputs say nothing of the inputs"
        yield inputs, expected


def written(program, formats, directory):
    common.run(["export", program, "--export", ",".join(formats), "-o", directory])
    checked = common.run(["check", directory])
    assert checked.count("as it was written") == len(formats), checked


def judge(directory, family):
    """Of each format: the largest difference, or why it is not written. Leaves what TensorFlow is to run."""
    torch.set_num_threads(1)
    _, case = published.cases()[family]
    directory.mkdir()
    model = model_of(case)
    zoo.export(case, model, directory / "in.pt2")
    batches = [({name: array.contiguous() for name, array in inputs.items()}, expected) for inputs, expected in batches_of(case, model.eval())]
    results = {}
    try:
        written(directory / "in.pt2", CONSUMERS, directory / "model")
        formats = list(CONSUMERS)
    except AssertionError:  # one at a time: which is it?
        formats = []
        for name in CONSUMERS:
            try:
                written(directory / "in.pt2", [name], directory / "model")
                formats.append(name)
            except AssertionError as error:
                results[name] = str(error)
    if case.lengths and formats:
        probes = load_file(directory / "model" / "probes.safetensors")
        assert len({tensor.shape[1] for name, tensor in probes.items() if name.endswith("input.0")}) == 2, "probes are of one length"
    for name in formats:
        if CONSUMERS[name]:
            try:
                results[name] = CONSUMERS[name](directory / "model", model, case, batches)
            except Exception as error:  # whatever is wrong with one says nothing of the others
                results[name] = f"{type(error).__name__}: {error}"
    for i, (inputs, expected) in enumerate(batches):
        for kind, tensors in (("inputs", inputs), ("outputs", expected)):
            save_file({name: array.contiguous() for name, array in tensors.items()}, directory / f"{kind}{i}.safetensors")
    return results


def caught(arguments):
    try:
        return judge(*arguments)
    except Exception:
        return {name: traceback.format_exc(limit=3) for name in CONSUMERS}


def served_by_tensorflow(directory, folders):
    """By folder: the largest difference, or what is wrong."""
    found = {}
    for onednn in ("1", "0"):
        result = subprocess.run([sys.executable, serving.CONSUMER, directory, *folders], text=True, timeout=3600, capture_output=True,
                                env={**os.environ, "TF_ENABLE_ONEDNN_OPTS": onednn})
        lines = re.findall(r"^  (as|NOT as) the program: (\S+), oneDNN .: (.*)$", result.stdout, re.MULTILINE)
        assert len(lines) == len(folders), result.stdout + result.stderr[-3000:]
        for verdict, folder, text in lines:
            worst = float(text) if verdict == "as" else text
            if isinstance(worst, str) or not isinstance(found.get(folder, 0.0), str):
                found[folder] = worst if isinstance(worst, str) else max(worst, found.get(folder, 0.0))
    return found


def measured(families):
    with common.temporary_directory() as path:
        directory = pathlib.Path(path)
        folders = {family: str(i) for i, family in enumerate(families)}
        with multiprocessing.get_context("spawn").Pool(2) as pool:
            results = {}
            for family, found in zip(families, pool.imap(caught, [(directory / folders[family], family) for family in families])):
                results[family] = found
                wrong = [name for name, result in found.items() if isinstance(result, str)]
                print(f"    written: {family}{', but not right: ' + ', '.join(wrong) if wrong else ''}", flush=True)
        served = [family for family in families if "saved_model" not in results[family]]
        found = served_by_tensorflow(directory, [folders[family] for family in served])
        for family in served:
            results[family]["saved_model"] = found[folders[family]]
    return results


def bound(worst):
    """What the table says of a difference, with room for other processors: a power of ten."""
    return next((text for text in ("1e-6", "1e-5", "1e-4") if 4 * worst <= float(text)), "1e-4")


def cell(result):
    return f"≤ {bound(result)}" if isinstance(result, float) else "no"


def row(family, results):
    publisher, _ = published.cases()[family]
    return f"| {family} | {publisher} | " + " | ".join(cell(results[name]) for name in CONSUMERS) + " |"


def rows_of_the_page():
    """By family: the cells of the formats."""
    lines = TABLE.search(PAGE.read_text())[0].splitlines()
    assert lines[0].split(" | ")[2:] == [*list(CONSUMERS)[:-1], f"{list(CONSUMERS)[-1]} |"], f"the table is not of these formats: {lines[0]}"
    return {line.split(" | ")[0].removeprefix("| "): line.removesuffix(" |").split(" | ")[2:] for line in lines[2:]}


def renew(results):
    before = dict(zip(rows := [line.split(" | ")[0].removeprefix("| ") for line in TABLE.search(PAGE.read_text())[0].splitlines()[2:]],
                      TABLE.search(PAGE.read_text())[0].splitlines()[2:]))
    lines = {**before, **{family: row(family, found) for family, found in results.items()}}
    head = "| model | published by | " + " | ".join(CONSUMERS) + " |\n|---|---|" + "---|" * len(CONSUMERS) + "\n"
    table = head + "\n".join(lines[family] for family in published.cases() if family in lines) + "\n"
    PAGE.write_text(TABLE.sub(lambda _: table, PAGE.read_text()))


def every_format_computes_what_the_model_computes(families, write):
    results = measured(families)
    wrong = []
    for family, found in results.items():
        print(f"    {family:16}", *(f"{name} {result:.1e} " if isinstance(result, float) else f"{name} NO " for name, result in found.items()), flush=True)
        for name, result in found.items():
            if isinstance(result, str) and REFUSED.get((family, name), "no reason is known") not in result:
                wrong.append(f"{family}, {name}: {result[-1500:]}")
            assert isinstance(result, str) or (family, name) not in REFUSED, f"{family} was to be refused by {name}"
    if write:
        renew(results)
    assert not wrong, "\n".join(wrong)
    page = rows_of_the_page()
    for family, found in results.items():
        assert family in page, f"{PAGE.name} has no row of {family}: run formats.py --write {family}"
        for (name, result), said in zip(found.items(), page[family]):
            # The page's bounds are one processor's; others round otherwise, within the bound of every format.
            true = float(result) <= 1e-4 if isinstance(result, float) and said != "no" else cell(result) == said
            assert true, f"{PAGE.name} says of {family} in {name} {said!r}, and it is {result}"
    if len(families) == len(published.cases()):
        assert [*page] == families, f"{PAGE.name} has other rows"


if __name__ == "__main__":
    given = [argument for argument in sys.argv[1:] if argument != "--write"]
    whole = os.environ.get("LOCKSTEP_SOAK") == "1"
    missing = [name for name in published.PACKAGES if not importlib.util.find_spec(name)] if whole or given else []
    assert not missing, f"{', '.join(missing)}: not installed beside torch, and the models are theirs"
    chosen = given or [family for family, (publisher, _) in published.cases().items() if whole or publisher == published.PLAIN]
    every_format_computes_what_the_model_computes(chosen, "--write" in sys.argv)
    print(f"ok: {len(chosen)} models in {len(CONSUMERS)} formats")
