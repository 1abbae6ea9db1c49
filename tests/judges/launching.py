"""Jobs that are started in other ways, and jobs that end badly."""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess

import common
from stalling import says

BATCH = ["--model", "mlp", "--batch_size", "16", "--threads_per_rank", "1"]


class Job:
    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        common.write_channel(self.directory / "train", *common.images(256))
        self.arguments = ["train", "--channel", f"train={self.directory / 'train'}", "--model_dir", self.directory / "model",
                          "--output_dir", self.directory / "output", *BATCH]

    def start(self, *more):
        """Starts a job that would train for hours, in a process group of its own, and waits for its first step."""
        job = subprocess.Popen([common.BIN / "lockstep", *map(str, self.arguments), "--ranks_per_host", "2", "--epochs",
                                "1000000", "--log_every", "0.1", *more], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               text=True, start_new_session=True)
        for line in job.stdout:
            if line.startswith("epoch"):
                return job
        raise AssertionError("the job ended before its first step")

    @contextlib.contextmanager
    def model_directory_on_tmpfs(self, options, flag="--model_dir"):
        place = self.directory / "tmpfs"
        place.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", place], check=True)
        try:
            self.arguments[self.arguments.index(flag) + 1] = place
            yield place
        finally:
            subprocess.run(["umount", place], check=True)

    def failure(self):
        return (self.directory / "output" / "failure").read_text()


job = common.in_directory(Job)


def ranks_of(process):
    """The pids of the job's ranks: descendants named lockstep-rank."""
    found, queue = [], [process.pid]
    while queue:
        pid = queue.pop()
        for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            queue.append(int(child))
            if pathlib.Path(f"/proc/{child}/comm").read_text().strip() == "lockstep-rank":
                found.append(int(child))
    return sorted(found)


def gone(pids):
    return not any(pathlib.Path(f"/proc/{pid}").exists() for pid in pids)


def mpirun(*arguments, expect=0):
    root = ["--allow-run-as-root"] if os.geteuid() == 0 else []
    result = subprocess.run(["mpirun", *root, "--oversubscribe", *map(str, arguments)], capture_output=True, text=True,
                            timeout=120)
    output = result.stdout + result.stderr
    assert result.returncode == expect, f"exit code {result.returncode}:\n{output}"
    return output


@job
def a_killed_rank_ends_the_job_and_is_named(j):
    process = j.start()
    ranks = ranks_of(process)
    assert len(ranks) == 2
    os.kill(ranks[1], signal.SIGKILL)
    output, _ = process.communicate(timeout=15)
    assert process.returncode == 3, output
    says(j.failure(), " on localhost was ended by signal 9 (Killed)", "; it was last in step ")
    assert j.failure() in output, output
    assert gone(ranks)


@job
def a_signal_to_the_launcher_stops_all_ranks(j):
    for number in (signal.SIGTERM, signal.SIGINT):
        for more, code in (((), 0), (("--export", "none"), 128 + number)):
            process = j.start(*more)
            ranks = ranks_of(process)
            process.send_signal(number)
            output, _ = process.communicate(timeout=30)
            assert process.returncode == code, output
            assert gone(ranks)
    assert "nothing was saved" in j.failure()


