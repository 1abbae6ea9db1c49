"""A real Slurm: its controller and login node, and three compute nodes, as namespaces of this machine. Needs root, and the packages
that docker/install.sh full installs."""

import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time

import cluster
import common
import numpy as np
import stalling
from safetensors.numpy import load_file

SOAK = "LOCKSTEP_SOAK" in os.environ
LOCKSTEP = common.BIN / "lockstep"
EXAMPLE = pathlib.Path(__file__).resolve().parents[2] / "examples" / "cluster" / "slurm.sbatch"
PMIX = ("--mpi=pmix", "--cpu-bind=none")
NODES = 3
CONF = """ClusterName=lockstep
SlurmctldHost=login
AuthInfo=socket={0}/munge,cred_expire=5
SlurmUser=root
SlurmdUser=root
StateSaveLocation={0}/state
SlurmdSpoolDir={0}/spool
TmpFS={0}/tmp
SlurmctldPidFile={0}/state/slurmctld.pid
SlurmdPidFile={0}/spool/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/builtin
SchedulerParameters=sched_interval=1,batch_sched_delay=0
SlurmdParameters=config_overrides
GresTypes=gpu
ReturnToService=2
MailProg=/bin/true
NodeName=n[1-{1}] CPUs=4 Gres=gpu:2 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP OverSubscribe=FORCE
"""


