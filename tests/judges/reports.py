"""What is written of a run beside metrics.jsonl says what metrics.jsonl says: report.html, parsed as a browser would; TensorBoard's
events, by TensorBoard's own reader; trace.json, whose spans add up."""

import base64
import contextlib
import html.parser
import io
import json
import math
import os
import pathlib
import pty
import random
import re
import signal
import subprocess
import sys
import time

import common
import numpy as np
import trace_reader
from PIL import Image

SOAK = "LOCKSTEP_SOAK" in os.environ
PREFIX = pathlib.Path(sys.prefix)
PHASES = ["data_wait", "forward", "backward", "reduction_wait", "optimizer", "replay", "device_wait"]
JOB = {"model": "cnn", "epochs": 3, "batch_size": 50, "log_every": 0.001, "metrics": "confusion_matrix", "export": "none",
       "schedule": "cosine"}


class Page(html.parser.HTMLParser):
    """The numbers of a page, and that it asks nobody for anything."""

    def __init__(self, path):
        super().__init__()
        self.text = pathlib.Path(path).read_text()
        self.cells, self.open, self.script, self.style, self.data = {}, [], "", "", ""
        self.feed(self.text)
        self.close()
        assert not [tag for tag in self.open if tag not in ("p",)], f"not closed: {self.open}"
        self.data = json.loads(self.data)
        # All that can make a request: none of it names another place.
        for place in re.findall(r"url\(([^)]{0,40})", self.text):
            assert place.startswith("data:"), place
        assert "@import" not in self.text and "fetch(" not in self.text and "import(" not in self.text and "XMLHttp" not in self.text
        assert "default-src 'none'" in self.text

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        assert tag not in ("link", "iframe", "object", "embed", "img", "base", "form"), tag
        for name in ("src", "href", "srcset", "xlink:href", "action", "poster", "data"):
            assert name not in attributes, f"<{tag} {name}={attributes[name]}>"
        if tag not in ("meta", "path"):
            self.open.append(tag)
        if tag in ("table", "div", "figure") and "id" in attributes:
            self.within = attributes["id"]
        if "data-value" in attributes:
            self.cells.setdefault(getattr(self, "within", None), []).append(float(attributes["data-value"]))
        self.of = attributes.get("type", "") if tag == "script" else ""

    def handle_endtag(self, tag):
        if tag not in ("meta", "path"):
            assert self.open and self.open[-1] == tag, f"</{tag}> in {self.open}"
            self.open.pop()

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in ("meta", "path"):
            self.open.pop()

    def handle_data(self, data):
        if self.open and self.open[-1] == "script" and self.of == "application/json":
            self.data += data

    def chart(self, identity):
        return next(chart for chart in self.data["charts"] if chart["id"] == identity)


def output(directory):
    return directory / "output" / "data"


def trained(directory, **changes):
    pixels, labels = common.images(500)
    common.write_channel(directory / "train", pixels, labels)
    common.write_channel(directory / "validation", *common.images(100, seed=1))
    common.train(directory, {"train": directory / "train", "validation": directory / "validation"}, ranks=2, **{**JOB, **changes})
    return pixels, labels


def equal(found, expected):
    assert len(found) == len(expected), (len(found), len(expected))
    for a, b in zip(found, expected):
        assert a == b or (a is None and not math.isfinite(float(b))), (a, b)


def check_page(page, directory):
    """Every number of the page is one of metrics.jsonl."""
    progress = common.metrics(directory, "progress")
    epochs = common.metrics(directory, "epoch")
    assert len(progress) > 20, len(progress)
    for identity, name in {"loss": "train_loss", "rate": "samples_per_second", "learning": "learning_rate"}.items():
        line, = page.chart(identity)["lines"]
        equal(line["x"], [entry["step"] for entry in progress])
        equal(line["y"], [entry[name] for entry in progress])
    for line in page.chart("phases")["lines"]:
        expected = [entry["seconds_per_step"][line["label"].replace(" ", "_")] * 1000 for entry in progress]
        equal(line["y"], expected)
    for line in page.chart("losses")["lines"]:
        equal(line["y"], [entry[line["label"] + "_loss"] for entry in epochs])
        equal(line["x"], [entry["step"] for entry in epochs])
    names = [name for name, value in epochs[0].items() if name not in ("epoch", "step", "event") and not isinstance(value, list)]
    names.sort(key=lambda name: name == "train_samples_per_second")
    equal(page.cells["evaluations"], [entry[name] for entry in epochs for name in ["epoch", "step", *names]])
    ranks = common.metrics(directory, "ranks")[-1]["ranks"]
    equal(page.cells["ranks"], [sum(rank["seconds_per_step"][phase] for phase in PHASES) for rank in ranks])
    return epochs


