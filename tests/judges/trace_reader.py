"""Reads a trace as viewers do, and checks what holds of each."""

import collections
import json

ROWS = ["steps", "compute", "communication", "data", "operators"]


def read(path):
    """{rank: {row: [span]}}; a span is (begin, end, name, bytes), in µs, in the order of its beginning."""
    events = json.loads(path.read_text())["traceEvents"]
    rows = {(event["pid"], event["tid"]): event["args"]["name"] for event in events if event["name"] == "thread_name"}
    ranks = collections.defaultdict(lambda: collections.defaultdict(list))
    for event in events:
        if event["ph"] == "X":
            begin = event["ts"]
            assert event["dur"] >= 0, event
            ranks[event["pid"]][rows[event["pid"], event["tid"]]].append(
                (begin, begin + event["dur"], event["name"], event.get("args", {}).get("bytes", 0)))
        else:
            assert event["ph"] == "M", event
    names = {event["pid"]: event["args"]["name"] for event in events if event["name"] == "process_name"}
    assert names.keys() == ranks.keys(), names
    return {rank: {row: sorted(spans) for row, spans in sorted(of.items())} for rank, of in sorted(ranks.items())}, names


def check(ranks, steps, buckets_bytes=None, clock=200):
    """Each rank has these steps; on a row nothing lies on another; the phases of a step are within it and make it up to 5 %;
    ranks' steps lie beside each other on the one clock, which may be wrong by `clock` µs; each rank moves the gradients in each step."""
    for rank, rows in ranks.items():
        assert set(ROWS[:2]) <= rows.keys() and all(row.split(" ")[0] in ROWS for row in rows), rows.keys()
        assert [name for _, _, name, _ in rows["steps"]] == [f"step {step}" for step in steps], rows["steps"]
        for row, spans in rows.items():
            for (_, end, first, _), (begin, _, second, _) in zip(spans, spans[1:]):
                assert begin >= end - 1, f"rank {rank}, {row}: {second} begins before {first} has ended"
        for begin, end, name, _ in rows["steps"]:
            phases = [span for span in rows["compute"] if begin - 1 <= span[0] and span[1] <= end + 1]
            share = sum(span[1] - span[0] for span in phases) / (end - begin)
            assert 0.95 <= share <= 1.0001, f"rank {rank}, {name}: phases are {share:.3f} of it: {phases}"
            assert {"forward", "backward", "optimizer"} <= {span[2] for span in phases}, phases
            if buckets_bytes is not None and len(ranks) > 1:
                moved = sum(span[3] for span in rows["communication"] if begin <= span[0] < end and span[2] == "all_reduce")
                assert moved >= buckets_bytes, f"rank {rank}, {name}: {moved} bytes are moved, of {buckets_bytes}"
    # A step's gradients are summed when all have theirs: no rank ends a step before another has begun it.
    for index in range(len(steps)):
        latest = max(rows["steps"][index][0] for rows in ranks.values())
        for rank, rows in ranks.items():
            assert rows["steps"][index][1] > latest - clock, f"rank {rank} ends {rows['steps'][index]} before another begins it, at {latest}"
