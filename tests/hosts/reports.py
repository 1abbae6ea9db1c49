"""Reports of several hosts: one clock for all ranks of a trace, and who is told where a running job is."""

import json
import re
import subprocess
import sys
import time

import cluster
import common
import trace_reader

JOB = {"model": "cnn", "batch_size": 100, "ranks_per_host": 2, "threads_per_rank": 1, "export": "none", "hosts_timeout": "60s"}


def data(directory):
    common.write_channel(directory / "data", *common.images(400, size=16))
    return {"train": directory / "data"}


def two_hosts_are_on_one_clock():
    with cluster.cluster() as made:
        made.configure(data(made.directory), {**JOB, "epochs": 4, "trace_steps": "9-12", "bucket_cap_mb": 0.05})
        for host, clock in zip(made.hosts, (0, 1000)):  # seconds
            now = made[1].inside([sys.executable, "-c", "import time; print(time.monotonic())"], clock=clock)
            ahead = float(subprocess.run(now, capture_output=True, text=True, check=True).stdout) - time.monotonic()
            assert abs(ahead - clock) < 60, f"a clock is {ahead} s ahead, not {clock} s"
            host.start(clock=clock)
        made.finish()
        output = made[0].base / "output" / "data"
        ranks, names = trace_reader.read(output / "trace.json")
        assert list(names.values()) == [f"rank {rank} on host {rank // 2}" for rank in range(4)], names
        start = json.loads((output / "metrics.jsonl").read_text().splitlines()[0])
        trace_reader.check(ranks, [9, 10, 11, 12], 4 * start["parameters"], clock=3000)
        assert (output / "report.html").exists() and not (made[1].base / "output" / "data" / "trace.json").exists()
        lines = [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]
        assert [rank["host"] for rank in [line for line in lines if line["event"] == "ranks"][-1]["ranks"]] == [0, 0, 1, 1]


def ask(host, *arguments, environment=None):
    command = host.inside([common.BIN / "lockstep", "status", *arguments])
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, env={**cluster.os.environ, **(environment or {})})
    return result.returncode, result.stdout + result.stderr


def progress(host, environment=None):
    """Asks until the job has made steps."""
    end = time.monotonic() + 60
    while True:
        code, text = ask(host, "--hosts", "algo-1,algo-2", environment=environment)
        assert code == 0, text
        if "step " in text:
            return text
        assert time.monotonic() < end, text
        time.sleep(0.5)


def a_job_says_where_it_is_to_its_hosts():
    with cluster.cluster(("algo-1", "algo-2", "stranger")) as made:
        hosts = made.hosts
        made.hosts = hosts[:2]
        made.configure(data(made.directory), {**JOB, "epochs": 100000})
        hosts[0].start()
        made.wait_for("leads 2 hosts")
        code, text = ask(hosts[0], "--hosts", "algo-1,algo-2")
        assert code == 0 and "missing   algo-2" in text and "starting" in text, text
        hosts[1].start()
        for host in made.hosts:
            text = progress(host)
            assert re.search(r"job       the ranks are running\nepoch     \d+ of 100000\nstep      [\d,]+ of 400,000\nloss      [\d.]+\n"
                             r"rate      [\d.]+ samples/s\ndata wait [\d.]+ %\nleft      \d+ s\n$", text), text
        code, text = ask(hosts[2], "--hosts", "algo-1,algo-2")
        assert code == 5 and "to its hosts and to whoever has its secret" in text, text
        hosts[0].signal(15)
        made.finish(expect=[143, 143])
        code, text = ask(hosts[1], "--hosts", "algo-1,algo-2")
        assert code == 5 and "nobody answers at algo-1, port 7788" in text, text
        made.hosts = hosts


def a_job_with_a_secret_says_it_to_whoever_has_it():
    with cluster.cluster(("algo-1", "algo-2", "stranger")) as made:
        hosts = made.hosts
        made.hosts = hosts[:2]
        made.configure(data(made.directory), {**JOB, "epochs": 100000})
        secret = {"LOCKSTEP_JOB_SECRET": "between us"}
        made.start(environment=secret)
        made.wait_for("leads 2 hosts")
        assert "step " in progress(hosts[2], secret)
        for host in hosts:
            code, text = ask(host, "--hosts", "algo-1,algo-2", environment={"LOCKSTEP_JOB_SECRET": "guessed"})
            assert code == 5 and "has its secret" in text and "step " not in text, text
        hosts[0].signal(15)
        made.finish(expect=[143, 143])
        made.hosts = hosts


if __name__ == "__main__":
    cluster.isolated()
    common.main(two_hosts_are_on_one_clock, a_job_says_where_it_is_to_its_hosts, a_job_with_a_secret_says_it_to_whoever_has_it)
