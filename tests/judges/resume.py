"""Checkpoints: jobs that are stopped, killed or changed, and what they go on to."""

import json
import math
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import time

import numpy as np
from safetensors.numpy import load_file

import common
import launching

SOAK = "LOCKSTEP_SOAK" in os.environ
STEPS = 11  # of an epoch: the last one is short
JOBS = {
    "sgd": dict(model="cnn", learning_rate=0.02, momentum=0.9, schedule="cosine", warmup_steps=5, clip_norm=1),
    "adamw": dict(model="cnn", optimizer="adamw", learning_rate=0.002, weight_decay=0.05, schedule="linear",
                  micro_batch_size=5, artifact_state="last"),
    "fp16": dict(model="mlp", precision="fp16", loss_scale=2.0**26, loss_scale_growth_interval=9, model_dropout=0.1,
                 epochs=60),
}
EXACT = dict(model="cnn", model_norm="none", model_dropout=0, precision="fp64")  # the same on any number of ranks


class Job:
    """A job of 2 ranks and 40 epochs that writes a checkpoint where it is told to."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.model = self.directory / "model"
        self.checkpoints = self.directory / "checkpoints"
        common.write_channel(self.directory / "train", *common.images(331))
        common.write_channel(self.directory / "test", *common.images(100, seed=3))
        self.options = {}

    def with_options(self, **options):
        self.options |= options
        return self

    def lasting(self, seconds):
        """With so many epochs that training takes about as long, however fast the machine is; at least those that it has."""
        tried = training_seconds(self.run(checkpoint_dir=None, checkpoint_every=None, model_dir=self.directory / "tried",
                                          output_dir=self.directory / "tried-output"))
        return self.with_options(epochs=math.ceil(self.options.get("epochs", 40) * max(1, seconds / max(tried, 0.1))))

    def command(self, **more):
        paths = {"model_dir": self.model, "checkpoint_dir": self.checkpoints, "output_dir": self.directory / "output"}
        options = dict(ranks_per_host=2, threads_per_rank=1, batch_size=32, epochs=40, export="safetensors", log_every=1000)
        words = ["train"]
        for channel in ("train", "test"):
            words += ["--channel", f"{channel}={self.directory / channel}"]
        for name, value in (paths | options | self.options | more).items():
            if value is not None:
                words += [f"--{name}", value]
        return list(map(str, words))

    def run(self, expect=0, **more):
        return common.run(self.command(**more), expect=expect)

    def start(self, **more):
        return subprocess.Popen([common.BIN / "lockstep", *self.command(**more)], stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, text=True, start_new_session=True)

    def undisturbed(self):
        """What the job leaves when nobody stops it, under another name."""
        place = self.directory / "undisturbed"
        self.run(checkpoint_dir=None, checkpoint_every=None, checkpoint_keep=None, resume=None, model_dir=place,
                 output_dir=self.directory / "undisturbed-output")
        return load_file(place / "model.safetensors")

    def result(self):
        return load_file(self.model / "model.safetensors")

    def steps(self):
        """Of the checkpoints that are there, in order."""
        return sorted(int(path.name.removeprefix("step-")) for path in self.checkpoints.glob("step-*"))

    def newest(self):
        return self.checkpoints / f"step-{self.steps()[-1]:09}"

    def state(self):
        return json.loads((self.newest() / "state.json").read_text())

    def clean(self):
        """Nothing half-written is anywhere."""
        assert not list(self.directory.rglob(".partial-*")), list(self.directory.rglob(".partial-*"))

    def metrics_are_the_undisturbed_ones(self):
        """Each epoch is there once, whenever the job was resumed, and in the report."""
        def epochs(output):
            lines = map(json.loads, (self.directory / output / "data" / "metrics.jsonl").read_text().splitlines())
            return [{name: value for name, value in line.items() if "per_second" not in name} for line in lines if line["event"] == "epoch"]

        found, expected = epochs("output"), epochs("undisturbed-output")
        assert len(found) == len(expected), ([line["epoch"] for line in found], len(expected))
        for one, other in zip(found, expected):
            assert one == other, f"{one} is not {other}"
        page = (self.directory / "output" / "data" / "report.html").read_text()
        data = json.loads(re.search(r'id="data">(.*?)</script>', page, re.DOTALL).group(1))
        losses = next(chart for chart in data["charts"] if chart["id"] == "losses")["lines"]
        assert all(line["x"] == [epoch["step"] for epoch in expected] for line in losses) and "resumed after step" in page, losses


job = common.in_directory(Job)


def same(a, b):
    assert a.keys() == b.keys()
    for name in b:
        assert np.array_equal(a[name], b[name]), f"{name} differs by up to {np.abs(a[name] - b[name]).max()}"


def training_seconds(output):
    return float(re.search(r"of which training ([\d.]+) s", output).group(1))


def after_first_epoch(process, seconds):
    for line in process.stdout:
        if line.startswith("epoch="):
            break
    time.sleep(seconds)


def stop(process, number=signal.SIGTERM):
    """Returns exit code and output."""
    ranks = launching.ranks_of(process)
    process.send_signal(number)
    output, _ = process.communicate(timeout=90)
    assert launching.gone(ranks), "ranks are left"
    return process.returncode, output


def stopped_and_resumed(name, seed):
    """Stopped after random steps, several times, then to the end: the undisturbed job's result bit for bit."""
    generator = random.Random(seed)

    @job
    def check(j):
        j.with_options(**JOBS[name]).lasting(1.5)
        expected = j.undisturbed()
        for _ in range(3 if SOAK else 2):
            process = j.start()
            after_first_epoch(process, generator.uniform(0, 0.1))
            code, output = stop(process, generator.choice([signal.SIGTERM, signal.SIGINT]))
            assert code == 0, f"{code}: {output}"
            assert "stopped on request after step" in output and j.steps(), output
            j.clean()
        output = j.run()
        assert "resumed from" in output, output
        same(j.result(), expected)
        j.metrics_are_the_undisturbed_ones()

    check()


