"""Jobs on several hosts that are stopped at any moment, and what they go on to."""

import contextlib
import json
import os
import random
import shutil
import signal
import time

import cluster
import common
import numpy as np
from safetensors.numpy import load_file

SOAK = "LOCKSTEP_SOAK" in os.environ
SIGNALS = (signal.SIGTERM, signal.SIGINT)
# All that must survive: dropout, batch norm, momentum, a schedule, the place in an epoch.
JOB = {"model": "cnn", "momentum": 0.9, "learning_rate": 0.02, "schedule": "cosine", "warmup_steps": 5, "clip_norm": 1,
       "batch_size": 32, "epochs": 12, "threads_per_rank": 1, "ranks_per_host": 2, "export": "safetensors", "hosts_timeout": "30s",
       "artifact_state": "last", "log_every": 1000}


def configure(made, checkpoints="ml/checkpoints", **changes):
    channel = made.directory / "data"
    if not channel.exists():
        common.write_channel(channel, *common.images(331))
        common.write_channel(made.directory / "test", *common.images(100, seed=3))
    made.configure({"train": channel, "test": made.directory / "test"}, {**JOB, **changes})
    for host in made.hosts:
        host.write("checkpointconfig", {"LocalPath": str(host.directory / checkpoints)})


def stop(host, number):
    """Unless it has ended by itself."""
    with contextlib.suppress(AssertionError, ProcessLookupError):
        if host.process.poll() is None:
            host.signal(number)


def result(made):
    return load_file(made[0].base / "model" / "model.safetensors")


def newest(made):
    return sorted((made[0].base / "checkpoints").glob("step-*"))[-1]


def synchronize(made):
    """As SageMaker does before a job starts again: every host gets all hosts' files, into a new container."""
    for host in made.hosts[1:]:
        shutil.rmtree(host.base / "checkpoints", ignore_errors=True)
        if (made[0].base / "checkpoints").exists():
            shutil.copytree(made[0].base / "checkpoints", host.base / "checkpoints")
    for host in made.hosts:
        for name in ("output", "model"):
            shutil.rmtree(host.base / name, ignore_errors=True)


def nothing_half_written(made):
    for host in made.hosts:
        for place in ("model", "checkpoints"):
            left = [path.name for path in (host.base / place).glob(".*")] if (host.base / place).exists() else []
            assert not left, f"{host.name}: {left}"
        for checkpoint in (host.base / "checkpoints").glob("step-*"):
            assert (checkpoint / "manifest.json").exists()


def stopped_at_any_moment():
    """From start-up to the writing of artifacts, by a signal to one host or to all: code and reason are the same everywhere, and
    what is there is whole."""
    codes, trials = [], 60 if SOAK else 8
    with cluster.cluster() as made:
        configure(made, epochs=4)
        start = time.monotonic()
        made.start().finish(60)
        seconds = time.monotonic() - start
        for trial, moment in enumerate(random.sample(range(trials), trials)):  # from the first to beyond the end
            endless = trial % 4 < 2  # it ends because it is told to
            configure(made, epochs=100000 if endless else 4, hosts_timeout="5s")
            for host in made.hosts:
                shutil.rmtree(host.base / "checkpoints", ignore_errors=True)
            synchronize(made)
            made.start(pid=trial % 2 == 0)
            time.sleep(max(0.05, seconds * 1.1 * (moment + random.random()) / trials))
            told = made.hosts if trial % 3 == 0 else [random.choice(made.hosts)]
            number = random.choice(SIGNALS)
            for host in told:
                stop(host, number)
            start_of_stop = time.monotonic()
            found = [host.wait(90) for host in made.hosts]
            assert time.monotonic() - start_of_stop < 90
            assert found[0] == found[1] or told != made.hosts, f"{found} {made.outputs()}"
            nothing_half_written(made)
            for host, code in zip(made.hosts, found):
                assert code in (0, 128 + signal.SIGTERM, 128 + signal.SIGINT, 5), f"{found} {made.outputs()}"
                assert (code == 0) == (host.failure() is None), f"{found} {host.failure()}"
                if code == 0:
                    assert (made[0].base / "model" / "model.safetensors").exists(), made.outputs()
                elif code != 5:
                    assert "was stopped by signal" in host.failure() and "nothing was saved" in host.failure()
                else:
                    assert "could not join" in host.failure() or "is lost" in host.failure() or "missing" in host.failure()
                assert not host.processes()
            codes.append(found)
    assert [0, 0] in codes, codes


