"""Two hosts of two ranks that are killed, stopped, asked to end, cut off and left without room, again and again, and started again each time:
in the end the parameters are those of the undisturbed job, to the bit. Half a minute, or longer until each has come; in soak half an hour."""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import time

import cluster
import common
import numpy as np
import stalling
from safetensors.numpy import load_file

SECONDS = 1800 if "LOCKSTEP_SOAK" in os.environ else 25
SEED = int(os.environ.get("LOCKSTEP_SEED", random.randrange(1 << 30)))
JOB = {"model": "mlp", "model_hidden": "[16]", "epochs": 100000, "batch_size": 16, "momentum": 0.9, "threads_per_rank": 1, "ranks_per_host": 2,
       "export": "safetensors", "artifact_state": "last", "log_every": 0.1, "checkpoint_every": 25, "hosts_timeout": "20s",
       "phase_timeout": f"{stalling.PHASE}s", "rare_phase_timeout": "30s"}
PATIENCE = 60  # seconds in which a disturbed job ends
# What the hosts say when a disturbance has come.
SAID = {"killed_rank": "was ended by signal 9 (Killed)", "stopped_rank": ", stopped) stands still for", "killed_launcher": " is lost",
        "terminated": "stopped on request", "cut_link": " is lost", "full_disk": "No space left on device"}


def steps_in(place):
    return max([int(path.name.removeprefix("step-")) for path in place.glob("step-*")], default=0)


class Job:
    """Its leader's checkpoints are on a disk of their own."""

    def __init__(self, made):
        self.made, self.disk, self.chance = made, made.directory / "disk", random.Random(SEED)
        common.write_channel(made.directory / "data", *common.images(64))
        self.disk.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", self.disk], check=True)
        made[0].volumes["checkpoints"] = self.disk
        (made[1].base / "checkpoints").mkdir()

    def start(self, **changes):
        self.made.configure({"train": self.made.directory / "data"}, {name: str(value) for name, value in {**JOB, **changes}.items()})
        for host in self.made.hosts:
            host.write("checkpointconfig", {"LocalPath": str(host.base / "checkpoints")})
            shutil.rmtree(host.base / "model", ignore_errors=True)
            host.start()

    def killed_rank(self):
        os.kill(self.chance.choice(self.made[self.chance.randrange(2)].ranks()), signal.SIGKILL)

    def stopped_rank(self):
        os.kill(self.chance.choice(self.made[self.chance.randrange(2)].ranks()), signal.SIGSTOP)

    def killed_launcher(self):
        self.made[self.chance.randrange(2)].signal(signal.SIGKILL)

    def terminated(self):
        self.made[self.chance.randrange(2)].signal(signal.SIGTERM)

    def cut_link(self):
        self.made[1].cut()

    def full_disk(self):
        end = time.monotonic() + 1
        while time.monotonic() < end:  # an older checkpoint that goes makes room
            with contextlib.suppress(OSError), open(self.disk / "full", "ab", buffering=0) as file:
                while True:
                    file.write(bytes(4096))
            time.sleep(0.01)
        self.terminated()  # a job may go on without this checkpoint

    def disturb(self, kind):
        """From some step on. What the hosts say tells that it has come."""
        before = steps_in(self.disk)
        self.start()
        end = time.monotonic() + PATIENCE
        while steps_in(self.disk) < before + 25:
            assert time.monotonic() < end and self.made[0].process.poll() is None, f"{kind}: {self.made.outputs()}"
            time.sleep(0.02)
        time.sleep(self.chance.uniform(0, 0.5))
        getattr(self, kind)()
        for host in self.made.hosts:
            host.wait(PATIENCE)
        (self.disk / "full").unlink(missing_ok=True)
        subprocess.run(["ip", "link", "set", f"{self.made[1].space}v", "up"], check=True)
        assert steps_in(self.disk) >= before, "a checkpoint is lost"
        assert SAID[kind] in self.made.outputs(), f"{kind}: {self.made.outputs()}"

    def end(self, steps):
        """At one go it needs no longer for so many steps than with all disturbances."""
        self.start(max_steps=steps)
        self.made.finish(PATIENCE + SECONDS)
        return load_file(self.made[0].base / "model" / "model.safetensors")


def whatever_happens_the_parameters_are_the_undisturbed_jobs():
    with cluster.cluster() as made, contextlib.ExitStack() as at_the_end:
        job = Job(made)
        at_the_end.callback(subprocess.run, ["umount", job.disk], check=True)
        kinds = list(SAID)
        job.chance.shuffle(kinds)
        end, count = time.monotonic() + SECONDS, 0
        while time.monotonic() < end or count < len(kinds):
            job.disturb(kinds[count % len(kinds)])
            count += 1
        steps = steps_in(job.disk) + 20
        found = job.end(steps)
        for place in (job.disk, made[1].base / "checkpoints"):
            for path in place.iterdir():
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        undisturbed = job.end(steps)
        assert all(np.array_equal(found[name], undisturbed[name]) for name in undisturbed), f"LOCKSTEP_SEED={SEED}, {count} disturbances"
        print(f"{count} disturbances, {steps} steps")


if __name__ == "__main__":
    cluster.isolated()
    common.main(whatever_happens_the_parameters_are_the_undisturbed_jobs)
