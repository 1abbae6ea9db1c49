"""Whatever is lost, every host ends, with a code, a reason and no process left."""

import contextlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import threading
import time

import cluster
import common

JOB = {"model": "mlp", "epochs": 100000, "batch_size": 8, "ranks_per_host": 1, "threads_per_rank": 1, "export": "none",
       "hosts_timeout": "20s", "log_every": "0.2"}
SECONDS = 15


def configure(made, samples, **changes):
    channel = made.directory / "data"
    common.write_channel(channel, *common.images(samples))
    made.configure({"train": channel}, {**JOB, **changes})


def training(made, ranks, **options):
    """Starts a job that would go on for hours, and returns when its ranks train."""
    configure(made, 512, ranks_per_host=ranks)
    made.start(**options)
    made.wait_for("step=")
    return made


def ends(made, codes, *texts, hosts=None, start=None):
    """All hosts end in time, counted from `start` or now, with these codes and with every text in their reasons."""
    start = start or time.monotonic()
    for host, code in zip(hosts or made.hosts, codes):
        found = host.wait(max(0.1, SECONDS - (time.monotonic() - start)))
        assert found == code, f"{host.name}: {found}, expected {code}; {made.outputs()}"
        for text in texts:
            assert host.failure() and text in host.failure(), f"{host.name}: {host.failure()}"
        assert not host.processes(), f"{host.name} has left processes"
        assert not list((host.base / "model").iterdir()) if (host.base / "model").exists() else True


def nothing_is_left(host):
    """Of a host whose launcher was killed: its ranks find that out by themselves."""
    end = time.monotonic() + SECONDS
    while host.processes():
        assert time.monotonic() < end, f"{host.name} has left processes"
        time.sleep(0.05)


def each(*kinds, ranks=1):
    """Once with the launcher as PID 1 and once without a PID namespace, where orphans would live on."""
    for pid in kinds or (True, False):
        with cluster.cluster(("algo-1", "algo-2", "algo-3")) as made:
            yield training(made, ranks, pid=pid)


def a_killed_rank_is_named_on_every_host():
    for made in each(ranks=2):
        os.kill(made[1].ranks()[0], signal.SIGKILL)
        ends(made, [3, 3, 3], "on algo-2 was ended by signal 9 (Killed)", "; it was last in step ", "phase ", "collective ")


def a_lost_launcher_of_a_host():
    for made in each():
        made[1].signal(signal.SIGKILL)
        made[1].wait(5)
        ends(made, [5, 5], "host algo-2 is lost", hosts=[made[0], made[2]])
        nothing_is_left(made[1])


def a_lost_leader():
    for made in each():
        made[0].signal(signal.SIGKILL)
        made[0].wait(5)
        ends(made, [5, 5], "the leader algo-1 is lost", hosts=made.hosts[1:])
        nothing_is_left(made[0])


def a_cut_link():
    for made in each(True):
        start = time.monotonic()
        made[2].cut()
        ends(made, [5, 5], "host algo-3 is lost", hosts=made.hosts[:2], start=start)
        ends(made, [5], "the leader algo-1 is lost", hosts=[made[2]], start=start)


def a_cut_link_of_the_leader():
    for made in each(True):
        start = time.monotonic()
        made[0].cut()
        ends(made, [5], "is lost", hosts=[made[0]], start=start)
        ends(made, [5, 5], "the leader algo-1 is lost", hosts=made.hosts[1:], start=start)


def a_host_lost_during_check_in():
    with cluster.cluster(("algo-1", "algo-2", "algo-3")) as made:
        configure(made, 64)
        made[0].start()
        made[1].start()
        made.wait_for("algo-2 is here")
        made[1].signal(signal.SIGKILL)
        ends(made, [5], "host algo-2 is lost", hosts=[made[0]])


@contextlib.contextmanager
def with_rank_3(script):
    """A job of 2 hosts × 2 ranks in which a shell script stands in front of rank 3."""
    with cluster.cluster() as made:
        programs = made.directory / "programs"
        programs.mkdir()
        for name in os.listdir(common.BIN):
            if name not in ("lockstep", "lockstep-rank"):
                (programs / name).symlink_to(common.BIN / name)
        shutil.copy(common.BIN / "lockstep", programs)
        rank = programs / "lockstep-rank"
        rank.write_text(f'#!/bin/sh\nif [ "$OMPI_COMM_WORLD_RANK" = 3 ]; then {script}; fi\nexec {common.BIN}/lockstep-rank "$@"\n')
        rank.chmod(0o755)
        configure(made, 64, ranks_per_host=2, hosts_timeout="6s")
        for host in made.hosts:
            host.start(program=programs / "lockstep")
        yield made


def a_rank_that_leaves_with_success_before_it_has_met_the_others():
    with with_rank_3("exit 0") as made:
        ends(made, [3, 3], "MPI has not started within 6 s: not all ranks have come")


