"""Jobs that are killed at every place between two changes of a disk, and at any moment: nothing that was committed is lost."""

import collections
import json
import os
import random
import signal
import subprocess
import time

import common
import finite
import launching
from resume import Job, same

SOAK = "LOCKSTEP_SOAK" in os.environ
HITS = 3 if SOAK else 1
KILLS = 200 if SOAK else 4
OPTIONS = dict(model="mlp", optimizer="adamw", learning_rate=0.002, batch_size=32, model_dropout=0.1)

job = common.in_directory(Job)


def is_complete(checkpoint):
    """Whether the manifest fits every file."""
    manifest = json.loads((checkpoint / "manifest.json").read_text())
    assert set(manifest["files"]) == {path.name for path in checkpoint.iterdir()} - {"manifest.json"}, list(checkpoint.iterdir())
    for name, file in manifest["files"].items():
        content = (checkpoint / name).read_bytes()
        assert len(content) == file["bytes"] and f"{finite.crc32c(content):08x}" == file["crc32c"], checkpoint / name
    return True


def newest(j):
    """The step of the newest checkpoint, all of which are complete; 0 when there is none."""
    steps = j.steps() if j.checkpoints.exists() else []
    return max((step for step in steps if is_complete(j.checkpoints / f"step-{step:09}")), default=0)


def run(j, kill_at=None, **more):
    """Returns exit code, output, and the points that the rank has passed that writes checkpoints, in order."""
    passed = j.directory / "passed"
    passed.unlink(missing_ok=True)
    environment = {**os.environ, "LOCKSTEP_PASSED_POINTS": str(passed)} | ({"LOCKSTEP_KILL_AT": kill_at} if kill_at else {})
    result = subprocess.run([common.BIN / "lockstep", *j.command(**more)], capture_output=True, text=True, timeout=120, env=environment)
    lines = [line.split() for line in passed.read_text().splitlines()] if passed.exists() else []
    writer = next((process for name, process in lines if name == "checkpoint.begin"), None)
    return result.returncode, result.stdout + result.stderr, [name for name, process in lines if process == writer]


def hits_in_saves(points):
    """For each point that is passed while a checkpoint is written or an older one removed: the how-manieth times those are."""
    passed, hits, saving = collections.Counter(), collections.defaultdict(list), False
    for name in points:
        saving = saving or name == "checkpoint.begin"
        passed[name] += 1
        if saving:
            hits[name].append(passed[name])
        saving = saving and name != "checkpoint.end"
    return hits


@job
def killed_at_every_point(j):
    """One job, killed again and again, each time at another point; each run goes on from where the one before was killed."""
    generator = random.Random(7)
    j.with_options(**OPTIONS, epochs=40 if SOAK else 16, checkpoint_every=1)
    expected = j.undisturbed()
    code, output, points = run(j, max_steps=6, checkpoint_dir=j.directory / "elsewhere", model_dir=j.directory / "elsewhere-model")
    assert code == 0, output
    hits = hits_in_saves(points)
    assert len(hits) == 17 and len(hits["checkpoint.committed"]) == 6, hits
    for name, times in sorted(hits.items()):
        for hit in sorted(generator.sample(times, min(HITS, len(times)))):
            before = newest(j)
            code, output, passed = run(j, kill_at=f"{name}:{hit}")
            assert code != 0 and name in passed[-3:], f"{name}:{hit}: {code} {passed[-3:]} {output}"
            committed = before + passed.count("checkpoint.committed")
            assert newest(j) >= committed, f"{name}:{hit}: {newest(j)} is there, {committed} was committed: {output}"
    code, output, _ = run(j)
    assert code == 0, output
    same(j.result(), expected)
    j.clean()


def kill_something(generator, process):
    """The launcher, a rank, or all at once. Waits until nothing is left."""
    try:
        ranks = launching.ranks_of(process)
    except FileNotFoundError:  # it has just ended
        ranks = []
    victims = generator.choice([[process.pid], [process.pid, *ranks], ranks[:1] or [process.pid], ranks[1:] or [process.pid]])
    for victim in victims:
        try:
            os.kill(victim, signal.SIGKILL)
        except ProcessLookupError:
            pass
    output, _ = process.communicate(timeout=60)
    for _ in range(2000):
        if launching.gone(ranks):
            break
        time.sleep(0.01)
    assert launching.gone(ranks)
    return output


@job
def killed_at_any_moment(j):
    """Start-up, steps, saving, evaluating, artifacts: of whole jobs, one after another."""
    generator = random.Random(8)
    j.with_options(**OPTIONS, epochs=60, checkpoint_every="continuous", export="safetensors,pt2")
    expected = j.undisturbed()
    kills = jobs = 0
    while kills < KILLS:
        before = newest(j)
        process = j.start()
        try:
            process.wait(generator.uniform(0.2, 3.5))
        except subprocess.TimeoutExpired:
            pass
        if process.poll() is None:
            kills += 1
        output = kill_something(generator, process)
        assert newest(j) >= before, f"{newest(j)} is there, {before} was: {output}"
        if process.returncode == 0:
            jobs += 1
            same(j.result(), expected)
            subprocess.run(["rm", "-rf", j.checkpoints, j.model], check=True)
    for place in (j.model, j.directory / "output", j.directory / "output" / "data"):
        (place / ".partial-left").mkdir(parents=True, exist_ok=True)  # as when all was killed while it was written
    output = j.run()
    same(j.result(), expected)
    j.clean()
    if SOAK:
        print(f"{kills} kills over {jobs + 1} whole jobs")


if __name__ == "__main__":
    common.main(killed_at_every_point, killed_at_any_moment)
