"""A job that may go on with fewer hosts (min_hosts): one is lost, the others go on from the newest checkpoint; it comes back, and all train
again. Every sample of an epoch is trained on once, which the parameters show: they are one host's."""

import os
import random
import signal
import time

import cluster
import common
from safetensors.numpy import load_file

SOAK = "LOCKSTEP_SOAK" in os.environ
JOB = {"model": "cnn", "model_norm": "none", "model_dropout": 0, "precision": "fp64", "epochs": 12, "batch_size": 24, "momentum": 0.9,
       "threads_per_rank": 1, "export": "safetensors", "artifact_state": "last", "log_every": 0.1, "hosts_timeout": "30s"}
STEPS = 12 * -(-200 // 24)


def started(made, **changes):
    common.write_channel(made.directory / "data", *common.images(200))
    job = {**JOB, "checkpoint_every": 5, "min_hosts": 2, **changes}
    made.configure({"train": made.directory / "data"}, {name: str(value) for name, value in job.items()})
    for host in made.hosts:
        host.write("checkpointconfig", {"LocalPath": str(host.base / "checkpoints")})
        host.start()
    return made


def step_of(made):
    """Of the newest checkpoint."""
    found = sorted((made[0].base / "checkpoints").glob("step-*"))
    return int(found[-1].name.removeprefix("step-")) if found else 0


def wait_for_step(made, step):
    end = time.monotonic() + 90
    while step_of(made) < step:
        assert time.monotonic() < end and made[0].process.poll() is None, made.outputs()
        time.sleep(0.02)


def is_what_one_host_trains(made):
    _, expected = common.train(made.directory / "alone", {"train": made.directory / "data"},
                               **{name: value for name, value in JOB.items() if name not in ("threads_per_rank", "hosts_timeout")})
    found = load_file(made[0].base / "model" / "model.safetensors")
    assert common.relative_difference(found, expected) <= common.tolerance(steps=STEPS)


def a_lost_host_is_done_without_and_comes_back():
    for _ in range(10 if SOAK else 1):
        with cluster.cluster(("algo-1", "algo-2", "algo-3")) as made:
            started(made)
            wait_for_step(made, random.randint(5, 30))
            made[2].signal(signal.SIGKILL)
            made[2].wait(5)
            made.wait_for("goes on with 2 of 3 hosts")
            made.wait_for("2 on 2 hosts")
            wait_for_step(made, step_of(made) + 5)
            made[2].start()
            made.wait_for("goes on with 3 of 3 hosts")
            made.finish(120)
            is_what_one_host_trains(made)


def without_enough_hosts_it_ends():
    with cluster.cluster(("algo-1", "algo-2")) as made:
        started(made, hosts_timeout="4s", epochs=100000)
        wait_for_step(made, 5)
        made[1].signal(signal.SIGKILL)
        made[1].wait(5)
        assert made[0].wait(30) == 5, made.outputs()
        assert "none has come in their place within 4 s: algo-2; min_hosts=2" in made[0].failure(), made[0].failure()


def a_lost_leader_ends_it():
    with cluster.cluster(("algo-1", "algo-2", "algo-3")) as made:
        started(made, epochs=100000)
        wait_for_step(made, 5)
        made[0].signal(signal.SIGKILL)
        assert [host.wait(20) for host in made.hosts[1:]] == [5, 5], made.outputs()
        assert "the leader algo-1 is lost" in made[1].failure()


if __name__ == "__main__":
    cluster.isolated()
    common.main(a_lost_host_is_done_without_and_comes_back, without_enough_hosts_it_ends, *([a_lost_leader_ends_it] if SOAK else []))
