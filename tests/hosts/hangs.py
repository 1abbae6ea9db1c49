"""Two hosts of two ranks: whoever the others wait for in vain is named on every host, in time. tests/judges/watchdog.py has one host."""

import os
import signal
import time

import cluster
import common
import stalling

SOAK = "LOCKSTEP_SOAK" in os.environ


def started(made, environment=None, **changes):
    job = {**stalling.JOB, "ranks_per_host": 2, **changes}
    made.configure(stalling.channels(made.directory), {name: str(value) for name, value in job.items()})
    for host in made.hosts:
        host.start(environment=environment)
    return made


def ends(made, *texts, seconds=60, stopped=None):
    """All hosts end with one reason, and nothing of them is left. `stopped`: since when they wait."""
    end = time.monotonic() + seconds
    codes = [host.wait(max(0.1, end - time.monotonic())) for host in made.hosts]
    assert codes == [3, 3], f"{codes}; {made.outputs()}"
    assert stopped is None or stalling.in_time(made[0].failure(), stopped), made.outputs()
    for host in made.hosts:
        stalling.says(host.failure(), *texts)
        assert not host.processes(), f"{host.name} has left processes"


def a_rank_that_is_stopped():
    for number in ((1, 0) if SOAK else (1,)):  # a host
        with cluster.cluster() as made:
            started(made).wait_for("epoch=")
            stopped = sorted(made[number].ranks())[1]
            os.kill(stopped, signal.SIGSTOP)
            ends(made, f" on {made[number].name} (pid ", "stopped) stands still for", stopped=time.monotonic())
            report = (made[0].base / "output" / "data" / "hang.txt").read_text()
            assert "lockstep::Trainer::" in report and report.count("last collectives of rank") == 2, report


def a_whole_host_that_is_stopped():
    """Its launcher hears, and its ranks do nothing."""
    with cluster.cluster() as made:
        started(made).wait_for("epoch=")
        for rank in made[1].ranks():
            os.kill(rank, signal.SIGSTOP)
        ends(made, " on algo-2 (pid ", "stopped) stands still for", "; so does rank ", stopped=time.monotonic())


def a_rank_that_spins_in_its_loader():
    with cluster.cluster() as made:
        started(made, stalling.fault(made.directory, "read_spin", 3, at=5000))
        made.wait_for("epoch=")
        ends(made, "rank 3 on algo-2 (pid ", "phase data", seconds=40)


def a_rank_that_skips_a_collective():
    with cluster.cluster() as made:
        started(made, stalling.fault(made.directory, "reduce_skip", 3, at=30))
        # What it gets in place of the sum may be too large for where it goes, by which MPI itself crashes.
        codes = [host.wait(50) for host in made.hosts]
        assert all(codes), f"{codes}; {made.outputs()}"
        for host in made.hosts:
            stalling.says(host.failure(), "rank 3 on algo-2 ")


if __name__ == "__main__":
    cluster.isolated()
    common.main(a_rank_that_is_stopped, a_whole_host_that_is_stopped, a_rank_that_skips_a_collective,
                *([a_rank_that_spins_in_its_loader] if SOAK else []))
