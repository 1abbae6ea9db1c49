"""How data reaches hosts: each has files of its own (ShardedByS3Key), or they come through FIFOs (Pipe). What hosts learn is what one host
learns whose table has the samples in the order in which the hosts' steps take them."""

import contextlib
import io
import os
import random
import struct
import threading
import time

import cluster
import common
import pyarrow
import pyarrow.parquet as pq
from safetensors.numpy import load_file

JOB = {"model": "mlp", "model_hidden": [16], "model_dropout": 0, "precision": "fp64", "epochs": 2, "batch_size": 10, "momentum": 0.9,
       "learning_rate": 0.05, "threads_per_rank": 1, "ranks_per_host": 1, "export": "safetensors", "artifact_state": "last",
       "hosts_timeout": "60s", "pipe_timeout": "30s"}
HEADER = "label,a,b,c\n"
EPOCHS, BATCH = JOB["epochs"], JOB["batch_size"]


def rows(count, seed):
    generator = random.Random(seed)
    made = []
    for _ in range(count):
        numbers = [round(generator.uniform(-1, 1), 6) for _ in range(3)]
        made.append(f"{'none low high'.split()[sum(number > 0 for number in numbers) % 3]},{','.join(map(str, numbers))}\n")
    return made


def write(directory, files, header=HEADER):
    directory.mkdir(parents=True, exist_ok=True)
    for number, file in enumerate(files):
        (directory / f"part-{number:05}.csv").write_text(header + "".join(file))


def taken(sizes, shard, position):
    """How many of an epoch's first positions are the shard's: halves of the hosts get theirs in proportion, and so within each."""
    while len(sizes) > 1:
        middle = len(sizes) // 2
        left = sum(sizes[:middle]) * position // sum(sizes) if sum(sizes) else 0
        if shard < middle:
            sizes, position = sizes[:middle], left
        else:
            sizes, shard, position = sizes[middle:], shard - middle, position - left
    return position


def as_steps_take_them(hosts):
    sizes = [len(host) for host in hosts]
    order = []
    for begin in range(0, sum(sizes), BATCH):
        end = min(sum(sizes), begin + BATCH)
        for number, host in enumerate(hosts):
            order += host[taken(sizes, number, begin):taken(sizes, number, end)]
    assert sorted(order) == sorted(sum(hosts, []))
    return order


def alone(directory, train, validation, **hyperparameters):
    """Parameters and metrics of one host's single rank."""
    write(directory / "train", [train])
    write(directory / "validation", [validation])
    names = ("ranks_per_host", "threads_per_rank", "pipe_timeout")
    options = {name: value for name, value in {**JOB, **hyperparameters}.items() if name not in names}
    _, parameters = common.train(directory, {name: directory / name for name in ("train", "validation")}, **options)
    return parameters, common.metrics(directory, "epoch")


