"""One host whose surroundings are odd: for each, how a job ends, what it says, and that nothing of it is left.

A case is a line of shell that makes the surroundings, in mount and UTS namespaces of its own, and what must come of it."""

import ctypes
import dataclasses
import fcntl
import json
import os
import pathlib
import re
import shlex
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import cluster
import common

SECONDS = 60
MPIRUN = shutil.which("mpirun")
SMALL = {"model": "mlp", "data": "synthetic", "synthetic_samples": 64, "batch_size": 16, "max_steps": 3, "export": "safetensors",
         "ranks_per_host": 2, "threads_per_rank": 1, "log_every": "0.001"}
# The jobs that something happens to: they go on until then.
LONG = {**SMALL, "max_steps": None, "epochs": 10**6}


@dataclasses.dataclass
class Case:
    name: str
    before: str = ""  # shell, in which $CASE is a directory of the case's own
    code: int = 0
    says: str = ""  # a regular expression: in `failure` if the code is not 0, else in the output
    environment: dict = dataclasses.field(default_factory=dict)  # None: is not set
    options: dict = dataclasses.field(default_factory=dict)
    arguments: list = dataclasses.field(default_factory=list)  # in place of the options; $CASE is replaced
    shm: str = "64m"
    network: bool = True
    happens: object = None  # called with the running job
    silent: str = ""  # what the output must not hold


class Job:
    """One case, being run."""

    def __init__(self, case, directory):
        self.case, self.directory = case, pathlib.Path(directory)
        self.places = {name: self.directory / name for name in ("tmp", "TMPDIR", "shm")}
        for place in self.places.values():
            place.mkdir()
            place.chmod(0o1777)
        self.output_dir, self.model_dir = self.directory / "output", self.directory / "model"
        self.directory.chmod(0o755)
        self.mark = f"LOCKSTEP_CASE={self.directory.name}"

    def start(self):
        options = {**SMALL, **self.case.options, "model_dir": self.model_dir, "output_dir": self.output_dir}
        arguments = ["train", *(f"--{name}={value}" for name, value in options.items() if value is not None)]
        arguments = [word.replace("$CASE", str(self.directory)) for word in self.case.arguments or arguments]
        environment = os.environ | {"CASE": str(self.directory), "TMPDIR": str(self.places["TMPDIR"]), "LOCKSTEP_CASE": self.directory.name,
                                    "PROGRAM": str(common.BIN / "lockstep")}
        environment |= {name: value and value.replace("$CASE", str(self.directory)) for name, value in self.case.environment.items()}
        script = (f"mount -t tmpfs -o size={self.case.shm} tmpfs $CASE/shm; mount --bind $CASE/shm /dev/shm; mount --bind $CASE/tmp /tmp; "
                  f"mkdir -p /run/none; {self.case.before}\nexec \"$PROGRAM\" \"$@\"")
        # The mounts of /dev/shm and TMPDIR can be looked into from outside as long as somebody is in there: the keeper.
        self.keeper = subprocess.Popen(["unshare", "--mount", "--uts", *([] if self.case.network else ["--net"]), "sleep", "1000"])
        self.inside = ["nsenter", f"--target={self.keeper.pid}", "--mount", "--uts", *([] if self.case.network else ["--net"])]
        while b"sleep" not in pathlib.Path(f"/proc/{self.keeper.pid}/cmdline").read_bytes()[:5]:
            time.sleep(0.005)
        self.process = subprocess.Popen([*self.inside, "/bin/bash", "-c", script, "bash", *arguments], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=self.directory, start_new_session=True,
                                        env={name: value for name, value in environment.items() if value is not None})
        self.text, self.read_on = b"", threading.Event()
        self.read_on.set()
        self.reader = threading.Thread(target=self.read)
        self.reader.start()

    def read(self):
        while piece := os.read(self.process.stdout.fileno(), 4096):
            self.text += piece
            self.read_on.wait()

    def output(self):
        return self.text.decode(errors="replace")

    def wait_for(self, pattern):
        end = time.monotonic() + SECONDS
        while not re.search(pattern, self.output()):
            assert self.process.poll() is None and time.monotonic() < end, f"{pattern!r} was not said:\n{self.output()}"
            time.sleep(0.01)

    def processes(self, program=""):
        found = []
        for entry in pathlib.Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and self.mark.encode() in (entry / "environ").read_bytes().split(b"\0"):
                    if program in os.readlink(entry / "exe"):
                        found.append(int(entry.name))
            except OSError:
                pass
        return found

    def launcher(self):
        return self.process.pid  # every program in front of it becomes the next

    def failure(self):
        path = self.output_dir / "failure"
        return path.read_text() if path.exists() else ""

    def finish(self):
        try:
            code = self.process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it has not ended after {SECONDS} s:\n{self.output()}") from None
        finally:
            self.read_on.set()
        for _ in range(100):  # what has been killed takes a moment to be gone
            if not self.processes():
                break
            time.sleep(0.01)
        assert not self.processes(), f"processes are left: {self.processes()}"
        self.reader.join(SECONDS)
        assert code == self.case.code, f"exit code {code}, expected {self.case.code}:\n{self.output()}"
        listing = subprocess.run([*self.inside, "ls", "-A", "/dev/shm", "/tmp", self.places["TMPDIR"]], capture_output=True, text=True, check=True).stdout
        left = [word for word in listing.split() if not word.endswith(":") and word not in ("full", "kept")]
        assert not left, f"files are left: {listing}"
        if code == 0:
            assert not self.failure(), self.failure()
            assert re.search(self.case.says, self.output()), f"{self.case.says!r} was not said:\n{self.output()}"
        else:
            assert re.search(self.case.says, self.failure()), f"failure lacks {self.case.says!r}: {self.failure()!r}\n{self.output()}"
            assert "lockstep: error: " in self.output(), self.output()
            assert not (self.model_dir / "model.safetensors").exists()
        assert not (self.case.silent and re.search(self.case.silent, self.output())), self.output()

    def close(self):
        for pid in self.processes():
            os.kill(pid, signal.SIGKILL)
        self.process.wait()
        self.reader.join(1)
        self.keeper.kill()
        self.keeper.wait()


