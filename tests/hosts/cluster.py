"""Several hosts on one machine: each has network, mount, UTS and PID namespaces of its own, with a base directory as in a SageMaker
container, and runs `lockstep train` as PID 1. Needs root, or user namespaces; everything vanishes with the process that calls
`isolated`."""

import contextlib
import json
import os
import pathlib
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "judges"))
import common  # noqa: E402

NETWORK = "10.77.0"


def isolated():
    """Runs this program again in namespaces of its own, where it may make interfaces and mounts."""
    own, outside, root = os.readlink("/proc/self/ns/net"), os.environ.get("LOCKSTEP_OUTSIDE"), os.environ.get("LOCKSTEP_ROOT")
    if outside:
        assert own != outside, "unshare has not made a network namespace"
        if root:
            here = os.getcwd()
            subprocess.run(["mount", "--rbind", "/", root], check=True)
            os.chroot(root)
            os.chdir(here)
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run"], check=True)
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        for name in ("hosts", "resolv.conf"):  # what a host's own are mounted over; a bare system has none
            if not os.path.exists(f"/etc/{name}"):
                layers = [f"/run/etc-{name}-{layer}" for layer in ("upper", "work")]
                for layer in layers:
                    os.mkdir(layer)
                subprocess.run(["mount", "-t", "overlay", "overlay", "-o", f"lowerdir=/etc,upperdir={layers[0]},workdir={layers[1]}",
                                "/etc"], check=True)
                pathlib.Path(f"/etc/{name}").touch()
        return
    spaces = ["unshare", *([] if os.geteuid() == 0 else ["--user", "--map-root-user"]), "--net", "--mount"]
    environment = os.environ | {"LOCKSTEP_OUTSIDE": own}
    if subprocess.run([*spaces, "true"], stderr=subprocess.DEVNULL).returncode == 0:
        sys.exit(subprocess.run([*spaces, sys.executable, *sys.argv], env=environment).returncode)
    # In a chroot, whose root is no mount point: there it has to become one before mounts can be kept from the outside.
    if " shared:" in pathlib.Path("/proc/self/mountinfo").read_text():
        sys.exit("no namespaces can be made here without leaving mounts behind; run this test outside of the chroot")
    root = tempfile.mkdtemp(prefix="lockstep-root-")
    code = subprocess.run([*spaces, "--propagation", "unchanged", sys.executable, *sys.argv],
                          env=environment | {"LOCKSTEP_ROOT": root}).returncode
    os.rmdir(root)
    sys.exit(code)


def ip(*words):
    subprocess.run(["ip", *map(str, words)], check=True)


def processes_in(space):
    return [int(pid) for pid in subprocess.run(["ip", "netns", "pids", space], capture_output=True, text=True).stdout.split()]


def ranks_in(space):
    def is_rank(pid):
        try:
            return os.readlink(f"/proc/{pid}/exe").endswith("lockstep-rank")
        except OSError:
            return False
    return [pid for pid in processes_in(space) if is_rank(pid)]


def hears(pid, number):
    """Whether the process handles the signal, or reads it as lockstep does, or there is nothing that one could wait for."""
    if number in (signal.SIGKILL, signal.SIGSTOP, signal.SIGCONT):
        return True
    try:
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return True
    masks = re.findall(r"Sig(?:Blk|Cgt):\s*(\w+)", status)
    return any(int(mask, 16) >> (number - 1) & 1 for mask in masks) or "State:\tZ" in status