def stopped_while_hosts_are_missing():
    for number, text in ((0, "leads"), (1, "looks for its leader")):
        with cluster.cluster() as made:
            configure(made)
            host = made[number].start()
            made.wait_for(text, number)
            host.signal(signal.SIGTERM)
            assert host.wait(5) == 128 + signal.SIGTERM, host.output()
            assert "the job was stopped by signal 15 (Terminated); nothing was saved" in host.failure()


def stopped_and_resumed_is_undisturbed():
    """Several times over: as if nothing had been, bit for bit."""
    rounds = 10 if SOAK else 3
    with cluster.cluster() as made:
        configure(made, epochs=100 if SOAK else 40)
        made.start().finish(120)
        undisturbed = result(made)
        shutil.rmtree(made[0].base / "checkpoints")
        synchronize(made)
        stops = 0
        for _ in range(rounds):
            made.start()
            made.wait_for("epoch=")
            time.sleep(random.uniform(0, 0.3))
            stop(random.choice(made.hosts), random.choice(SIGNALS))
            made.finish(90)
            stops += "stopped on request" in made[0].output()
            assert "stopped on request" not in made[0].output() or result(made)
            synchronize(made)
        made.start().finish(120)
        assert "resumed from" in made[0].output()
        final = result(made)
        assert stops > rounds / 4, f"{stops} stops"
        assert final.keys() == undisturbed.keys()
        for name in final:
            assert np.array_equal(final[name], undisturbed[name]), name


def resumed_on_another_number_of_ranks():
    """On 1 host × 3 ranks: what is loaded is what was saved, byte for byte, and the job goes on with the same samples."""
    exact = {"model_norm": "none", "model_dropout": 0, "precision": "fp64", "schedule": "constant", "warmup_steps": 0, "epochs": 15}
    with cluster.cluster() as made:
        configure(made, **exact)
        made.start().finish(120)
        undisturbed = result(made)
        shutil.rmtree(made[0].base / "checkpoints")
        synchronize(made)
        made.start()
        made.wait_for("epoch=3 ")
        made[1].signal(signal.SIGTERM)
        made.finish(90)
        step = int(newest(made).name.removeprefix("step-"))
        saved = load_file(newest(made) / "model.safetensors")
        with cluster.cluster(["algo-1"]) as alone:
            for steps in (step, 0):  # no more, then all
                configure(alone, ranks_per_host=3, max_steps=steps, **exact)
                shutil.rmtree(alone[0].base / "checkpoints", ignore_errors=True)
                shutil.copytree(made[0].base / "checkpoints", alone[0].base / "checkpoints")
                alone.start().finish(120)
                assert f"resumed from {alone[0].base}/checkpoints/step-{step:09}" in alone[0].output()
                if steps:
                    loaded = result(alone)
                    assert loaded.keys() == saved.keys() and all(np.array_equal(loaded[name], saved[name]) for name in saved)
            assert common.relative_difference(result(alone), undisturbed) <= common.tolerance(steps=15 * 11)  # epochs of 331 samples