def run(case):
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="lockstep-case-", dir="/run") as directory:  # /tmp is one of the case's own
        job = Job(case, directory)
        job.start()
        try:
            if case.happens:
                case.happens(job)
            job.finish()
        except Exception as error:
            raise AssertionError(f"{case.name}: {error}") from error
        finally:
            job.close()
    print(f"ok: {case.name} ({time.monotonic() - start:.1f} s)", flush=True)


def libtorch():
    libraries = subprocess.run(["ldd", common.BIN / "lockstep-rank"], capture_output=True, text=True, check=True).stdout
    return re.search(r"=> (\S*/libtorch_cpu\.so)", libraries)[1]


def forbid_process_vm_readv():
    """A program that runs its arguments without this system call, as containers do: a seccomp filter, which answers EPERM."""
    libc = ctypes.CDLL(None, use_errno=True)
    readv, load, jump_equal, result = 310, 0x20, 0x15, 0x06
    filters = [(load, 0, 0, 0), (jump_equal, 0, 1, readv), (result, 0, 0, 0x00050001), (result, 0, 0, 0x7FFF0000)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *one) for one in filters))
    program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(filters), ctypes.addressof(code)))
    assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, program, 0, 0) == 0, os.strerror(ctypes.get_errno())
    os.execv(sys.argv[2], sys.argv[2:])


def sent(*numbers, after=" step="):
    def happens(job):
        job.wait_for(after)
        for number in numbers:
            os.kill(job.launcher(), number)
            time.sleep(0.3)
    return happens


def mpirun_is_killed(job):
    job.wait_for(" step=")
    [mpirun] = [pid for pid in job.processes() if pathlib.Path(f"/proc/{pid}/comm").read_text().startswith("mpirun")]
    os.kill(mpirun, signal.SIGKILL)


def nobody_reads(job):
    """Until the artifacts are there; then, after a while, somebody asks the job to end."""
    fcntl.fcntl(job.process.stdout, fcntl.F_SETPIPE_SZ, 4096)  # a sixteenth of what the steps print, however late we look
    job.wait_for("step ")
    job.read_on.clear()
    end = time.monotonic() + SECONDS
    while not (job.model_dir / "model.safetensors").exists():
        assert time.monotonic() < end and job.process.poll() is None, job.output()
        time.sleep(0.05)
    time.sleep(2)
    assert job.process.poll() is None, "the pipe was not full"
    os.kill(job.launcher(), signal.SIGTERM)
    assert job.process.wait(10) == 0


if sys.argv[1:2] == ["forbid"]:  # the cases start this program in front of another
    forbid_process_vm_readv()