@common.in_directory(pathlib.Path)
def a_report_says_what_the_metrics_say(directory):
    pixels, labels = trained(directory)
    page = Page(output(directory) / "report.html")
    assert len(page.text) < 1_000_000
    check_page(page, directory)
    run, = page.data["runs"]
    final, = common.metrics(directory, "final")
    assert run["state"] == "finished" and run["final"] == {
        name: value for name, value in final.items() if name in run["final"]} and "samples_per_second" in run["final"]
    table = final["validation_confusion_matrix"]
    cells = [value for values in page.cells.values() for value in values]
    flat = [cell for row in table for cell in row]
    assert any(cells[i:i + 100] == flat for i in range(len(cells))), "the confusion matrix is not there"
    memory = common.metrics(directory, "start")[0]["memory"]
    peak = max(rank["peak_memory"] for rank in common.metrics(directory, "ranks")[-1]["ranks"])
    assert memory["best"] > 0 == memory["average"]
    equal(page.cells["memory"][:5], [memory["parameters"], memory["gradients"], memory["optimizer"], memory["best"], peak])
    check_pictures(page, directory, pixels, labels)
    # Made again it is the same, and of several runs there is one page.
    before = page.text
    common.run(["report", directory / "output"])
    assert (output(directory) / "report.html").read_text() == before
    common.run(["report", output(directory), directory / "output", "-o", directory / "both.html"])
    both = Page(directory / "both.html")
    assert len(both.data["runs"]) == 2 and len(both.chart("loss")["lines"]) == 2 and both.chart("time")["x"] == "seconds"
    assert "The runs have the same hyperparameters." in both.text
    common.run(["report", directory], expect=2)
    common.run(["report", output(directory), directory / "output"], expect=2)
    check_comparison(directory)
    (directory / "metrics.jsonl").write_text('{"event": "start"\n')
    assert "line 1" in common.run(["report", directory], expect=2)


def check_comparison(directory):
    """Of two runs that differ in one hyperparameter and in what they came to."""
    events = [json.loads(line) for line in (output(directory) / "metrics.jsonl").read_text().splitlines()]
    (directory / "other").mkdir()
    with (directory / "other" / "metrics.jsonl").open("w") as file:
        for event in events:
            if event["event"] == "start":
                event["hyperparameters"]["learning_rate"] = "0.75"
            if event["event"] == "final":
                event["validation_accuracy"] /= 2
            file.write(json.dumps(event) + "\n")
    common.run(["report", output(directory), directory / "other", "-o", directory / "two.html"])
    page = Page(directory / "two.html")
    start, final = (common.metrics(directory, event)[0] for event in ("start", "final"))
    table = page.text.split("runs compared</h1>")[1].split("</table>")[0]
    names = re.findall(r'<th class="n">(\w+)</th>', table)
    assert names[0] == "steps" and {"validation_loss", "validation_accuracy", "samples_per_second"} <= {*names}, names
    steps = common.metrics(directory, "epoch")[-1]["step"]
    first = [steps, *(final[name] for name in names[1:])]
    second = [value / 2 if name == "validation_accuracy" else value for name, value in zip(names, first)]
    equal(page.cells[None], first + second)
    assert re.findall("<th>([^<]+)</th>", table) == ["run", "state", "learning_rate"], table
    rows = [row.split("</td>")[-2].removeprefix("<td>") for row in table.split("<tr>")[2:]]
    assert rows == [start["hyperparameters"]["learning_rate"], "0.75"], rows