class Host:
    def __init__(self, cluster, name, number):
        self.cluster, self.name, self.number = cluster, name, number
        self.directory = cluster.directory / name
        self.base = self.directory / "ml"
        self.address = f"{NETWORK}.{number + 10}"
        self.space = f"{cluster.bridge}-{number}"
        self.process, self.pid_space = None, True
        self.volumes = {}  # place below the base directory → the directory that is mounted there
        (self.base / "input" / "config").mkdir(parents=True)
        (self.directory / "tmp").mkdir()
        self.hosts_file = self.directory / "hosts"
        self.hosts_file.write_text("127.0.0.1 localhost\n")
        (self.directory / "resolv.conf").write_text("")

    def connect(self):
        ip("netns", "add", self.space)
        ip("link", "add", f"{self.space}v", "type", "veth", "peer", "name", self.cluster.interface, "netns", self.space)
        ip("link", "set", f"{self.space}v", "master", self.cluster.bridge, "up")
        ip("-n", self.space, "address", "add", f"{self.address}/24", "dev", self.cluster.interface)
        ip("-n", self.space, "link", "set", self.cluster.interface, "up")
        ip("-n", self.space, "link", "set", "lo", "up")

    def cut(self):
        ip("link", "set", f"{self.space}v", "down")

    def write(self, name, value):
        (self.base / "input" / "config" / f"{name}.json").write_text(json.dumps(value))

    def know(self, hosts):
        """Makes names resolve; the file is mounted, so it is written in place."""
        with self.hosts_file.open("a") as file:
            for host in hosts:
                file.write(f"{host.address} {host.name}\n")

    def inside(self, command, uts=None, pid=True, clock=0):
        """The words that run `command` on this host; its monotonic clock is `clock` seconds ahead of the others'."""
        mounts = (f"mount --bind {self.hosts_file} /etc/hosts; mount --bind {self.directory}/resolv.conf /etc/resolv.conf; "
                  "mount -t tmpfs tmpfs /dev/shm; ")
        for place, source in sorted(self.volumes.items()):  # outer ones first
            place = shlex.quote(str(self.base / place))
            mounts += f"mkdir -p {place}; mount --bind {shlex.quote(str(source))} {place}; "
        spaces = ["--pid", "--fork", "--kill-child", "--mount-proc"] if pid else []
        spaces += ["--time", "--monotonic", clock] if clock else []
        return ["ip", "netns", "exec", self.space, "unshare", "--uts", "--mount", *map(str, spaces), "/bin/sh", "-c",
                f'hostname {uts or "ip-" + self.address.replace(".", "-")}; {mounts} exec "$0" "$@"', *map(str, command)]

    def start(self, arguments=("train",), uts=None, pid=True, environment=None, program=common.BIN / "lockstep", clock=0):
        self.log = (self.directory / "log").open("w+")
        self.pid_space = pid
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("SM_", "SAGEMAKER_", "OMPI_", "PMIX_"))}
        self.process = subprocess.Popen(
            self.inside([program, *arguments], uts, pid, clock), stdin=subprocess.DEVNULL, stdout=self.log,
            stderr=subprocess.STDOUT,
            env={**kept, "SAGEMAKER_BASE_DIR": str(self.base), "TMPDIR": str(self.directory / "tmp"), **(environment or {})})
        return self

    def launcher(self):
        """The launcher's process, as this program sees it."""
        if not self.pid_space:
            return self.process.pid
        end = time.monotonic() + 10
        while time.monotonic() < end:
            children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
            if children and "lockstep" in pathlib.Path(f"/proc/{children[0]}/cmdline").read_text().split("\0")[0]:
                return int(children[0])
            time.sleep(0.01)
        raise AssertionError(f"the launcher of {self.name} has not started")

    def signal(self, number):
        """Once the launcher hears it: before, what starts it would die of it, and a PID 1 would not get it."""
        pid, end = self.launcher(), time.monotonic() + 10
        while not hears(pid, number) and time.monotonic() < end:
            time.sleep(0.002)
        os.kill(pid, number)

    def processes(self):
        return processes_in(self.space)

    def ranks(self):
        return ranks_in(self.space)

    def output(self):
        self.log.flush()
        return (self.directory / "log").read_text()

    def wait(self, seconds):
        """The exit code."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} has not ended after {seconds} s; {self.cluster.outputs()}") from None

    def failure(self):
        path = self.base / "output" / "failure"
        return path.read_text() if path.exists() else None


class Cluster:
    """`names` in any order; the naturally first leads."""
    count = 0

    def __init__(self, directory, names=("algo-1", "algo-2"), interface="eth0"):
        Cluster.count += 1
        self.directory, self.interface, self.bridge = pathlib.Path(directory), interface, f"ls{Cluster.count}"
        ip("link", "add", self.bridge, "type", "bridge")
        ip("link", "set", self.bridge, "up")
        self.hosts = [Host(self, name, number) for number, name in enumerate(names)]
        for host in self.hosts:
            host.connect()
            host.know(self.hosts)

    def __getitem__(self, index):
        return self.hosts[index]

    def configure(self, channels, hyperparameters, resources=None):
        """Writes the three files of each host; `resources(host)` may change what its resourceconfig.json says."""
        names = [host.name for host in self.hosts]
        for host in self.hosts:
            host.write("hyperparameters", {name: value if isinstance(value, str) else json.dumps(value)
                                           for name, value in hyperparameters.items()})
            resource = {"current_host": host.name, "hosts": names, "network_interface_name": self.interface}
            host.write("resourceconfig", {**resource, **(resources(host) if resources else {})})
            host.write("inputdataconfig", {name: {"TrainingInputMode": "File"} for name in channels})
            for name, path in channels.items():
                place = host.base / "input" / "data" / name
                place.parent.mkdir(exist_ok=True)
                if not place.exists():
                    place.symlink_to(path)

    def start(self, **options):
        for host in self.hosts:
            host.start(**options)
        return self

    def finish(self, seconds=120, expect=0):
        """Waits until all have ended, and checks their exit codes and that nothing is left of them."""
        end = time.monotonic() + seconds
        codes = [host.wait(max(0.1, end - time.monotonic())) for host in self.hosts]
        expected = expect if isinstance(expect, list) else [expect] * len(codes)
        assert codes == expected, f"exit codes {codes}, expected {expected}; {self.outputs()}"
        for host in self.hosts:
            assert not host.processes(), f"{host.name} has left processes"
        return self

    def wait_for(self, text, host=0, seconds=60):
        end = time.monotonic() + seconds
        while text not in self.hosts[host].output():
            assert time.monotonic() < end, f"{text!r} was not said; {self.outputs()}"
            assert self.hosts[host].process.poll() is None or text in self.hosts[host].output(), self.outputs()
            time.sleep(0.02)

    def outputs(self):
        return "\n".join(f"--- {host.name}\n{host.output() if host.process else ''}" for host in self.hosts)

    def close(self):
        for host in self.hosts:
            if host.process and host.process.poll() is None:
                for pid in host.processes():
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                host.process.wait()
            ip("netns", "delete", host.space)
        ip("link", "delete", self.bridge)


@contextlib.contextmanager
def cluster(*arguments, **options):
    with common.temporary_directory() as directory:
        made = Cluster(directory, *arguments, **options)
        try:
            yield made
        finally:
            made.close()
