"""A job whose ranks wait in vain ends in time and says for whom; one that is only slow goes on. On one host: under `lockstep train` and
under mpirun alone; tests/hosts/hangs.py has two hosts, tests/hosts/slurm.py has srun."""

import ctypes
import os
import pathlib
import signal
import time

import common
from stalling import JOB, LATE, PHASE, RARE, Running, arguments, fault, in_time, says

SOAK = "LOCKSTEP_SOAK" in os.environ
PTRACE_SEIZE = 0x4206


def launched(directory, environment=None, ranks=2, **changes):
    return Running(directory, [common.BIN / "lockstep", *arguments(directory, ranks_per_host=ranks, **changes)], environment)


def bare(directory, environment=None, ranks=2, **changes):
    root = ["--allow-run-as-root"] if os.geteuid() == 0 else []
    return Running(directory, ["mpirun", *root, "--oversubscribe", "-np", ranks, common.BIN / "lockstep", *arguments(directory, **changes)],
                   environment)


def ranks_of(job):
    """pids, by rank."""
    found = {}
    for pid in common.running_with(job.directory):
        try:
            if not os.readlink(f"/proc/{pid}/exe").endswith("lockstep-rank"):
                continue
            environment = open(f"/proc/{pid}/environ", "rb").read().split(b"\0")
        except OSError:
            continue
        found[int(next(word.split(b"=")[1] for word in environment if word.startswith(b"PMIX_RANK=")))] = int(pid)
    return found


STARTS = (launched, bare)


def each(starts):
    for start in starts:
        with common.temporary_directory() as directory:
            marked = {"LOCKSTEP_TEST_DIRECTORY": directory}  # by which its ranks are found
            yield directory, lambda environment=None, **changes: start(
                pathlib.Path(directory), {**marked, **(environment or {})}, **changes)


def gone(pids):
    """A process that was killed is there until its parent has looked."""
    for _ in range(50):
        left = [pid for pid in pids if os.path.exists(f"/proc/{pid}")]
        if not left:
            return
        time.sleep(0.1)
    raise AssertionError([pathlib.Path(f"/proc/{pid}/status").read_text() for pid in left])


def a_rank_that_is_stopped():
    for directory, start in each(STARTS):
        for rank in (1, 0) if SOAK else (1,):
            job = start()
            job.wait_for("epoch=")
            ranks = ranks_of(job)
            os.kill(ranks[rank], signal.SIGSTOP)
            start_of_it = time.monotonic()
            assert job.ends(60) == 3, job.output()
            assert in_time(job.failure(), start_of_it), job.output()
            says(job.failure(), f"rank {rank} on ", f"(pid {ranks[rank]}, stopped) stands still for")
            assert "rank  host" in job.output() and f"threads of rank {rank}:" in job.output(), job.output()
            report = job.report()
            assert "lockstep::Trainer::" in report and "last collectives of rank 0:" in report and "last collectives of rank 1:" in report, report
            gone(ranks.values())


def a_rank_that_cannot_be_reaped():
    """Whoever traces it is told of its end first, and does not look: the reason is there in time, and the launcher does not wait for ever."""
    with common.temporary_directory() as directory:
        job = launched(pathlib.Path(directory), {"LOCKSTEP_TEST_DIRECTORY": directory})
        job.wait_for("epoch=")
        rank, start = ranks_of(job)[1], time.monotonic()
        os.kill(rank, signal.SIGSTOP)
        assert ctypes.CDLL(None).ptrace(PTRACE_SEIZE, rank, None, None) == 0
        while not job.failure():
            assert job.process.poll() is None and time.monotonic() - start < 60, job.output()
            time.sleep(0.05)
        assert in_time(job.failure(), start), job.output()
        assert job.process.poll() is None, "it has been reaped: this test tests nothing"
        assert job.ends(30) == 3, job.output()
        os.waitpid(rank, 0)