def check_pictures(page, directory, pixels, labels):
    """16 samples, spread evenly, with their labels."""
    images, = common.metrics(directory, "images")
    shown = [i * (len(labels) - 1) // 15 for i in range(16)]
    assert images["labels"] == [str(labels[i]) for i in shown] and images["columns"] == 4
    png = base64.b64decode(re.search(r"data:image/png;base64,([^)]*)\)", page.text).group(1))
    assert png == (output(directory) / images["file"]).read_bytes()
    sheet = np.asarray(Image.open(io.BytesIO(png)))
    for number, sample in enumerate(shown):
        top, left = number // 4 * 9, number % 4 * 9
        assert (sheet[top:top + 8, left:left + 8] == pixels[sample]).all(), number


@common.in_directory(pathlib.Path)
def a_killed_run_has_a_report_up_to_then(directory):
    common.write_channel(directory / "train", *common.images(500))
    arguments = ["train", "--channel", f"train={directory / 'train'}", "--output_dir", directory / "output", "--model_dir", directory / "model"]
    for name, value in {**JOB, "epochs": 100000, "metrics": "[]"}.items():
        arguments += [f"--{name}", str(value)]
    process = subprocess.Popen([common.BIN / "lockstep", *map(str, arguments)], stdout=subprocess.DEVNULL, start_new_session=True,
                               env=os.environ | {"KILLED": str(directory)})
    report, end = output(directory) / "report.html", time.monotonic() + 60
    while not (report.exists() and len(common.metrics(directory, "epoch")) > 5) and time.monotonic() < end:
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    common.wait_until_gone(directory)
    page = Page(report)
    assert page.data["runs"][0]["state"].startswith("was running"), page.data["runs"]
    line, = page.chart("losses")["lines"]
    epochs = [json.loads(text) for text in (output(directory) / "metrics.jsonl").read_text().splitlines(keepends=True)
              if text.endswith("\n") and '"epoch"' in text and json.loads(text)["event"] == "epoch"]
    assert line["x"], "no evaluation is in the report"
    equal(line["y"], [entry["train_loss"] for entry in epochs[:len(line["y"])]])


def long_history(path, lines):
    start = {"event": "start", "job": {"lockstep": "0"}, "total_steps": lines}
    generator = random.Random(1)
    with path.open("w") as file:
        file.write(json.dumps(start) + "\n")
        losses = []
        for step in range(1, lines + 1):
            if step % 1000 == 0:
                seconds = dict.fromkeys(PHASES, 0.1)
                file.write(json.dumps({"event": "epoch", "epoch": step // 1000, "step": step, "validation_loss": generator.random()}) + "\n")
                file.write(json.dumps({"event": "ranks", "step": step, "ranks": [
                    {"host": rank // 8, "steps": 1000, "seconds_per_step": seconds, "peak_memory": 1 << 30} for rank in range(64)]}) + "\n")
            losses.append(generator.random() + 1000 / step)
            phases = ",".join(f'"{phase}":{generator.random()!r}' for phase in PHASES)
            file.write(f'{{"epoch":1,"event":"progress","learning_rate":0.1,"samples_per_second":{step},"seconds":{step * 0.01!r},'
                       f'"seconds_per_step":{{{phases}}},"step":{step},"train_loss":{losses[-1]!r}}}\n')
    return losses


@common.in_directory(pathlib.Path)
def a_long_history_makes_a_small_page(directory):
    lines = 1_000_000 if SOAK else 30_000
    losses = long_history(directory / "metrics.jsonl", lines)
    start = time.monotonic()
    common.run(["report", directory])
    seconds = time.monotonic() - start
    page = Page(directory / "report.html")
    print(f"{lines} lines, {(directory / 'metrics.jsonl').stat().st_size} bytes: a page of {len(page.text)} bytes in {seconds:.2f} s")
    assert (directory / "report.html").stat().st_size < 2_000_000 and seconds < 5
    assert len(page.cells["evaluations"]) == 3 * min(200, lines // 1000) and len(page.cells["ranks"]) == 24
    line, = page.chart("loss")["lines"]
    each = page.data["runs"][0]["lines_each"]
    assert len(line["y"]) == -(-lines // each) <= 1024 < 4 * len(line["y"])
    for i, (step, mean) in enumerate(zip(line["x"], line["y"])):
        of = losses[i * each:(i + 1) * each]
        assert step == min((i + 1) * each, lines) and math.isclose(mean, sum(of) / len(of), rel_tol=1e-12), i


@common.in_directory(pathlib.Path)
def a_page_of_pictures_is_small(directory):
    """Of noise, which no format makes smaller, and a history as long as any."""
    pixels = np.random.default_rng(1).integers(0, 256, (16, 3, 160, 160)).astype(np.uint8)
    common.write_channel(directory / "train", pixels, np.arange(16, dtype=np.uint8) % 2)
    common.train(directory, {"train": directory / "train"}, model="cnn", model_channels="2,2", model_hidden=2, batch_size=16, epochs=1,
                 export="none")
    lines = (output(directory) / "metrics.jsonl").read_text().splitlines()
    long_history(directory / "history", 30_000)
    with (output(directory) / "metrics.jsonl").open("w") as file:
        file.write("\n".join(line for line in lines if '"event":"images"' in line or '"event":"start"' in line) + "\n")
        file.write("\n".join((directory / "history").read_text().splitlines()[1:]) + "\n")
    common.run(["report", directory / "output"])
    size = (output(directory) / "report.html").stat().st_size
    print(f"images.png has {(output(directory) / 'images.png').stat().st_size} bytes, the page {size}")
    assert "data:image/png" in (output(directory) / "report.html").read_text() and size < 1_000_000, size


@common.in_directory(pathlib.Path)
def the_slowest_rank_is_named(directory):
    """By data and forward: waiting for others is in the other phases."""
    for name, slow, text in (("one", 0.15, "Straggler: for data and forward, rank 2 takes 50 % more than the median"),
                             ("none", 0.105, "No rank stands out: for data and forward, which no rank waits in for others, the slowest takes 5 % more")):
        (directory / name).mkdir()
        phases = [{**dict.fromkeys(PHASES, 0), "data_wait": 0.02, "forward": own - 0.02, "backward": 0.3, "reduction_wait": 0.3 - own}
                  for own in (0.1, 0.1, slow, 0.1)]
        ranks = [{"host": 0, "steps": 10, "seconds_per_step": seconds, "peak_memory": 1} for seconds in phases]
        events = [{"event": "start", "job": {"lockstep": "0"}, "total_steps": 10}, {"event": "epoch", "epoch": 1, "step": 10, "train_loss": 1},
                  {"event": "ranks", "step": 10, "ranks": ranks}]
        (directory / name / "metrics.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
        common.run(["report", directory / name])
        assert text in (directory / name / "report.html").read_text(), text


def shown_on(terminal, directory):
    """What a short job prints on a terminal, or into a pipe."""
    command = [common.BIN / "lockstep", "train", "--channel", f"train={directory / 'train'}", "--output_dir", directory / "output",
               "--model_dir", directory / "model", "--model", "mlp", "--epochs", "40", "--batch_size", "10", "--export", "none",
               "--ranks_per_host", "2", "--threads_per_rank", "1", "--reports", "none"]
    ours, theirs = pty.openpty() if terminal else os.pipe()
    process = subprocess.Popen(list(map(str, command)), stdin=subprocess.DEVNULL, stdout=theirs, stderr=subprocess.STDOUT)
    os.close(theirs)
    text = b""
    with contextlib.suppress(OSError):  # a terminal whose other end is closed
        while more := os.read(ours, 1 << 16):
            text += more
    os.close(ours)
    assert process.wait(60) == 0, text.decode()
    return text.decode()


@common.in_directory(pathlib.Path)
def a_terminal_shows_a_bar(directory):
    common.write_channel(directory / "train", *common.images(200))
    bars = re.findall(r"\r\x1b\[K([━─]{16}) +(\d+) %  (\d+)/800  loss [\d.e-]+  [\d,]+/s  data \d+ %  \d+:\d\d left", shown_on(True, directory))
    assert len(bars) >= 40, bars
    for bar, share, step in bars:
        assert bar.count("━") == int(step) * 16 // 800 and abs(int(share) - int(step) / 8) <= 0.51, (bar, share, step)
    assert bars[-1][1:] == ("100", "800") and [int(step) for _, _, step in bars] == sorted(int(step) for _, _, step in bars), bars
    plain = shown_on(False, directory)
    assert "\r" not in plain and "━" not in plain and "epoch=40 step=800" in plain, plain


@common.in_directory(pathlib.Path)
def tensorboard_reads_the_events(directory):
    trained(directory, export="none", learning_rate=0.02, tensorboard_dir=directory / "board")
    found = json.loads(subprocess.run([PREFIX / "tensorflow-2.13" / "bin" / "python3", pathlib.Path(__file__).with_name("tensorboard_consumer.py"),
                                       directory / "board"], capture_output=True, text=True, check=True).stdout)
    progress, epochs = common.metrics(directory, "progress"), common.metrics(directory, "epoch")
    expected = {"train/loss": [(entry["step"], entry["train_loss"]) for entry in progress],
                "train/learning_rate": [(entry["step"], entry["learning_rate"]) for entry in progress],
                "seconds/forward": [(entry["step"], entry["seconds_per_step"]["forward"]) for entry in progress],
                "evaluation/validation_loss": [(entry["step"], entry["validation_loss"]) for entry in epochs]}
    for tag, values in expected.items():
        assert [tuple(value) for value in found["scalars"][tag]] == [(step, float(np.float32(value))) for step, value in values], tag
    final, = common.metrics(directory, "final")
    assert found["scalars"]["final/validation_accuracy"] == [[final["step"], float(np.float32(final["validation_accuracy"]))]]
    hyperparameters = common.metrics(directory, "start")[0]["hyperparameters"]
    assert found["hparams"].keys() == hyperparameters.keys()
    assert found["hparams"]["learning_rate"] == 0.02 and found["hparams"]["nesterov"] is False and found["hparams"]["model"] == "cnn"
    assert found["status"] == 1 and "evaluation/validation_loss" in found["shown"]
    assert "cnn" in found["texts"]["job"][0] and "learning_rate | 0.02" in found["texts"]["hyperparameters"][0]
    assert not (output(directory) / "tensorboard").exists()


@common.in_directory(pathlib.Path)
def a_trace_adds_up(directory):
    common.write_channel(directory / "train", *common.images(400, size=16))
    common.train(directory, {"train": directory / "train"}, ranks=2, model="cnn", batch_size=100, epochs=3, export="none", reports="none",
                 trace_steps="6-9", trace_operators="true", bucket_cap_mb=0.05)
    ranks, names = trace_reader.read(output(directory) / "trace.json")
    assert names == {0: "rank 0 on host 0", 1: "rank 1 on host 0"}
    parameters = common.metrics(directory, "start")[0]["parameters"]
    trace_reader.check(ranks, [6, 7, 8, 9], 4 * parameters)
    assert all(rows["data"] for rows in ranks.values())
    for rows in ranks.values():
        for operator, phase in {"aten::conv2d": "forward", "ConvolutionBackward0": "backward"}.items():
            spans = [span for row, spans in rows.items() if row.startswith("operators") for span in spans if span[2] == operator]
            assert len(spans) == 2 * 4, f"{len(spans)} times {operator}, of two convolutions in four steps"
            for begin, end, _, _ in spans:
                assert any(first <= begin + 1 and end <= last + 1 for first, last, name, _ in rows["compute"] if name == phase), operator
    assert sum(span[2] == "all_reduce" for span in ranks[0]["communication"]) > 4, "the buckets are not there"
    assert {path.name for path in output(directory).iterdir()} == {"metrics.jsonl", "trace.json", "images.png"}
    common.run(["plan", "--channel", f"train={directory}", "--trace_steps", "9-6"], expect=2)
    common.run(["plan", "--channel", f"train={directory}", "--trace_operators", "true"], expect=2)
    common.run(["plan", "--channel", f"train={directory}", "--reports", "html", "--tensorboard_dir", "x"], expect=2)


@common.in_directory(pathlib.Path)
def a_full_trace_says_what_it_lacks(directory):
    common.write_channel(directory / "train", *common.images(64))
    steps = 100
    text, _ = common.train(directory, {"train": directory / "train"}, ranks=2, model="mlp", model_hidden=",".join(["8"] * 60), batch_size=4,
                           epochs=steps, max_steps=steps, export="none", reports="none", trace_steps=f"1-{steps}", trace_operators="true")
    lacks = dict(re.findall(r"WARNING: the trace of rank (\d) is full: it lacks its last ([\d,]+) spans; trace fewer steps", text))
    events = json.loads((output(directory) / "trace.json").read_text())["traceEvents"]
    for rank in range(2):
        kept = sum(event["ph"] == "X" and event["pid"] == rank for event in events)
        assert kept == 50_000 and int(lacks[str(rank)].replace(",", "")) > 0, (kept, lacks)


if __name__ == "__main__":
    common.main(a_report_says_what_the_metrics_say, a_killed_run_has_a_report_up_to_then, a_long_history_makes_a_small_page, a_page_of_pictures_is_small,
                the_slowest_rank_is_named, a_terminal_shows_a_bar, tensorboard_reads_the_events, a_trace_adds_up, a_full_trace_says_what_it_lacks)