LONG_NAME = "a-host-whose-name-is-as-long-as-names-of-pods-are-now-and-then"
FAKE = "mkdir $CASE/bin; printf '#!/bin/sh\\n%s\\n' {script} > $CASE/bin/mpirun; chmod +x $CASE/bin/mpirun; export PATH=$CASE/bin:$PATH"
HANGS = FAKE.format(script=shlex.quote(f'if [ "$1" = --version ]; then exec {MPIRUN} --version; fi; exec sleep 1000'))
NEVER_ANSWERS = FAKE.format(script=shlex.quote("exec sleep 1000"))
CONTAINER = "mkdir -p $CASE/ml/input/config; "
RO = "mount -t tmpfs -o ro tmpfs "
FIFO = {"code": 2, "says": "is a pipe"}


CASES = [
    # Places for temporary files and shared memory.
    Case("nothing is odd", silent="temporary files|exchange messages|not handed on"),
    Case("read-only TMPDIR", RO + "$TMPDIR", says="temporary files are in /tmp.*Read-only"),
    Case("full TMPDIR", "mount -t tmpfs -o size=16k tmpfs $TMPDIR; cat /dev/zero > $TMPDIR/full 2>/dev/null", says="temporary files are in /tmp.*No space"),
    Case("TMPDIR is a file", environment={"TMPDIR": "/etc/passwd"}, says="temporary files are in /tmp.*Not a directory"),
    Case("read-only /tmp", RO + "/tmp", environment={"TMPDIR": None}, says="temporary files are in /dev/shm"),
    Case("no place at all", f"{RO}/tmp; {RO}/dev/shm; {RO}/var/tmp; {RO}$TMPDIR", 6, "no place for mpirun's temporary files.*set TMPDIR"),
    Case("/dev/shm of 256 kB", shm="256k", says="exchange messages through files in .*TMPDIR"),
    Case("/dev/shm of 4 MB", shm="4m", says="exchange messages through files in .*TMPDIR"),
    Case("no shared memory at all", "mount -t tmpfs -o size=1m tmpfs $TMPDIR", 6, "2 ranks of this host need 8 MiB of shared memory", shm="256k"),
    Case("deleted working directory", "mkdir $CASE/gone; cd $CASE/gone; rmdir $CASE/gone", 6, "the working directory is gone"),
    Case("no network interface", code=6, says="no network interface.*ip link set lo up", network=False),
    # Limits.
    Case("24 open files", "ulimit -n 24", 6, r"limit of open files is 24 \(ulimit -n\)"),
    Case("24 open files, which may be raised", "ulimit -Sn 24"),
    Case("small stack", "ulimit -s 64", 6, r"limit of stack is 64 \(ulimit -s\)"),
    Case("small stack, which may be raised", "ulimit -Ss 64"),
    Case("small files", "ulimit -f 100", 6, r"limit of a file's size is [0-9]+ \(ulimit -f\)"),
    Case("small address space", "ulimit -v 500000", 6, r"limit of address space is 500000 \(ulimit -v\)"),
    Case("few processes", "cp $PROGRAM $CASE; PROGRAM=$CASE/lockstep; mkdir $CASE/output; chmod 777 $CASE $CASE/output; ulimit -u 8; "
         "set -- --reuid=54321 --regid=54321 --clear-groups $PROGRAM \"$@\"; PROGRAM=$(command -v setpriv)", 6, "processes and threads that it needs: .*ulimit -u"),
    # Programs.
    Case("libtorch cannot be loaded", f"mount --bind /dev/null {libtorch()}", 6, "could not be started.*127.*error while loading shared libraries: .*libtorch_cpu"),
    Case("mpirun is killed", code=3, says=r"mpirun was ended by signal 9 \(Killed\)", options=LONG, happens=mpirun_is_killed),
    Case("mpirun fails", FAKE.format(script=shlex.quote(f'if [ "$1" = --version ]; then exec {MPIRUN} --version; fi; echo "cannot be: too odd" >&2; exit 213')),
         6, "could not be started: mpirun has ended with exit code 213; mpirun says: cannot be: too odd"),
    Case("mpirun never starts a rank", HANGS, 6, "not started within 16 s", options={"hosts_timeout": "1s"}),
    # Names and settings.
    Case("a long host name", f"hostname {LONG_NAME}"),
    Case("a user without name and home", "mount --bind /dev/null /etc/passwd", environment={"HOME": None}),
    Case("settings of another installation and of a site", environment={"OPAL_PREFIX": "/usr/local", "OMPI_MCA_rmaps_base_no_oversubscribe": "1",
         "OMPI_MCA_orte_default_hostfile": "/nowhere/hosts", "OMPI_MCA_btl_tcp_if_include": "lo"}, options={"ranks_per_host": 3},
         says="not handed on, .*: OMPI_MCA_orte_default_hostfile, OMPI_MCA_rmaps_base_no_oversubscribe, OPAL_PREFIX\n"),
    Case("the memory of other processes must not be read", f"set -- {__file__} forbid $PROGRAM \"$@\"; PROGRAM={sys.executable}",
         options={"model_hidden": 512}, silent="Read -1"),
    Case("… by ranks that a user's mpirun starts", f"set -- {__file__} forbid {MPIRUN} -np 2 --allow-run-as-root --oversubscribe $PROGRAM \"$@\"; PROGRAM={sys.executable}",
         options={"model_hidden": 512}, silent="Read -1"),
    # What is no file.
    Case("a FIFO for the job file", "mkfifo $CASE/job.json", arguments=["train", "$CASE/job.json", "--output_dir", "$CASE/output"], **FIFO),
    Case("a FIFO for hyperparameters.json", CONTAINER + "mkfifo $CASE/ml/input/config/hyperparameters.json; mkdir $CASE/ml/output; ln -s $CASE/ml/output $CASE/output",
         environment={"SAGEMAKER_BASE_DIR": "$CASE/ml"}, arguments=["train"], **FIFO),
    Case("a FIFO for resourceconfig.json", CONTAINER + "mkfifo $CASE/ml/input/config/resourceconfig.json; mkdir $CASE/ml/output; ln -s $CASE/ml/output $CASE/output",
         environment={"SAGEMAKER_BASE_DIR": "$CASE/ml"}, arguments=["train"], **FIFO),
    Case("a FIFO for a checkpoint's manifest", "mkdir -p $CASE/checkpoints/step-000000002; mkfifo $CASE/checkpoints/step-000000002/manifest.json",
         options={"checkpoint_dir": "$CASE/checkpoints"}, says="step-000000002"),
    Case("a FIFO for metrics.jsonl", "mkdir -p $CASE/output/data; mkfifo $CASE/output/data/metrics.jsonl", 3, "metrics.jsonl.*(pipe|No such device)"),
    Case("/proc for a channel", code=2, says="/proc must hold", options={"data": None, "synthetic_samples": None, "channel": "train=/proc"}),
    # Signals and readers.
    Case("SIGTERM in the first moment", NEVER_ANSWERS, 143, "stopped by signal 15", happens=lambda job: (time.sleep(1), os.kill(job.launcher(), signal.SIGTERM))),
    Case("SIGTERM while mpirun hangs", HANGS, 143, "stopped by signal 15", happens=lambda job: (time.sleep(2), os.kill(job.launcher(), signal.SIGTERM))),
    *(Case(f"{number.name} stops in good order", options=LONG, happens=sent(number), says="stopped on request")
      for number in (signal.SIGHUP, signal.SIGQUIT, signal.SIGALRM, signal.SIGUSR2)),
    Case("SIGQUIT when nothing is to be saved", code=131, says="stopped by signal 3 .*nothing was saved", options={**LONG, "export": "none"}, happens=sent(signal.SIGQUIT)),
    Case("SIGPIPE changes nothing", options=LONG, happens=sent(signal.SIGPIPE, signal.SIGTERM), says="stopped on request"),
    Case("a reader that goes away", "set -- -c '(\"$0\" \"$@\"; echo \"code $?\" >&3) | (head -1 >&2)' $PROGRAM \"$@\"; PROGRAM=/bin/sh; exec 3>&1",
         options={"max_steps": 300, "synthetic_samples": 4800}, says="code 0"),
    Case("nobody reads", options={"max_steps": 1800, "synthetic_samples": 28800}, happens=nobody_reads),
]


if __name__ == "__main__":
    cluster.isolated()
    chosen = [case for case in CASES if re.search(os.environ.get("LOCKSTEP_CASES", ""), case.name)]
    with ThreadPoolExecutor(2) as pool:
        errors = [error for error in (future.exception() for future in [pool.submit(run, case) for case in chosen]) if error]
    for error in errors:
        print(error, flush=True)
    sys.exit(1 if errors else 0)