@job
def ranks_that_nobody_watches_leave_a_reason(j):
    """Started by a bare mpirun, as by srun: no launcher of ours can say later why they have ended."""
    root = ["--allow-run-as-root"] if os.geteuid() == 0 else []
    process = subprocess.Popen(["mpirun", *root, "--oversubscribe", "-np", "2", common.BIN / "lockstep", *map(str, j.arguments), "--epochs",
                                "1000000", "--log_every", "0.1", "--export", "none"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               text=True, start_new_session=True)
    next(line for line in process.stdout if line.startswith("epoch"))
    process.send_signal(signal.SIGUSR1)  # mpirun hands it on
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 4 and "and nothing was saved" in j.failure(), output
    # What all ranks share is said once, and written on every host: each may have a disk of its own.
    empty = j.directory / "empty"
    empty.mkdir()
    command = [common.BIN / "lockstep", *j.arguments, "--channel", f"validation={empty}"]
    places = [j.directory / "first", j.directory / "second"]
    output = mpirun("-np", 1, *command, "--output_dir", places[0], ":", "-np", 1, *command, "--output_dir", places[1], expect=2)
    assert output.count("lockstep: error:") == 1, output
    for place in places:
        assert "holds no data" in (place / "failure").read_text()


@job
def under_mpirun_it_is_a_rank(j):
    (j.directory / "output").mkdir()
    (j.directory / "output" / "failure").write_text("of an earlier job")
    output = mpirun("-np", 3, common.BIN / "lockstep", *j.arguments, "--max_steps", 4)
    assert f"3 on {socket.gethostname()}" in output
    assert len([line for line in output.splitlines() if "read back and compared" in line]) == 3
    assert not (j.directory / "output" / "failure").exists()


@job
def a_rank_killed_under_mpirun_alone_is_named(j):
    """mpirun ends the others, and none of Lockstep's launchers is there to say why."""
    root = ["--allow-run-as-root"] if os.geteuid() == 0 else []
    process = subprocess.Popen(["mpirun", *root, "--oversubscribe", "-np", "2", common.BIN / "lockstep", *map(str, j.arguments),
                                "--epochs", "1000000", "--log_every", "0.1"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert any(line.startswith("epoch") for line in iter(process.stdout.readline, ""))
    os.kill(ranks_of(process)[1], signal.SIGKILL)
    output, _ = process.communicate(timeout=15)
    assert process.returncode != 0, output
    says(j.failure(), f"rank 1 on {socket.gethostname()} is gone", "; it was last in step ")


@job
def a_rank_that_has_no_memory_left_says_who_holds_it(j):
    """The layer of a step is larger than what the ranks may have."""
    (j.directory / "train" / "inputs").unlink()
    (j.directory / "train" / "targets").unlink()
    (j.directory / "train").rmdir()
    common.write_channel(j.directory / "train", *common.images(4096))
    options = ["--ranks_per_host", "2", "--model_hidden", "[200000]", "--batch_size", "4096", "--optimizer", "adamw", "--max_steps", "2"]
    result = subprocess.run(["sh", "-c", 'ulimit -d 1500000; exec "$@"', "sh", common.BIN / "lockstep", *map(str, j.arguments), *options],
                            capture_output=True, text=True, timeout=60)
    assert result.returncode == 3, result.stdout + result.stderr
    for text in (" on localhost: ", "out of memory", "who holds what of this rank's memory", "MiB  parameters", "MiB  gradients",
                 "MiB  optimizer", "of all else: activations", "to change: micro_batch_size", "shard_optimizer=true"):
        assert text in j.failure(), f"{text!r}: {j.failure()}"


@job
def a_stopped_job_may_have_an_exit_code_of_its_own(j):
    process = j.start("--exit_code_when_stopped", "85")
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 85 and "stopped on request" in output, output
    assert not (j.directory / "output" / "failure").exists()
    common.run([*j.arguments, "--exit_code_when_stopped", 85, "--max_steps", 2])


@job
def ranks_that_were_given_different_jobs_refuse(j):
    command = [common.BIN / "lockstep", *j.arguments, "--max_steps", 4]
    output = mpirun("-np", 1, *command, "--seed", 1, ":", "-np", 1, *command, "--seed", 1, "--learning_rate", 0.5, expect=2)
    assert 'rank 0 has hyperparameter learning_rate = "0.01", rank 1 has hyperparameter learning_rate = "0.5"' in output
    assert output.count("lockstep: error:") == 1
    other = j.directory / "other"
    common.write_channel(other, *common.images(256, seed=9))
    there = [f"train={other}" if str(word).startswith("train=") else word for word in command]
    output = mpirun("-np", 1, *command, ":", "-np", 1, *there, expect=2)
    assert "data of channel train" in output
    assert not (j.directory / "model" / "model.pt2").exists()


@job
def one_ranks_missing_file_is_everyones_error(j):
    command = [common.BIN / "lockstep", *j.arguments, "--max_steps", 4]
    empty = j.directory / "empty"
    empty.mkdir()
    there = [f"train={empty}" if str(word).startswith("train=") else word for word in command]
    output = mpirun("-np", 2, *command, ":", "-np", 1, *there, expect=2)
    assert "rank 2 of 3: " in output and "holds no data" in output
    assert output.count("lockstep: error:") == 1


@job
def a_diverging_job_says_so_once(j):
    output = common.run([*j.arguments, "--ranks_per_host", 2, "--learning_rate", 1e30, "--epochs", 3], expect=3)
    assert "training has diverged" in output and output.count("lockstep: error:") == 1
    assert "step" in j.failure()
    assert not (j.directory / "model" / "model.pt2").exists()


@job
def a_container_needs_no_argument(j):
    """The three configuration files, hyperparameters as SageMaker's estimators encode them, and nothing else."""
    base = j.directory / "ml"
    config = base / "input" / "config"
    config.mkdir(parents=True)
    common.write_channel(base / "input" / "data" / "training", *common.images(64))
    (config / "hyperparameters.json").write_text(json.dumps(
        {"model": "\"mlp\"", "epochs": "1", "batch_size": "\"16\"", "sagemaker_region": "\"eu-west-1\"",
         "model_dir": "\"s3://bucket/prefix/model\""}))
    (config / "resourceconfig.json").write_text(json.dumps({"current_host": "algo-1", "hosts": ["algo-1"], "topology": None}))
    (config / "inputdataconfig.json").write_text(json.dumps({"training": {"TrainingInputMode": "File"}}))
    (base / "input" / "data" / "training-manifest").write_text("{}")
    success, failure = base / "output" / "success", base / "output" / "failure"
    for arguments in ([], ["train"]):
        result = subprocess.run([common.BIN / "lockstep", *arguments], capture_output=True, text=True, timeout=120,
                                env=os.environ | {"SAGEMAKER_BASE_DIR": str(base), "TRAINING_JOB_NAME": "a-job"})
        assert result.returncode == 0, result.stdout + result.stderr
        assert "job a-job" in result.stdout and "1 on algo-1" in result.stdout
        assert "s3://bucket/prefix/model is not written to" in result.stdout
        assert (base / "model" / "model.pt2").exists()
        assert (base / "output" / "data" / "metrics.jsonl").exists()
        assert success.read_bytes() == b"" and not failure.exists()
        (base / "model" / "model.pt2").unlink()


    common.run(["--epochs", "many"], expect=2, environment={"SAGEMAKER_BASE_DIR": str(base)})
    assert failure.exists() and not success.exists()
    common.run([*j.arguments, "--max_steps", 2])
    assert not (j.directory / "output" / "success").exists()  # nobody looks for it there


@job
def a_container_need_not_be_root_nor_write_its_input(j):
    """Started as somebody else (from a copy: the checkout may be root's alone), who may write to output only."""
    base = j.directory / "ml"
    config = base / "input" / "config"
    config.mkdir(parents=True)
    (base / "output").mkdir()
    (config / "hyperparameters.json").write_text(json.dumps({"data": "synthetic"}))
    program = shutil.copy(common.BIN / "lockstep", j.directory / "lockstep")
    other = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}
    if other:
        os.chown(base / "output", 65534, 65534)
    for directory in (config, base / "input", base):
        directory.chmod(0o555)
    j.directory.chmod(0o755)

    def lockstep(command):
        result = subprocess.run([program, command], capture_output=True, text=True, timeout=60, cwd="/",
                                env=os.environ | {"SAGEMAKER_BASE_DIR": str(base)}, **other)
        return result.returncode, result.stdout + result.stderr

    code, output = lockstep("plan")
    assert code == 0 and "data      synthetic" in output and "allow-run-as-root" not in output, output
    config.chmod(0o444)  # as SageMaker has been seen to make it
    code, output = lockstep("train")
    assert code == 2 and "resourceconfig.json: Permission denied" in output, output
    assert "Permission denied" in (base / "output" / "failure").read_text()
    for directory in (base, base / "input", config):
        directory.chmod(0o755)


@job
def variables_of_a_rank_that_do_not_agree_are_refused(j):
    """As an interactive shell of a cluster has them: a job that believed them would train alone what several ranks should, or end
    in MPI without a `failure`."""
    for variables, text in (({"PMI_RANK": "1", "PMI_SIZE": "4"}, "PMI_RANK=1"), ({"PMIX_RANK": "0"}, "PMIX_NAMESPACE is not set"),
                            ({"OMPI_COMM_WORLD_RANK": "0"}, "PMIX_RANK is not set"),
                            ({"PMIX_RANK": "0", "PMIX_NAMESPACE": "7", "PMIX_SERVER_URI2": "7.0;tcp4://127.0.0.1:1"},
                             "nobody answers there"),
                            ({"SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "2"}, "srun --mpi=pmix")):
        output = common.run(j.arguments, expect=2, environment=variables)
        assert text in output and text in j.failure(), output
    assert not (j.directory / "model" / "model.pt2").exists()
    output = mpirun("-np", 2, common.BIN / "lockstep", *j.arguments, "--ranks_per_host", 3, expect=2)
    assert "ranks_per_host=3, and this process is rank 0 of 2" in output and output.count("lockstep: error:") == 1, output


@job
def an_unwritable_model_directory_is_refused_at_once(j):
    with j.model_directory_on_tmpfs("ro") as place:
        output = common.run([*j.arguments, "--ranks_per_host", 2], expect=2)
        assert str(place) in output and "Read-only" in output and "epoch" not in output, output


@job
def a_read_only_output_directory_is_named(j):
    """For what it is, not for a file of an earlier job that is not in it."""
    with j.model_directory_on_tmpfs("ro", "--output_dir") as place:
        output = common.run([*j.arguments, "--ranks_per_host", 2], expect=2)
        assert f"cannot write into the directory {place}: Read-only file system" in output and "earlier" not in output, output


@job
def a_plan_starts_nothing(j):
    output = common.run(["plan", *j.arguments[1:], "--ranks_per_host", 2])
    assert "2 ranks" in output and "mpirun -np 2" in output
    assert not (j.directory / "model").exists() and not (j.directory / "output").exists()


@job
def one_host_needs_no_ssh(j):
    programs = j.directory / "programs"
    programs.mkdir()
    (programs / "mpirun").symlink_to(shutil.which("mpirun"))
    common.run([*j.arguments, "--ranks_per_host", 2, "--max_steps", 2], environment={"PATH": str(programs)})


@job
def a_schedulers_variables_do_not_reach_mpirun(j):
    """In an allocation that names other hosts, or whose plugin mpirun would ask for them."""
    (j.directory / "hosts").write_text("elsewhere 2 all.q UNDEFINED\n")
    for variables in ({"SLURM_JOB_ID": "7", "SLURM_JOBID": "7", "SLURM_NODELIST": "elsewhere[1-2]", "SLURM_TASKS_PER_NODE": "1(x2)",
                       "SLURM_JOB_NUM_NODES": "2"},
                      {"SGE_ROOT": "/sge", "ARC": "lx-amd64", "JOB_ID": "7", "PE_HOSTFILE": str(j.directory / "hosts")}):
        output = common.run([*j.arguments, "--ranks_per_host", 2, "--max_steps", 2], environment=variables)
        assert "2 on localhost" in output, output


@job
def a_full_disk_is_an_error(j):
    """The model directory on a file system too small for the artifacts."""
    with j.model_directory_on_tmpfs("size=64k") as place:
        output = common.run([*j.arguments, "--ranks_per_host", 2, "--max_steps", 2], expect=3)
        assert "No space left" in output and output.count("lockstep: error:") == 1, output
        assert not any(place.iterdir()), list(place.iterdir())


if __name__ == "__main__":
    common.main(a_killed_rank_ends_the_job_and_is_named, a_signal_to_the_launcher_stops_all_ranks,
                ranks_that_nobody_watches_leave_a_reason, under_mpirun_it_is_a_rank, a_rank_killed_under_mpirun_alone_is_named,
                a_rank_that_has_no_memory_left_says_who_holds_it, a_stopped_job_may_have_an_exit_code_of_its_own,
                ranks_that_were_given_different_jobs_refuse,
                one_ranks_missing_file_is_everyones_error, a_diverging_job_says_so_once, a_container_needs_no_argument,
                a_container_need_not_be_root_nor_write_its_input, variables_of_a_rank_that_do_not_agree_are_refused,
                an_unwritable_model_directory_is_refused_at_once, a_read_only_output_directory_is_named, a_plan_starts_nothing,
                one_host_needs_no_ssh, a_schedulers_variables_do_not_reach_mpirun, a_full_disk_is_an_error)
