"""Reports of several hosts: one clock for all ranks of a trace."""

import json

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
        made.start().finish()
        output = made[0].base / "output" / "data"
        ranks, names = trace_reader.read(output / "trace.json")
        assert list(names.values()) == [f"rank {rank} on host {rank // 2}" for rank in range(4)], names
        start = json.loads((output / "metrics.jsonl").read_text().splitlines()[0])
        trace_reader.check(ranks, [9, 10, 11, 12], 4 * start["parameters"], clock=3000)
        assert (output / "report.html").exists() and not (made[1].base / "output" / "data" / "trace.json").exists()
        lines = [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]
        assert [rank["host"] for rank in [line for line in lines if line["event"] == "ranks"][-1]["ranks"]] == [0, 0, 1, 1]


if __name__ == "__main__":
    cluster.isolated()
    common.main(two_hosts_are_on_one_clock)