def check(made, parameters, evaluations, samples):
    found = load_file(made[0].base / "model" / "model.safetensors")
    tolerance = common.tolerance(steps=EPOCHS * -(-samples // BATCH))
    assert common.relative_difference(found, parameters) <= tolerance, made.outputs()
    own = common.metrics(made[0].base, "epoch")
    assert len(own) == len(evaluations) == EPOCHS
    for one, other in zip(own, evaluations):
        for name in ("train_loss", "validation_loss", "validation_accuracy"):
            assert abs(one[name] - other[name]) <= tolerance * max(1, abs(other[name])), (name, one, other)
    for host in made.hosts:
        assert host.failure() is None
        assert not list((host.directory / "tmp").iterdir()), f"{host.name} leaves files"


def names(count):
    return [f"algo-{number + 1}" for number in range(count)]


def channels(made, **about):
    """What SageMaker says of the channels, on all hosts."""
    common_keys = {"ContentType": "text/csv", "RecordWrapperType": "None", "TrainingInputMode": "File"}
    for host in made.hosts:
        host.write("inputdataconfig", {name: {**common_keys, **keys} for name, keys in about.items()})


def train_sharded(files, ranks=1, **hyperparameters):
    """`files`: of each host, the rows in each. A host without any does not even have the directory."""
    with cluster.cluster(names(len(files))) as made:
        made.configure({}, {**JOB, "shuffle": False, "ranks_per_host": ranks, **hyperparameters})
        channels(made, train={"S3DistributionType": "ShardedByS3Key"},
                 validation={"S3DistributionType": "ShardedByS3Key", "TrainingInputMode": "FastFile"})
        hosts = []
        for number, (host, sizes) in enumerate(zip(made.hosts, files)):
            own = [rows(size, seed=10 * number + i) for i, size in enumerate(sizes)]
            hosts.append(sum(own, []))
            for channel in ("train", "validation"):
                if own:
                    write(host.base / "input" / "data" / channel, own)
        everything = as_steps_take_them(hosts)
        expected = alone(made.directory / "alone", everything, everything, shuffle=False)
        made.start().finish()
        assert f"{len(files) * ranks} on {len(files)} hosts" in made[0].output() or len(files) == 1, made.outputs()
        counts = ", ".join(f"algo-{number + 1} {len(host)}" for number, host in enumerate(hosts))
        assert (f"each host has samples of its own ({counts})" in made[0].output()) == (len(files) > 1), made.outputs()
        check(made, *expected, samples=len(everything))


def three_unequal_files_on_two_hosts():
    train_sharded([[20, 7], [31]], ranks=2)


def seven_files_and_none():
    train_sharded([[9, 1, 14, 3, 20, 2, 8], []])
    train_sharded([[], [9, 1, 14, 3, 20, 2, 8]], ranks=2)  # the leader has none, and writes the artifacts


def one_host_and_three():
    train_sharded([[20, 17]])
    train_sharded([[5, 6, 7, 8], [], [41, 1, 2]])


def hosts_without_sagemaker():
    """The hyperparameter says it where no container does; without it hosts must have the same, and are told so."""
    with cluster.cluster() as made:
        hosts = [rows(30, seed=1), rows(17, seed=2)]
        everything = as_steps_take_them(hosts)
        expected = alone(made.directory / "alone", everything, everything, shuffle=False)
        for host, own in zip(made.hosts, hosts):
            write(host.directory / "disk", [own])

        def start(**hyperparameters):
            for host in made.hosts:
                words = ["train", "--hosts", "algo-1,algo-2", "--output_dir", host.base / "output", "--model_dir", host.base / "model"]
                for channel in ("train", "validation"):
                    words += ["--channel", f"{channel}={host.directory}/disk"]
                for name, value in {**JOB, "shuffle": False, **hyperparameters}.items():
                    words += [f"--{name}", str(value)]
                host.start(words, uts=host.name, environment={"SAGEMAKER_BASE_DIR": str(host.directory / "none")})

        start()
        made.finish(expect=2)
        for host in made.hosts:
            assert "the ranks do not have the same data of channel train: rank 0 on algo-1 has 30 samples" in host.failure(), host.failure()
            assert "sharded=train" in host.failure()
        start(sharded="train,validation")
        made.finish()
        check(made, *expected, samples=len(everything))


def stopped_and_gone_on_three_times():
    """At any step, each time: shuffled, the same as without a stop. Other shards are another job."""
    with cluster.cluster() as made:
        for number, host in enumerate(made.hosts):
            host.write("checkpointconfig", {"LocalPath": str(host.base / "checkpoints")})
            for channel in ("train", "validation"):
                write(host.base / "input" / "data" / channel, [rows((33, 12)[number], seed=number)])

        def run(expect=0, **hyperparameters):
            made.configure({}, {**JOB, "epochs": 4, **hyperparameters})
            channels(made, **{name: {"S3DistributionType": "ShardedByS3Key"} for name in ("train", "validation")})
            made.start().finish(expect=expect)
            return load_file(made[0].base / "model" / "model.safetensors")

        whole = run(resume="never")
        for host in made.hosts:
            for place in (host.base / "checkpoints").glob("*"):
                for file in place.iterdir():
                    file.unlink()
                place.rmdir()
        for steps in (1, 8, 13):
            run(max_steps=steps)
        found = run()
        assert "13 steps are done" in made[0].output(), made.outputs()
        assert all((found[name] == value).all() for name, value in whole.items())
        write(made[1].base / "input" / "data" / "train", [rows(3, seed=7)] * 2)
        run(expect=2, epochs=5)
        assert "data of channel train was" in made[0].failure(), made[0].failure()


def recordio(objects):
    stream = b""
    for text in objects:
        data = text.encode()
        stream += struct.pack("<II", 0xced7230a, len(data)) + data + b"\0" * (-len(data) % 4)
    return stream


def feed(host, channel, stream, pieces=1, pause=0.0):
    """A FIFO, and who writes into it, as SageMaker's agent does."""
    place = host.base / "input" / "data" / f"{channel}_0"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.unlink(missing_ok=True)
    os.mkfifo(place)

    def write_all():
        with contextlib.suppress(BrokenPipeError), place.open("wb", buffering=0) as file:  # a reader may have had enough
            for number in range(pieces):
                file.write(stream[len(stream) * number // pieces:len(stream) * (number + 1) // pieces])
                time.sleep(pause)

    threading.Thread(target=write_all, daemon=True).start()


def piped_to_all_hosts():
    """Tables without a header, label first, as SageMaker has them, one behind the other, and the same as three Parquet files; slowly on one host, at
    once on the other."""
    with cluster.cluster() as made:
        made.configure({}, {**JOB, "shuffle": True})
        channels(made, train={"TrainingInputMode": "Pipe"}, validation={"TrainingInputMode": "Pipe", "ContentType": "application/x-parquet"})
        table = rows(47, seed=3)
        numbered = ["none low high".split().index(row.split(",")[0]) for row in table]
        table = [f"{number},{row.split(',', 1)[1]}" for number, row in zip(numbered, table)]
        parameters = alone_without_header(made.directory / "alone", table)
        streams = {"train": "".join(table).encode(), "validation": b"".join(map(parquet, (table[:20], table[20:20], table[20:])))}
        for number, host in enumerate(made.hosts):
            for channel, stream in streams.items():
                feed(host, channel, stream, pieces=(12, 1)[number], pause=0.1)
        made.start().finish()
        for host in made.hosts:
            assert "channel train is streamed (Pipe)" in host.output() and "bytes in" in host.output(), made.outputs()
        check(made, *parameters, samples=47)


def parquet(table):
    """Of rows without a header, with the names that Lockstep gives their columns."""
    cells = list(zip(*(row.strip().split(",") for row in table))) or [()] * 4
    columns = {"target": pyarrow.array(map(int, cells[0]), "int64")} | {str(i): pyarrow.array(map(float, cells[i]), "float64") for i in (1, 2, 3)}
    stream = io.BytesIO()
    pq.write_table(pyarrow.table(columns), stream)
    return stream.getvalue()


def alone_without_header(directory, table):
    for channel in ("train", "validation"):
        write(directory / channel, [table], header="")
    names = ("ranks_per_host", "threads_per_rank", "pipe_timeout")
    options = {name: value for name, value in JOB.items() if name not in names}
    _, parameters = common.train(directory, {name: directory / name for name in ("train", "validation")}, **options)
    return parameters, common.metrics(directory, "epoch")


def piped_and_sharded():
    """Objects that are wrapped in records, on three hosts of which one gets none."""
    with cluster.cluster(names(3)) as made:
        made.configure({}, {**JOB, "shuffle": False})
        about = {"TrainingInputMode": "Pipe", "S3DistributionType": "ShardedByS3Key", "RecordWrapperType": "RecordIO"}
        channels(made, train=about, validation={"S3DistributionType": "FullyReplicated"})
        files = [[rows(20, seed=1), rows(5, seed=2)], [], [rows(13, seed=3)]]
        everything = as_steps_take_them([sum(own, []) for own in files])
        expected = alone(made.directory / "alone", everything, rows(40, seed=9), shuffle=False)
        for number, (host, own) in enumerate(zip(made.hosts, files)):
            write(host.base / "input" / "data" / "validation", [rows(40, seed=9)])
            stream = recordio([HEADER + "".join(file) for file in own])
            feed(host, "train", stream, pieces=number + 1, pause=0.3)
        made.start().finish()
        assert "each host has samples of its own (algo-1 25, algo-2 0, algo-3 13)" in made[0].output(), made.outputs()
        check(made, *expected, samples=len(everything))


def refused(text, start, expect=2, **hyperparameters):
    """The job ends with a reason, and leaves nothing in its directory for what it reads."""
    with cluster.cluster(["algo-1"]) as made:
        made.configure({}, {**JOB, **hyperparameters})
        channels(made, train={"TrainingInputMode": "Pipe", "RecordWrapperType": "RecordIO"})
        start(made)
        made.finish(60, expect=expect)
        place = f"channel train: its stream {made[0].base}/input/data/train_0"
        assert text.replace("STREAM", place) in made[0].failure(), made[0].failure()
        assert not list((made[0].directory / "tmp").iterdir()), "something is left behind"


def streams_that_fail():
    stream = recordio([HEADER + "".join(rows(20, seed=1)), HEADER + "".join(rows(5, seed=2))])

    def fed(bytes_of_it, **how):
        def start(made):
            feed(made[0], "train", bytes_of_it, **how)
            made.start()
        return start

    refused("STREAM has not come within 2 s (pipe_timeout)", lambda made: made.start(), pipe_timeout="2s")
    refused("STREAM has ended without a byte", fed(b""))
    refused("it ends in the middle of record 1, which begins at byte ", fed(stream[:-7], pieces=3, pause=0.2))
    refused("STREAM, at byte 0: expected record 0 of RecordIO", fed(b"0,1,2,3\n" * 9))
    refused("STREAM stands still after ", fed(stream, pieces=2, pause=8), pipe_timeout="2s")

    def opened_by_nobody(made):
        place = made[0].base / "input" / "data" / "train_0"
        place.parent.mkdir(parents=True)
        os.mkfifo(place)
        made.start()

    refused("STREAM has brought no byte within 2 s", opened_by_nobody, pipe_timeout="2s")

    def stopped(made):
        feed(made[0], "train", stream, pieces=50, pause=0.2)
        made.start()
        made.wait_for("bytes so far")
        made[0].signal(15)

    refused("the job was stopped by signal 15", stopped, expect=143, log_every=0.5)


def a_stream_that_fails_ends_all_hosts():
    """At once, whichever host's it is: the others' writers have not even begun."""
    stream = recordio([HEADER + "".join(rows(20, seed=1))])
    for failing in range(3):
        with cluster.cluster(names(3)) as made:
            made.configure({}, {**JOB, "hosts_timeout": "300s", "pipe_timeout": "300s"})
            channels(made, train={"TrainingInputMode": "Pipe", "RecordWrapperType": "RecordIO"})
            feed(made[failing], "train", stream[:-7])
            made.start().finish(60, expect=2)
            for host in made.hosts:
                assert f"channel train: its stream {made[failing].base}/input/data/train_0" in host.failure(), made.outputs()
                assert host is made[failing] or host.failure().startswith(made[failing].name + ": ") or failing == 0, host.failure()


if __name__ == "__main__":
    cluster.isolated()
    common.main(three_unequal_files_on_two_hosts, seven_files_and_none, one_host_and_three, hosts_without_sagemaker,
                stopped_and_gone_on_three_times, piped_to_all_hosts, piped_and_sharded, streams_that_fail,
                a_stream_that_fails_ends_all_hosts)