def a_rank_that_leaves_with_success_while_it_trains():
    with common.temporary_directory() as directory:
        source = pathlib.Path(directory) / "leave.c"
        source.write_text("#include <pthread.h>\n#include <unistd.h>\n"
                          "static void* leave(void* unused) { sleep(3); _exit(0); }\n"
                          "__attribute__((constructor)) static void start(void) {\n"
                          "  pthread_t thread; pthread_create(&thread, 0, leave, 0); }\n")
        library = source.with_suffix(".so")
        subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source, "-pthread"], check=True)
        with with_rank_3(f"export LD_PRELOAD={library}") as made:
            made.wait_for("step=")
            codes = [host.wait(SECONDS) for host in made.hosts]
            assert codes[0] == codes[1] != 0, f"{codes} {made.outputs()}"
            for host in made.hosts:
                assert "rank 3 on algo-2 has ended without telling the others" in host.failure(), f"{host.failure()} {made.outputs()}"


def another_secret_is_refused():
    with cluster.cluster() as made:
        configure(made, 64, hosts_timeout="5s")
        made[0].start(environment={"LOCKSTEP_JOB_SECRET": "the right one"})
        made[1].start(environment={"LOCKSTEP_JOB_SECRET": "a guess"})
        ends(made, [2], "the leader algo-1 refuses this host: algo-2 has another secret", hosts=[made[1]])
        ends(made, [5], "missing: algo-2 (1 of 2 hosts are here); algo-2 has another secret", hosts=[made[0]])
        for host in made.hosts:
            assert "the right one" not in host.output() + host.failure() and "a guess" not in host.output() + host.failure()


def the_right_secret_is_accepted():
    with cluster.cluster() as made:
        configure(made, 64, epochs=1)
        made.start(environment={"LOCKSTEP_JOB_SECRET": "the right one"}).finish(30)


def the_secret_may_be_a_file_in_a_channel():
    """As a tuning job gives it, whose environment does not arrive; each host has the file in a place of its own."""
    for guess, codes in (("the right one", [0, 0]), ("a guess", [5, 2])):
        with cluster.cluster() as made:
            secrets = made.directory / "secrets"
            secrets.mkdir()
            common.write_channel(made.directory / "data", *common.images(64))
            made.configure({"train": made.directory / "data", "secret": secrets}, {})
            for host, content in zip(made.hosts, ("the right one\n", guess)):
                (secrets / host.name).write_text(content)
                job = {**JOB, "epochs": 1, "hosts_timeout": "5s", "secret_file": str(host.base / "input" / "data" / "secret" / host.name)}
                host.write("hyperparameters", {name: str(value) for name, value in job.items()})
            made.start().finish(30, expect=codes)
            if guess == "a guess":
                assert "algo-2 has another secret" in made[0].failure(), made.outputs()
            assert not any(word in made.outputs() for word in ("the right one", "a guess")), made.outputs()


@contextlib.contextmanager
def strangers(address, count=80):
    """Connect again and again: with garbage, half a message, a message that is none, and nothing; and stay."""
    stop = threading.Event()
    sent = (b"GET / HTTP/1.1\r\n\r\n", b'{"host":"algo-2"', b'{"host":7}\n', b"[]\n", b"\xff\x00\n", b'{"host":"www.example.org"}\n', b"{}\n" * 100000, b"")
    connected = []

    def knock():
        kept = []
        while not stop.is_set():
            with contextlib.suppress(OSError):
                one = socket.create_connection((address, 7788), timeout=1)
                one.sendall(sent[len(connected) % len(sent)])
                connected.append(1)
                kept = (kept + [one])[-count:]
            time.sleep(0.005)

    thread = threading.Thread(target=knock)
    thread.start()
    try:
        yield connected
    finally:
        stop.set()
        thread.join()


def strangers_change_nothing():
    with cluster.cluster() as made:
        subprocess.run(["ip", "address", "add", f"{cluster.NETWORK}.1/24", "dev", made.bridge], check=True)
        configure(made, 64, epochs=1)
        made[0].start()
        made.wait_for("leads")
        with strangers(made[0].address) as connected:
            time.sleep(1)
            assert len(connected) > 70, "nobody has knocked"
            start = time.monotonic()
            made[1].start()
            made.wait_for("algo-2 is here", seconds=5)
            assert time.monotonic() - start < 5
            made.finish(30)


def a_stranger_is_never_admitted():
    """Who reports as a host, with the right job, from an address that is not the host's."""
    with cluster.cluster(("algo-1", "algo-2", "stranger")) as made:
        channel = made.directory / "data"
        common.write_channel(channel, *common.images(64))
        made.configure({"train": channel}, {**JOB, "hosts_timeout": "4s"}, lambda host: {
            "current_host": "algo-1" if host is made[0] else "algo-2", "hosts": ["algo-1", "algo-2"]})
        text = f"{made[2].address} says that it is algo-2, which resolves to {made[1].address}"
        made[0].start()
        made[2].start()
        ends(made, [5, 5], text, hosts=[made[0], made[2]])
        assert "missing: algo-2" in made[0].failure()