def a_rank_that_spins_in_its_loader():
    for directory, start in each(STARTS):
        job = start(fault(directory, "read_spin", 1, at=5000))
        job.wait_for("epoch=")
        assert job.ends(30 + PHASE + LATE) == 3, job.output()
        says(job.failure(), "rank 1 on ", "phase data")
        assert "before_read" in job.report(), job.report()  # the function in which it spins


def a_rank_that_skips_a_collective():
    """With three ranks it is the odd one."""
    for directory, start in each(STARTS if SOAK else STARTS[:1]):
        job = start(fault(directory, "reduce_skip", 1, at=30), ranks=3)
        assert job.ends(40 + PHASE + LATE) != 0, job.output()
        # What it gets in place of the sum may be too large for where it goes, by which MPI itself crashes.
        says(job.failure(), "rank 1 on ")


def a_rank_that_sends_another_size():
    """Compared before it is made, or found by MPI: then by the rank that is sent more than it waits for."""
    for check in ("true", "false"):
        for directory, start in each(STARTS[:1]):
            job = start(fault(directory, "reduce_fewer", 1, at=30), ranks=3, check_collectives=check)
            assert job.ends(40 + PHASE + LATE) == 3, job.output()
            says(job.failure(), "rank 1 on ")
            assert (" makes collective " in job.failure()) == (check == "true"), job.failure()


def a_rank_that_leaves_without_a_word():
    for directory, start in each(STARTS):
        job = start(fault(directory, "reduce_leave", 1, at=30))
        assert job.ends(30 + PHASE + LATE) != 0, job.output()
        says(job.failure(), "rank 1 on ", "; it was last in step ")


def what_is_slow_trips_nothing():
    """A first step, an evaluation and a checkpoint, each longer than a phase may take."""
    slow = {"read_sleep first step": dict(kind="read_sleep", at=25, milliseconds=1000 * (PHASE + 2)),
            "read_sleep evaluation": dict(kind="read_sleep", at=20, file="/validation/", milliseconds=1000 * (PHASE + 2)),
            "sync_sleep": dict(kind="sync_sleep", at=2, milliseconds=1000 * (PHASE + 2))}
    for name, what in slow.items():
        with common.temporary_directory() as directory:
            directory = pathlib.Path(directory)
            job = launched(directory, fault(directory, rank=0, **what), epochs=4, eval_every=1, checkpoint_dir=directory / "checkpoints")
            assert job.ends(60) == 0, f"{name}: {job.output()}"
            assert not job.failure() and "stands still" not in job.output()


def a_slow_rank_is_named():
    with common.temporary_directory() as directory:
        directory = pathlib.Path(directory)
        job = launched(directory, fault(directory, "read_sleep", 1, milliseconds=10), epochs=20, batch_size=8, eval_every=1000)
        assert job.ends(60) == 0, job.output()
        assert "WARNING: rank 1 on " in job.output() and "is slow: for a step it needs" in job.output(), job.output()
        (event, *_) = common.metrics(directory, "straggler")
        assert event["rank"] == 1 and event["host"] and event["factor"] > 1.5 and event["step"] > 20, event


def ranks_that_compare_collectives_train_the_same():
    with common.temporary_directory() as directory:
        directory = pathlib.Path(directory)
        common.write_channel(directory / "data", *common.images(64))
        found = [common.train(directory / str(check), {"train": directory / "data"}, ranks=2, model="mlp", epochs=1, batch_size=16,
                              check_collectives=check)[1] for check in ("true", "false")]
        assert all((found[0][name] == found[1][name]).all() for name in found[0])


if __name__ == "__main__":
    assert JOB["rare_phase_timeout"] == f"{RARE}s"
    common.main(a_rank_that_is_stopped, a_rank_that_spins_in_its_loader, a_rank_that_skips_a_collective, a_rank_that_sends_another_size,
                a_rank_that_leaves_without_a_word, what_is_slow_trips_nothing, a_slow_rank_is_named, ranks_that_compare_collectives_train_the_same,
                *([a_rank_that_cannot_be_reaped] if SOAK else []))
