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
    def model_directory_on_tmpfs(self, options):
        place = self.directory / "tmpfs"
        place.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", place], check=True)
        try:
            self.arguments[self.arguments.index("--model_dir") + 1] = place
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
    assert "signal 9 (Killed)" in output and "rank" in output
    assert "signal 9" in j.failure()
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
def under_mpirun_it_is_a_rank(j):
    output = mpirun("-np", 3, common.BIN / "lockstep", *j.arguments, "--max_steps", 4)
    assert f"3 on {socket.gethostname()}" in output
    assert len([line for line in output.splitlines() if "read back and compared" in line]) == 3


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
    assert "rank 2 of 3: " in output and "no IDX file" in output
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
def a_rank_that_finds_no_other_does_not_train_alone(j):
    """As another MPI's launcher starts it: the variables say four ranks, MPI sees one."""
    result = subprocess.run([common.BIN / "lockstep", *map(str, j.arguments)], capture_output=True, text=True, timeout=60,
                            env=os.environ | {"PMI_RANK": "1", "PMI_SIZE": "4"})
    output = result.stdout + result.stderr
    assert result.returncode == 2 and "4 ranks were started, but MPI sees 1" in output, output
    assert not (j.directory / "model" / "model.pt2").exists()


@job
def an_unwritable_model_directory_is_refused_at_once(j):
    with j.model_directory_on_tmpfs("ro") as place:
        output = common.run([*j.arguments, "--ranks_per_host", 2], expect=2)
        assert str(place) in output and "Read-only" in output and "epoch" not in output, output


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
def a_full_disk_is_an_error(j):
    """The model directory on a file system too small for the artifacts."""
    with j.model_directory_on_tmpfs("size=64k") as place:
        output = common.run([*j.arguments, "--ranks_per_host", 2, "--max_steps", 2], expect=3)
        assert "No space left" in output and output.count("lockstep: error:") == 1, output
        assert not any(place.iterdir()), list(place.iterdir())


if __name__ == "__main__":
    common.main(a_killed_rank_ends_the_job_and_is_named, a_signal_to_the_launcher_stops_all_ranks, under_mpirun_it_is_a_rank,
                ranks_that_were_given_different_jobs_refuse, one_ranks_missing_file_is_everyones_error,
                a_diverging_job_says_so_once, a_container_needs_no_argument,
                a_container_need_not_be_root_nor_write_its_input, a_rank_that_finds_no_other_does_not_train_alone,
                an_unwritable_model_directory_is_refused_at_once, a_plan_starts_nothing, one_host_needs_no_ssh, a_full_disk_is_an_error)