def a_taken_port():
    with cluster.cluster() as made:
        configure(made, 64, hosts_timeout="4s")
        taken = subprocess.Popen(made[0].inside(["python3", "-c", "import socket, time; s = socket.socket(); s.bind(('', 7788)); "
                                                 "s.listen(); print('taken', flush=True); time.sleep(60)"], pid=False),
                                 stdout=subprocess.PIPE)
        taken.stdout.readline()
        made.start()
        assert made[0].wait(SECONDS) == 2 and "cannot listen on port 7788: Address already in use" in made[0].failure()
        assert made[1].wait(SECONDS) == 5 and "algo-2 could not join its leader, algo-1 at port 7788" in made[1].failure()
        taken.kill()
        taken.wait()


def two_jobs_on_the_same_hosts():
    """Each pair of launchers in the same network namespaces, at ports of their own, at the same time."""
    with cluster.cluster() as made:
        configure(made, 256, epochs=5)
        made.start(pid=False)
        others = []
        for host in made.hosts:
            base = host.directory / "other"
            (base / "input").mkdir(parents=True)
            (base / "input" / "config").symlink_to(host.base / "input" / "config")
            (base / "input" / "data").symlink_to(host.base / "input" / "data")
            others.append(subprocess.Popen(
                host.inside([common.BIN / "lockstep", "train", "--hosts_port", "7790"], pid=False),
                env={**os.environ, "SAGEMAKER_BASE_DIR": str(base), "TMPDIR": str(host.directory / "tmp")},
                stdout=subprocess.DEVNULL))
        assert [host.wait(60) for host in made.hosts] == [0, 0], made.outputs()
        assert [other.wait(60) for other in others] == [0, 0]


def ssh_starts_a_clusters_ranks():
    """launcher=ssh: one command on one machine, here with an `ssh` that enters the other's namespace."""
    with cluster.cluster(("node-1", "node-2")) as made:
        channel = made.directory / "data"
        common.write_channel(channel, *common.images(64))
        programs = made.directory / "programs"
        programs.mkdir()
        ssh = programs / "ssh"
        ssh.write_text('#!/bin/sh\nwhile [ "${1#-}" != "$1" ]; do shift; done\nhost=$1; shift\n'
                       f'[ "$host" = node-2 ] || exit 1\nexec ip netns exec {made[1].space} unshare --uts '
                       'env -i PATH="$PATH" HOME="$HOME" /bin/sh -c "hostname $host; $*"\n')  # sshd hands nothing on
        ssh.chmod(0o755)
        shutil.rmtree(made[0].base / "input")
        made[0].start(uts="node-1", environment={"PATH": f"{programs}:{os.environ['PATH']}"}, arguments=[
            "train", "--hosts", "node-2,node-1", "--launcher", "ssh", "--channel", f"train={channel}", "--model", "mlp",
            "--epochs", "1", "--batch_size", "8", "--ranks_per_host", "2", "--threads_per_rank", "1", "--export", "none",
            "--output_dir", made.directory / "output"])
        assert made[0].wait(60) == 0, made[0].output()
        assert "4 on 2 hosts, led by node-1" in made[0].output(), made[0].output()


def hosts_that_a_command_names_meet():
    """Without SageMaker's files: the same command on each machine."""
    with cluster.cluster(("node-1.cluster.local", "node-2.cluster.local")) as made:
        channel = made.directory / "data"
        common.write_channel(channel, *common.images(64))
        for host in made.hosts:
            shutil.rmtree(host.base / "input")
            host.start(uts=host.name.split(".")[0], arguments=[
                "train", "--hosts", "node-1.cluster.local,node-2.cluster.local", "--channel", f"train={channel}", "--model", "mlp", "--epochs", "1",
                "--batch_size", "8", "--threads_per_rank", "1", "--export", "none", "--output_dir", host.directory / "output"])
        made.finish(60)
        assert "2 on 2 hosts, led by node-1.cluster.local" in made[0].output()


if __name__ == "__main__":
    cluster.isolated()
    common.main(a_killed_rank_is_named_on_every_host, a_lost_launcher_of_a_host, a_lost_leader, a_cut_link, a_cut_link_of_the_leader,
                a_host_lost_during_check_in, a_rank_that_leaves_with_success_before_it_has_met_the_others,
                a_rank_that_leaves_with_success_while_it_trains, another_secret_is_refused,
                the_right_secret_is_accepted, the_secret_may_be_a_file_in_a_channel, strangers_change_nothing, a_stranger_is_never_admitted, a_taken_port,
                two_jobs_on_the_same_hosts, ssh_starts_a_clusters_ranks, hosts_that_a_command_names_meet)