class Slurm:
    """A node has its own directory for PMIx and one for slurmd, as every machine has; all else is shared."""

    def __init__(self, directory):
        for program in ("munged", "slurmctld", "slurmd", "srun"):
            assert shutil.which(program), f"{program} is not installed: docker/install.sh full"
        self.directory = pathlib.Path(directory)
        self.cluster = cluster.Cluster(self.directory, ["login", *[f"n{number + 1}" for number in range(NODES)]])
        self.login, *self.nodes = self.cluster.hosts
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("SM_", "SLURM", "OMPI_", "PMI"))}
        self.environment = kept | {"SLURM_CONF": f"{directory}/slurm.conf", "TMPDIR": f"{directory}/tmp",
                                   "PATH": f"{common.BIN}:{os.environ['PATH']}"}
        for name in ("spool", "tmp", "state"):
            (self.directory / name).mkdir()
        (self.directory / "slurm.conf").write_text(CONF.format(directory, NODES))
        # Without control groups to ask for: a namespace's /sys has none.
        (self.directory / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\nCgroupAutomount=no\n")
        # Slurm gives these away as GPUs; CUDA sees none.
        (self.directory / "gres.conf").write_text("Name=gpu File=/dev/null\nName=gpu File=/dev/zero\n")
        subprocess.run(["mungekey", "--create", f"--keyfile={directory}/key"], check=True)
        self.daemons = []

    def start(self):
        place = self.directory
        self.daemon(self.login, "munged", "--foreground", "--force", f"--key-file={place}/key", f"--socket={place}/munge",
                    f"--pid-file={place}/munge.pid", f"--seed-file={place}/munge.seed", f"--log-file={place}/munge.log")
        self.daemon(self.login, "slurmctld", "-D", "-c")
        for node in self.nodes:
            own = "; ".join(f"mount -t tmpfs tmpfs {place}/{name}" for name in ("spool", "tmp"))
            self.daemon(node, "sh", "-c", f"{own}; exec slurmd -D", pid=True)
        end = time.monotonic() + 60
        while self.run("sinfo", "-h", "-N", "-o", "%T", expect=None).stdout.split() != ["idle"] * NODES:
            assert time.monotonic() < end, self.logs()
            time.sleep(0.1)

    def daemon(self, host, *command, pid=False):
        log = (self.directory / f"{host.name}-{command[0]}.log").open("w")
        self.daemons.append(subprocess.Popen(host.inside(command, host.name, pid), stdin=subprocess.DEVNULL, stdout=log,
                                             stderr=subprocess.STDOUT, env=self.environment))

    def logs(self):
        return "\n".join(f"--- {path.name}\n{path.read_text()[-2000:]}" for path in sorted(self.directory.glob("*.log")))

    def popen(self, *command, cwd=None, **variables):
        """On the login node, in a process group of its own."""
        return subprocess.Popen(self.login.inside(command, "login", False), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, text=True, env=self.environment | variables, cwd=cwd, start_new_session=True)

    def run(self, *command, expect=0, seconds=60, **variables):
        process = self.popen(*command, **variables)
        try:
            output, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise AssertionError(f"{command} has not ended after {seconds} s:\n{process.communicate()[0]}") from None
        assert expect is None or process.returncode == expect, f"{command}: {process.returncode}\n{output}"
        return subprocess.CompletedProcess(command, process.returncode, output)

    def wait_until_over(self, seconds=60):
        """No job is there any more, and no process of one."""
        end = time.monotonic() + seconds
        while self.run("squeue", "-h").stdout or any(cluster.ranks_in(node.space) for node in self.nodes):
            assert time.monotonic() < end, self.run("squeue").stdout
            time.sleep(0.1)

    def close(self):
        for host in self.cluster.hosts:
            for pid in host.processes():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        for process in self.daemons:
            process.wait()
        self.cluster.close()


class Job:
    """A job's directory, which all nodes see."""
    count = 0
    DEFAULTS = {"model": "cnn", "model_norm": "none", "model_dropout": 0, "precision": "fp64", "epochs": 2, "batch_size": 24,
                "momentum": 0.9, "threads_per_rank": 1, "export": "safetensors", "artifact_state": "last", "hosts_timeout": "20s",
                "log_every": 0.1}

    def __init__(self, slurm, **hyperparameters):
        Job.count += 1
        self.slurm, self.directory = slurm, slurm.directory / f"job-{Job.count}"
        self.directory.mkdir()
        self.hyperparameters = {**self.DEFAULTS, **hyperparameters}
        self.channels = {"train": slurm.directory / "data"}
        self.file = self.directory / "job.json"
        self.file.write_text(json.dumps({"channels": {name: str(path) for name, path in self.channels.items()},
                                         "model_dir": "model", "output_dir": "output", "checkpoint_dir": "checkpoints",
                                         **self.hyperparameters}))
        self.command = (LOCKSTEP, "train", self.file)

    def parameters(self):
        return load_file(self.directory / "model" / "model.safetensors")

    def failure(self):
        path = self.directory / "output" / "failure"
        return path.read_text() if path.exists() else None

    def newest(self):
        found = sorted((self.directory / "checkpoints").glob("step-*"))
        return found[-1].name if found else None

    def steps(self):
        """That the newest checkpoint holds."""
        return int(self.newest().removeprefix("step-"))

    def wait_for_step(self, seconds=60):
        """Until it has trained some steps."""
        path, end = self.directory / "output" / "data" / "metrics.jsonl", time.monotonic() + seconds
        while not path.exists() or '"epoch"' not in path.read_text():
            assert time.monotonic() < end, self.slurm.logs()
            time.sleep(0.05)

    def check(self, expected):
        assert self.failure() is None, self.failure()
        assert common.relative_difference(self.parameters(), expected) <= common.tolerance(steps=20)

    def check_undisturbed(self, steps):
        """To the bit what a job holds that makes so many steps at one go."""
        undisturbed = Job(self.slurm, epochs=100000, max_steps=steps)
        self.slurm.run("srun", "-N2", "-n2", *PMIX, *undisturbed.command)
        found, expected = self.parameters(), undisturbed.parameters()
        assert all(np.array_equal(found[name], expected[name]) for name in expected)


def form(nodes, tasks):
    """As evenly as it goes; Slurm itself would fill one node first."""
    return f"-N{nodes}", f"-n{tasks}", f"--ntasks-per-node={-(-tasks // nodes)}"


class Checks:
    def __init__(self, slurm):
        self.slurm = slurm
        common.write_channel(slurm.directory / "data", *common.images(200))
        _, self.expected = common.train(slurm.directory / "alone", {"train": slurm.directory / "data"},
                                        **{name: value for name, value in Job.DEFAULTS.items() if name != "threads_per_rank"})

    def job(self, **hyperparameters):
        return Job(self.slurm, **hyperparameters)

    def srun_of_any_form_trains_what_one_rank_does(self):
        for nodes, tasks in ((1, 1), (1, 2), (2, 2), (2, 4), (2, 3)):
            job = self.job()
            output = self.slurm.run("srun", *form(nodes, tasks), *PMIX, *job.command).stdout
            assert f"{tasks} on {nodes} hosts" in output or nodes == 1, output
            job.check(self.expected)

    def mpirun_in_an_allocation_trains_too(self):
        job = self.job()
        self.slurm.run("salloc", "-N2", "-n3", "mpirun", "--allow-run-as-root", "--bind-to", "none", *job.command)
        job.check(self.expected)

    def who_is_a_rank_is_decided_from_evidence_that_agrees(self):
        job = self.job()
        output = self.slurm.run("srun", "-N2", "-n2", "--mpi=none", *job.command, expect=2).stdout
        assert "srun has started 2 tasks (SLURM_STEP_NUM_TASKS)" in output and "srun --mpi=pmix" in job.failure(), output
        self.slurm.run("srun", "-n2", "--mpi=pmi2", *job.command, expect=2)
        assert "PMI_RANK=" in job.failure() and "srun --mpi=pmix" in job.failure(), job.failure()
        # An interactive shell, whose variables stay when a job has ended in it, and go with all that is submitted there.
        command = " ".join(map(str, job.command))
        output = self.slurm.run("srun", "-n1", "--mpi=pmix", "sh", "-c", f"{command} && rm -r {job.directory}/model {job.directory}/"
                                f"checkpoints && {command} --ranks_per_host 2").stdout
        assert len(re.findall("ranks +2 on", output)) == 1, output
        job.check(self.expected)
        log = job.directory / "log"
        self.slurm.run("srun", "-n1", "--mpi=pmix", "sbatch", "-W", "-n1", "-o", log, "--wrap", command, expect=2)
        assert "PMIX_NAMESPACE=slurm.pmix" in job.failure() and "env -u PMIX_RANK" in job.failure(), log.read_text()

    def gpus_that_cuda_does_not_see_are_not_passed_over(self):
        job = self.job(max_steps=2)
        self.slurm.run("srun", "-n2", "--gres=gpu:2", *PMIX, *job.command, expect=2)
        assert "SLURM_GPUS_ON_NODE=2" in job.failure() and "CUDA sees none" in job.failure(), job.failure()
        for device in ("auto", "cpu"):
            output = self.slurm.run("srun", "-n2", "--gres=gpu:2", *PMIX, *job.command, "--device", device).stdout
            assert output.count("WARNING: Slurm has given this job GPUs") == 1, output

    def a_killed_rank_ends_the_others_and_is_named(self):
        """By SIGKILL, as when memory runs out: srun itself lets the others wait for ever."""
        for nodes, tasks, killed in ((2, 2, 1), (2, 2, 0), (1, 2, 1), (2, 4, 3)):
            job = self.job(epochs=100000)
            # Each task's node writes its output: what comes last may not reach an srun that ends the step.
            process = self.slurm.popen("srun", "-o", job.directory / "said-%t", *form(nodes, tasks), *PMIX, *job.command)
            job.wait_for_step()
            node = self.slurm.nodes[killed * nodes // tasks]
            os.kill(sorted(node.ranks())[killed % (tasks // nodes)], signal.SIGKILL)
            output, _ = process.communicate(timeout=20)
            assert process.returncode != 0
            stalling.says(job.failure(), f"rank {killed} on {node.name} is gone", "; it was last in ")
            self.slurm.wait_until_over()
            said = "".join(path.read_text() for path in job.directory.glob("said-*"))
            assert said.count("is gone") == 1, said

    def a_rank_that_the_others_wait_for_is_named(self):
        """In whatever phase it was. Only Slurm can be rid of a rank that is stopped on another node, and srun without -K waits for it."""
        for nodes, tasks, stopped in ((2, 2, 1), (2, 2, 0), *(((1, 2, 1), (2, 4, 3)) if SOAK else ())):
            job = self.job(epochs=100000, phase_timeout="3s", rare_phase_timeout="60s")
            process = self.slurm.popen("srun", *form(nodes, tasks), *PMIX, *job.command)
            job.wait_for_step()
            node = self.slurm.nodes[stopped * nodes // tasks]
            os.kill(sorted(node.ranks())[stopped % (tasks // nodes)], signal.SIGSTOP)
            start = time.monotonic()
            output, _ = process.communicate(timeout=30)
            assert process.returncode != 0 and time.monotonic() - start < 3 + 5 + 3, output  # a beat is due after a second, and missed after three
            for text in (f"rank {stopped} on {node.name} (pid ", "stands still for", "phase ", "collective "):
                assert text in job.failure(), f"{text!r}: {job.failure()}\n{output}"
            self.slurm.wait_until_over()

    def a_rank_that_leaves_without_a_word_ends_the_others(self):
        """With exit code 0, which srun takes for success."""
        job = self.job(epochs=100000, precision="fp32")
        process = self.slurm.popen("srun", "-N2", "-n2", *PMIX, *job.command, **stalling.fault(job.directory, "reduce_leave", 1, at=30))
        output, _ = process.communicate(timeout=40)
        assert process.returncode != 0, output
        stalling.says(job.failure(), "rank 1 on n2 is gone", "; it was last in ")
        self.slurm.wait_until_over()

    def hosts_meet_in_an_allocation(self):
        """mpirun must not ask Slurm for nodes, nor start its daemons by it."""
        job = self.job()
        names = ",".join(node.name for node in self.slurm.nodes[:2])
        output = self.slurm.run("srun", "-N2", "-n2", *job.command, "--hosts", names, "--ranks_per_host", "2").stdout
        assert "4 on 2 hosts, led by n1" in output, output
        job.check(self.expected)
        for variables in ({}, {"SLURM_NODELIST": "elsewhere[1-9]", "SLURM_JOB_NODELIST": "elsewhere[1-9]"}):
            job = self.job()
            self.slurm.run("salloc", "-N2", "-n2", "env", *[f"{name}={value}" for name, value in variables.items()],
                           *job.command, "--ranks_per_host", "2")
            job.check(self.expected)

    def stopped_by_a_signal_it_goes_on_undisturbed(self):
        """scancel and time limits send SIGTERM, --signal and scancel -s what they are told to."""
        for signal_name in (("-s", "USR1"), ()):
            job = self.job(epochs=100000)
            process = self.slurm.popen("srun", "-N2", "-n2", f"-J{job.directory.name}", *PMIX, *job.command)
            job.wait_for_step()
            self.slurm.run("scancel", *signal_name, "-n", job.directory.name)
            output, _ = process.communicate(timeout=40)
            self.slurm.wait_until_over()
            assert job.newest() and job.failure() is None, f"{job.failure()}\n{output}"
            steps = job.steps() + 20
            output = self.slurm.run("srun", "-N2", "-n2", *PMIX, *job.command, "--max_steps", str(steps)).stdout
            assert "resumed from" in output, output
            job.check_undisturbed(steps)

    def a_signal_while_the_ranks_load_is_not_lost(self):
        for number in (signal.SIGUSR1, signal.SIGTERM):
            job = self.job(epochs=100000, exit_code_when_stopped=85)
            process = self.slurm.popen("srun", "-N2", "-n2", *PMIX, *job.command)
            end = time.monotonic() + 20
            while not all(node.ranks() for node in self.slurm.nodes[:2]):
                assert time.monotonic() < end
            for node in self.slurm.nodes[:2]:
                os.kill(node.ranks()[0], number)
            output, _ = process.communicate(timeout=40)
            assert process.returncode == 85 and "stopped on request" in output and job.failure() is None, output

    def the_batch_command_stops_with_all_its_processes(self):
        """SIGTERM reaches the launcher, mpirun and the ranks at once."""
        job = self.job(epochs=100000, exit_code_when_stopped=85)
        log = job.directory / "log"
        script = job.directory / "script"
        script.write_text(f"#!/bin/sh\nexec {' '.join(map(str, job.command))} --ranks_per_host 2\n")
        self.slurm.run("sbatch", "-n2", "-o", log, f"-J{job.directory.name}", script)
        job.wait_for_step()
        self.slurm.run("scancel", "-n", job.directory.name)
        self.slurm.wait_until_over()
        assert "the checkpoint is complete" in log.read_text() and job.failure() is None, log.read_text()
        assert job.newest()

    def the_example_is_queued_again_when_it_was_stopped(self):
        """And goes on, bit for bit, until scancel ends it."""
        job = self.job(epochs=100000)
        log = job.directory / "log"
        # In a minute's limit the signal is due at once; Slurm looks twice a minute.
        limit = ("--time=1", "--signal=USR1@60") if SOAK else ()
        self.slurm.run("sbatch", "-N2", "--ntasks-per-node=1", "--gpus-per-node=0", *limit, "-o", log, f"-J{job.directory.name}",
                       EXAMPLE, "--log_every", "0.1", cwd=job.directory)
        job.wait_for_step()
        if not SOAK:
            self.slurm.run("scancel", "-s", "USR1", "-n", job.directory.name)
        end = time.monotonic() + 120
        while not re.search("resumed from(.|\n)*epoch=(.|\n)*epoch=", log.read_text()):
            assert time.monotonic() < end, f"{log.read_text()}\n{self.slurm.run('squeue').stdout}"
            time.sleep(0.1)
        first = job.newest()
        self.slurm.run("scancel", "-n", job.directory.name)
        self.slurm.wait_until_over()
        assert job.newest() > first and job.failure() is None, log.read_text()
        job.check_undisturbed(job.steps())


def main():
    cluster.isolated()
    with common.temporary_directory() as directory:
        slurm = Slurm(directory)
        try:
            slurm.start()
            checks = Checks(slurm)
            wanted = sys.argv[1:] or [name for name in vars(Checks) if not name.startswith("_") and name != "job"]
            for name in wanted:
                start = time.monotonic()
                getattr(checks, name)()
                slurm.wait_until_over()
                print(f"ok: {name}, {time.monotonic() - start:.1f} s", flush=True)
        except BaseException:
            print(slurm.logs(), flush=True)
            raise
        finally:
            slurm.close()


if __name__ == "__main__":
    main()