def a_stopped_job_goes_on_as_if_it_had_not_been():
    for seed in range(20 if SOAK else 1):
        for name in JOBS:
            stopped_and_resumed(name, f"{name} {seed}")


@job
def the_loss_scale_goes_on_between_two_changes(j):
    j.with_options(**JOBS["fp16"], artifact_state="last").with_options(epochs=8)
    expected = j.undisturbed()
    for step in (14, 37):
        j.run(max_steps=step)
        assert j.state()["loss_scale"]["steps_since_change"] > 0, j.state()
    j.run()
    same(j.result(), expected)


@job
def a_killed_job_goes_on_from_its_last_checkpoint(j):
    """SIGKILL to the launcher and to a rank, between checkpoints."""
    j.with_options(**JOBS["sgd"], epochs=60, checkpoint_every=13)
    expected = j.undisturbed()
    generator = random.Random(4)
    for victim in (lambda process: process.pid, lambda process: launching.ranks_of(process)[1]):
        process = j.start()
        after_first_epoch(process, generator.uniform(0, 0.1))
        ranks = launching.ranks_of(process)
        os.kill(victim(process), signal.SIGKILL)
        process.communicate(timeout=30)
        for _ in range(1000):
            if launching.gone(ranks):
                break
            time.sleep(0.01)
        assert launching.gone(ranks)
        assert len(j.steps()) <= 3 and all(step % 13 == 0 for step in j.steps()), j.steps()
    output = j.run()
    assert "resumed from" in output, output
    same(j.result(), expected)
    j.clean()
    assert len(j.steps()) == 2 and j.steps()[-1] == j.options["epochs"] * STEPS, j.steps()


@job
def other_ranks_buckets_and_passes_go_on_too(j):
    """From 2 ranks to 3 and to 1, in float64: the same samples come next, or the result would be another."""
    epochs = 6
    j.with_options(**EXACT, momentum=0.9, epochs=epochs, artifact_state="last")
    expected = j.undisturbed()
    j.run(max_steps=2 * STEPS + 4)
    assert j.state()["epoch_step"] == 4 and j.state()["ranks"] == 2
    output = j.run(ranks_per_host=3, bucket_cap_mb=0.01, passes="none", micro_batch_size=4, max_steps=4 * STEPS + 5)
    assert f"resumed from {j.checkpoints}/step-000000026: 26 steps are done" in output, output
    assert j.state()["ranks"] == 3
    j.run(ranks_per_host=1)
    difference = common.relative_difference(j.result(), expected)
    assert difference <= common.tolerance(steps=epochs * STEPS), difference