def hosts_with_disks_of_their_own_go_on():
    """Nobody copies the leader's checkpoints to the other hosts: it brings them."""
    with cluster.cluster(("algo-1", "algo-2", "algo-3")) as made:
        configure(made, ranks_per_host=1, epochs=12)
        made.start().finish(120)
        undisturbed = result(made)
        for host in made.hosts:
            shutil.rmtree(host.base / "checkpoints", ignore_errors=True)
        made.start()
        made.wait_for("epoch=2 ")
        made[2].signal(signal.SIGTERM)
        made.finish(90)
        assert not list((made[1].base / "checkpoints").glob("step-*"))
        name = newest(made).name
        made.start().finish(120)
        assert f"checkpoint {name} was brought to 2 hosts" in made[0].output(), made[0].output()
        assert f"resumed from {made[0].base}/checkpoints/{name}" in made[0].output()
        final = result(made)
        assert all(np.array_equal(final[name], undisturbed[name]) for name in undisturbed)


def contents(host):
    place = host.base / "checkpoints"
    return {path.relative_to(place): path.is_file() and path.read_bytes() for path in place.rglob("*")}


def a_replaced_leader_finds_a_copy():
    """With checkpoint_copies: the directories are alike, and the job goes on from the one that is left, whosever it is."""
    with cluster.cluster(("algo-1", "algo-2", "algo-3")) as made:
        options = dict(ranks_per_host=2, checkpoint_copies="true", checkpoint_every=7)
        configure(made, epochs=10, **options)
        made.start().finish(120)
        undisturbed = result(made)
        for left in (2, 1) if SOAK else (random.choice((2, 1)),):
            for host in made.hosts:
                shutil.rmtree(host.base / "checkpoints", ignore_errors=True)
            made.start()
            made.wait_for("epoch=2 ")
            made[0].signal(signal.SIGTERM)
            made.finish(90)
            assert len(contents(made[0])) > 8, contents(made[0]).keys()
            assert contents(made[1]) == contents(made[0]) == contents(made[2]), [contents(host).keys() for host in made.hosts]
            name = newest(made).name
            for host in made.hosts:
                if host is not made[left]:
                    shutil.rmtree(host.base / "checkpoints")
            shutil.rmtree(made[0].base / "model")
            made.start().finish(120)
            assert f"checkpoint {name} was brought to 2 hosts" in made[0].output(), made[0].output()
            assert f"resumed from {made[0].base}/checkpoints/{name}" in made[0].output()
            final = result(made)
            assert all(np.array_equal(final[name], undisturbed[name]) for name in undisturbed)
            assert contents(made[1]) == contents(made[0]) == contents(made[2])
        shared = made.directory / "shared"
        configure(made, checkpoints=shared, epochs=2, **options)
        made.start().finish(120)
        assert len(list(shared.iterdir())) == 2 and "WARNING" not in made[0].output(), made[0].output()


def checkpoints_are_the_leaders():
    with cluster.cluster() as made:
        configure(made, epochs=2)
        made.start().finish(60)
        state = json.loads((newest(made) / "state.json").read_text())
        assert state["step"] == 22
        assert not (made[1].base / "checkpoints").exists() or not list((made[1].base / "checkpoints").iterdir())


def a_second_signal_ends_everything_at_once():
    for told in (0, 1):
        with cluster.cluster() as made:
            configure(made, epochs=100000)
            made.start()
            made.wait_for("epoch=")
            os.kill(made[1].ranks()[0], signal.SIGSTOP)  # so that no step ends any more
            made[told].signal(signal.SIGTERM)
            time.sleep(1)
            assert made[0].process.poll() is None
            start = time.monotonic()
            made[told].signal(signal.SIGTERM)
            made.finish(15, expect=128 + signal.SIGTERM)
            assert time.monotonic() - start < 10
            for host in made.hosts:
                assert "was stopped by signal 15" in host.failure()


if __name__ == "__main__":
    cluster.isolated()
    seed = int(os.environ.get("LOCKSTEP_SEED", int.from_bytes(os.urandom(4), "little")))
    print(f"seed {seed}", flush=True)
    random.seed(seed)
    common.main(checkpoints_are_the_leaders, stopped_while_hosts_are_missing, stopped_at_any_moment, stopped_and_resumed_is_undisturbed,
                resumed_on_another_number_of_ranks, hosts_with_disks_of_their_own_go_on,
                a_replaced_leader_finds_a_copy, a_second_signal_ends_everything_at_once)