@job
def shares_of_the_optimizer_go_on_on_any_ranks(j):
    """Saved by 4 ranks with a quarter of AdamW's state each; then 3 with shares, 2 without, and one, each from the last."""
    j.with_options(**EXACT, optimizer="adamw", learning_rate=0.001, epsilon=1e-4, epochs=4, artifact_state="last", bucket_cap_mb=0.01)
    expected = j.undisturbed()
    output = j.run(ranks_per_host=4, shard_optimizer="true", max_steps=STEPS + 2)
    memory = common.metrics(j.directory, "start")[0]["memory"]
    assert "(1 of 4 shares) on each rank" in output and 4 * memory["optimizer"] == 2 * memory["parameters"], output
    for ranks, shared, steps in ((3, "true", 2 * STEPS), (2, "false", 3 * STEPS + 1), (1, "true", 4 * STEPS)):
        before = j.steps()[-1]
        output = j.run(ranks_per_host=ranks, shard_optimizer=shared, max_steps=steps)
        assert f"{before} steps are done" in output and j.steps()[-1] == steps, output
    difference = common.relative_difference(j.result(), expected)
    assert difference <= common.tolerance(steps=4 * STEPS, **j.options), difference
    output = j.run(expect=2, shard_optimizer="true", optimizer="lamb", resume="never", checkpoint_dir=j.directory / "other")
    assert "optimizer=lamb needs each whole; take another optimizer" in output, output


@job
def batch_statistics_become_the_average_on_other_ranks(j):
    """What is loaded is what was saved, and training goes on to a sensible result."""
    j.with_options(model="cnn", epochs=20, artifact_state="last", learning_rate=0.05)
    j.run(max_steps=15)
    saved = load_file(j.newest() / "model.safetensors")
    rows = load_file(j.newest() / "statistics.safetensors")
    weights = np.array(j.state()["samples_since_average"], dtype=np.float64)
    assert j.state()["evaluated_step"] == 15 and weights.sum() == 0
    for name, row in rows.items():
        assert row.shape[0] == 2 and np.array_equal(row[0], row[1]) and np.array_equal(row[0], saved[name]), name
    process = j.start()
    after_first_epoch(process, 0.02)
    stop(process)
    state, saved, rows = j.state(), load_file(j.newest() / "model.safetensors"), load_file(j.newest() / "statistics.safetensors")
    weights = np.array(state["samples_since_average"], dtype=np.float64)
    if weights.sum() > 0:
        name = "block1.norm.running_mean"
        assert not np.array_equal(rows[name][0], rows[name][1]), "the ranks saw the same"
        average = (rows[name].astype(np.float64) * (weights / weights.sum())[:, None]).sum(0)
        assert np.allclose(saved[name], average, rtol=common.tolerance("fp32"), atol=0)
    j.run(ranks_per_host=3)
    assert common.metrics(j.directory, "epoch")[-1]["train_loss"] < 1, common.metrics(j.directory, "epoch")[-1]


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


DAMAGE = {"flip": flip, "cut": lambda path: os.truncate(path, path.stat().st_size // 2), "remove": os.unlink}


@job
def a_damaged_checkpoint_is_passed_over(j):
    """Any file of the newest; other things in the directory stay as they are."""
    j.with_options(**JOBS["sgd"], epochs=4, checkpoint_every=10, checkpoint_keep=4)
    expected = j.undisturbed()
    j.checkpoints.mkdir()
    (j.checkpoints / "of-another").mkdir()
    (j.checkpoints / "step-000000099").write_text("not a checkpoint")
    (j.checkpoints / ".partial-0123456789abcdef-xyz").mkdir()
    j.run()
    files = sorted(path.name for path in j.newest().parent.joinpath("step-000000044").iterdir())
    assert files == ["best.safetensors", "manifest.json", "model.safetensors", "optimizer.safetensors", "state.json",
                     "statistics.safetensors"], files
    cases = [(name, damage) for name in files for damage in DAMAGE]
    for name, damage in cases if SOAK else random.Random(5).sample(cases, 4):
        DAMAGE[damage](j.checkpoints / "step-000000044" / name)
        output = j.run()
        assert "checkpoint passed over: step-000000044: " in output and name in output, output
        assert "step-000000040: 40 steps are done" in output, output
        same(j.result(), expected)
    assert (j.checkpoints / "of-another").exists() and (j.checkpoints / "step-000000099").is_file()
    assert (j.checkpoints / ".partial-0123456789abcdef-xyz").exists()


@job
def what_matters_must_stay(j):
    j.with_options(**JOBS["adamw"])
    j.run(epochs=2)
    for change, text in (({"learning_rate": 0.5}, "hyperparameter learning_rate was 0.002 and is 0.5"),
                         ({"epochs": 5}, "hyperparameter epochs was 2 and is 5"),
                         ({"resume": "never", "beta1": 0.5}, "hyperparameter beta1 was 0.9 and is 0.5")):
        before = j.steps()
        output = j.run(expect=2, **({"epochs": 2} | change))
        assert text in output and "step-000000022 was written by another job" in output, output
        assert output.count("lockstep: error:") == 1 and j.steps() == before
    other = j.directory / "other"
    common.write_channel(other, *common.images(331, seed=9))
    words = [f"train={other}" if word.startswith("train=") else word for word in j.command(epochs=2)]
    assert "data of channel train was" in common.run(words, expect=2)
    j.run(epochs=2, log_every=3, threads_per_rank=2, loader_threads=2, checkpoint_keep=1, export="pt2", bucket_cap_mb=1)


@job
def a_finished_job_can_be_extended(j):
    """With a schedule that does not depend on the end; without that it only writes its artifacts again."""
    j.with_options(model="cnn", learning_rate=0.02)
    expected = j.with_options(epochs=4).undisturbed()
    j.run(epochs=2)
    first = j.result()
    (j.model / "model.safetensors").unlink()
    output = j.run(epochs=2)
    assert "22 steps are done" in output and "train_loss=" not in output, output
    same(j.result(), first)
    j.run()
    same(j.result(), expected)
    assert "beyond the job's end at step 11; give more epochs" in j.run(expect=2, epochs=1)


class Mounted:
    """A small file system at a place."""

    def __init__(self, place, size):
        self.place, self.size = place, size

    def __enter__(self):
        self.place.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={self.size}", "tmpfs", self.place], check=True)
        return self

    def remount(self, *options):
        subprocess.run(["mount", "-o", ",".join(("remount", *options)), self.place], check=True)

    def __exit__(self, *_):
        subprocess.run(["umount", self.place], check=True)


def everything_in(directory):
    return {path.relative_to(directory): path.is_file() and path.read_bytes() for path in directory.rglob("*")}


@job
def ranks_that_do_not_see_rank_0s_directory_get_its_checkpoint(j):
    """As hosts have it whose directories are their own; the second rank's lacks all, has older ones, and cannot be written."""
    j.with_options(model="cnn", learning_rate=0.02, momentum=0.9, epochs=4, checkpoint_every=10)
    expected = j.undisturbed()
    there = j.directory / "there"

    def run(place=there, expect=0, **more):
        own, other = ([common.BIN / "lockstep", *j.command(checkpoint_dir=directory, **more)] for directory in (j.checkpoints, place))
        return launching.mpirun("-np", 1, *own, ":", "-np", 1, *other, expect=expect)

    run(max_steps=15)
    assert j.steps() == [10, 15] and not there.exists()
    before = everything_in(j.newest())
    output = run(max_steps=25)
    assert output.count("was brought") == 1 and "checkpoint step-000000015 was brought to 1 host that did not" in output, output
    assert f"resumed from {j.checkpoints}/step-000000015: 15 steps" in output and "passed over" not in output, output
    assert everything_in(there / "step-000000015") == before and len(list(there.iterdir())) == 1

    shutil.copytree(there / "step-000000015", there / "step-000000041")  # of an earlier life, and ahead
    before = everything_in(there)
    output = run(expect=2, learning_rate=0.5)
    assert "learning_rate was 0.02 and is 0.5" in output and "was brought" not in output, output
    assert everything_in(there) == before

    with Mounted(j.directory / "small", "64k") as small:
        for options, cause in ((), "No space left on device"), (("ro",), "Read-only file system"):
            if options:
                small.remount(*options)
            before = everything_in(j.checkpoints)
            output = run(small.place, expect=3 if not options else 2)
            assert "rank 1 of 2: the checkpoint step-000000025 of rank 0 cannot be brought to " in output, output
            assert str(small.place) in output and cause in output and output.count("lockstep: error:") == 1, output
            assert not any(small.place.iterdir()) and everything_in(j.checkpoints) == before

    output = run()
    assert "step-000000025 was brought to 1 host" in output and "passed over: step-000000041: rank 0 does not" in output, output
    assert sorted(path.name for path in there.iterdir()) == ["step-000000015", "step-000000025"]
    same(j.result(), expected)
    run(place=j.checkpoints)  # both see all of it
    shutil.rmtree(there)
    output = run(resume="never")
    assert "was brought" not in output and "resumed" not in output and not there.exists(), output
    same(j.result(), expected)
    j.clean()


@job
def never_resuming_starts_anew(j):
    j.with_options(**JOBS["sgd"], epochs=3)
    j.run(checkpoint_every=5)
    first = j.result()
    output = j.run(resume="never", checkpoint_every=9)
    assert "starting anew" in output and "epoch=1 " in output
    same(j.result(), first)
    assert j.steps() == [27, 33]


@job
def patience_and_the_best_state_are_remembered(j):
    """The best state is an early one: after a stop it must come from the checkpoint."""
    j.with_options(**(JOBS["sgd"] | dict(learning_rate=0.05)), patience=25)
    expected = j.undisturbed()
    process = j.start()
    after_first_epoch(process, 0.25)
    code, output = stop(process)
    assert code == 0, output
    j.run()
    same(j.result(), expected)


@job
def minutes_are_a_measure_too(j):
    j.with_options(**JOBS["sgd"], checkpoint_every="0.1s", checkpoint_keep=100)
    j.run()
    assert len(j.steps()) >= 2, j.steps()


@job
def a_place_for_checkpoints_is_needed(j):
    output = j.run(expect=2, checkpoint_dir=None, checkpoint_every=5)
    assert "checkpoint_every does nothing without a place for checkpoints" in output and "--checkpoint_dir" in output
    assert "is in the model directory" in j.run(expect=2, checkpoint_dir=j.model / "checkpoints")
    base = j.directory / "ml"
    config = base / "input" / "config"
    config.mkdir(parents=True)
    (config / "checkpointconfig.json").write_text(json.dumps({"LocalPath": str(j.directory / "local"), "S3Uri": "s3://x"}))
    j.run(checkpoint_dir=None, base_dir=base, checkpoint_every=5, epochs=1)
    assert (j.directory / "local" / "step-000000011" / "manifest.json").exists()


@job
def a_full_disk_ends_the_job_and_leaves_no_half_checkpoint(j):
    with Mounted(j.checkpoints, "1m"):
        output = j.run(expect=3, model="cnn", checkpoint_every=4, checkpoint_keep=9, epochs=2)
        assert "No space left" in output and output.count("lockstep: error:") == 1, output
        assert re.search(r"[\d.]+ MiB are needed, and [\d.]+ MiB are free there", output), output  # before anything is written
        j.clean()
        assert j.steps(), output


@job
def a_place_that_becomes_read_only_is_a_failure_of_a_rank(j):
    """Of checkpoints or of artifacts: exit code 2 would say that nothing was started. Training goes on until it is asked to stop."""
    j.with_options(model="mlp", epochs=100000)
    with Mounted(j.checkpoints, "4m") as checkpoints, Mounted(j.model, "4m") as model:
        for place, options in (checkpoints, dict(checkpoint_every="0.3s")), (model, dict(checkpoint_dir=None)):
            for file in j.model.iterdir():  # the model of a stopped job that went further would stay
                file.unlink()
            process = j.start(**options)
            after_first_epoch(process, 0)
            for _ in range(200):
                if subprocess.run(["mount", "-o", "remount,ro", place.place], stderr=subprocess.DEVNULL).returncode == 0:
                    break
                time.sleep(0.01)  # a file of it is being written
            said = ""
            if place is checkpoints:
                for line in process.stdout:
                    said += line
                    if line.startswith("WARNING: no checkpoint of step"):
                        break
                assert "Read-only file system" in said and "training goes on, and those before it stay" in said, said
            process.send_signal(signal.SIGTERM)
            output, _ = process.communicate(timeout=60)
            assert process.returncode == 3 and "Read-only file system" in output and str(place.place) in output, output
            assert output.count("lockstep: error:") == 1, output
            place.remount("rw")


@job
def what_cannot_be_removed_does_not_end_a_job(j):
    """An older checkpoint that is in the way of nothing."""
    j.with_options(model="cnn", learning_rate=0.02, epochs=3, checkpoint_every=10, checkpoint_keep=1)
    j.run(max_steps=10)
    (j.model / "model.safetensors").unlink()
    busy = j.checkpoints / "step-000000010"
    subprocess.run(["mount", "--bind", busy, busy], check=True)
    try:
        output = j.run()
    finally:
        subprocess.run(["umount", busy], check=True)
    assert output.count(f"WARNING: older checkpoints take up room: cannot remove {busy}: Device or resource busy") == 1, output
    assert j.result()
    assert j.steps() == [10, 33], j.steps()


@job
def a_job_without_a_place_keeps_artifacts_or_says_that_nothing_is_kept(j):
    j.with_options(**JOBS["sgd"], checkpoint_dir=None, epochs=100000)
    process = j.start()
    after_first_epoch(process, 0.05)
    code, output = stop(process)
    assert code == 0 and "only artifacts are kept" in output and j.result(), output
    process = j.start(export="none")
    after_first_epoch(process, 0.05)
    code, output = stop(process)
    assert code == 128 + signal.SIGTERM and "nothing was saved" in output, f"{code}: {output}"


@job
def stopped_at_any_moment(j):
    """Start-up, steps, evaluation, artifacts: the exit code says whether anything was kept, and the next run goes on."""
    j.with_options(**JOBS["sgd"], epochs=6, export="pt2,safetensors,saved_model")
    generator = random.Random(6)
    common.write_channel(j.directory / "validation", *common.images(20000, seed=4))
    j.command = lambda command=j.command, **more: [*command(**more), "--channel", f"validation={j.directory / 'validation'}"]
    start = time.monotonic()
    expected = j.undisturbed()
    seconds = time.monotonic() - start
    codes = []
    for turn in range(60 if SOAK else 5):
        process = j.start()
        if turn % 2:
            after_first_epoch(process, seconds * generator.uniform(0, 0.5))
        else:
            time.sleep(seconds * generator.uniform(0, 1.1))
        if process.poll() is not None:
            process.communicate()
            codes.append(process.returncode)
            continue
        had = bool(j.steps())
        code, output = stop(process)
        codes.append(code)
        # Negative: not even the launcher has heard it.
        assert code in (0, 128 + signal.SIGTERM, -signal.SIGTERM), f"{code}: {output}"
        assert code != 0 or j.steps() or "read back and compared" in output, output
        assert code == 0 or not j.steps() or had, output
        j.clean()
        if turn % 3 == 2:
            subprocess.run(["rm", "-rf", j.checkpoints, j.model], check=True)
    j.run()
    same(j.result(), expected)
    assert 0 in codes, codes


@job
def a_second_signal_ends_at_once(j):
    j.with_options(**JOBS["sgd"], epochs=100000)
    common.write_channel(j.directory / "validation", *common.images(60000, seed=4))
    process = j.start()
    after_first_epoch(process, 0)
    ranks = launching.ranks_of(process)
    for rank in ranks:
        os.kill(rank, signal.SIGSTOP)
    process.send_signal(signal.SIGTERM)
    time.sleep(1)  # two at once are one request
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=10)
    assert process.returncode == 128 + signal.SIGTERM and launching.gone(ranks)
    assert (j.directory / "output" / "failure").exists()


if __name__ == "__main__":
    common.main(a_stopped_job_goes_on_as_if_it_had_not_been, the_loss_scale_goes_on_between_two_changes,
                a_killed_job_goes_on_from_its_last_checkpoint,
                other_ranks_buckets_and_passes_go_on_too, shares_of_the_optimizer_go_on_on_any_ranks, batch_statistics_become_the_average_on_other_ranks,
                a_damaged_checkpoint_is_passed_over, what_matters_must_stay, a_finished_job_can_be_extended,
                ranks_that_do_not_see_rank_0s_directory_get_its_checkpoint, never_resuming_starts_anew, patience_and_the_best_state_are_remembered, minutes_are_a_measure_too,
                a_place_for_checkpoints_is_needed, a_full_disk_ends_the_job_and_leaves_no_half_checkpoint,
                a_place_that_becomes_read_only_is_a_failure_of_a_rank, what_cannot_be_removed_does_not_end_a_job,
                a_job_without_a_place_keeps_artifacts_or_says_that_nothing_is_kept, stopped_at_any_moment,
                a_second_signal_ends_at_once)
