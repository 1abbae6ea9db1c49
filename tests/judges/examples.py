"""What a user copies: the examples do what they say. LOCKSTEP_SDK2 and LOCKSTEP_SDK3 are Pythons with SageMaker's SDK of either version."""

import functools
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import common

HERE = pathlib.Path(__file__).resolve().parent
EXAMPLES = HERE.parents[1] / "examples"
IMAGE, ROLE = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/lockstep:0.2.0", "arn:aws:iam::123456789012:role/training"


def succeed(command, **options):
    result = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=300, **options)
    assert result.returncode == 0, f"{command}: exit code {result.returncode}\n{result.stdout}{result.stderr}"
    return result.stdout


@functools.cache
def request(python, script):
    """The job that the script asks for. It sees no network; telemetry is off all the same."""
    with common.temporary_directory() as directory:
        settings = pathlib.Path(directory) / "config.yaml"
        settings.write_text('SchemaVersion: "1.0"\nSageMaker: {PythonSDK: {Modules: {TelemetryOptOut: true}}}\n')
        alone = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--net"]
        output = succeed([*alone, os.environ[python], HERE / "sagemaker_request.py", EXAMPLES / "sagemaker" / script,
                          "--image", IMAGE, "--role", ROLE, "--bucket", "a-bucket"], cwd=directory,
                         env={"PATH": os.environ["PATH"], "HOME": directory, "AWS_DEFAULT_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "none",
                              "AWS_SECRET_ACCESS_KEY": "none", "AWS_EC2_METADATA_DISABLED": "true", "PYTHONDONTWRITEBYTECODE": "1",
                              "SAGEMAKER_USER_CONFIG_OVERRIDE": str(settings)})
    return json.loads(output.splitlines()[-1])


def requests():
    return request("LOCKSTEP_SDK2", "estimator.py"), request("LOCKSTEP_SDK3", "model_trainer.py")


def sagemaker_is_asked_for_the_job():
    for body in requests():
        algorithm = body["AlgorithmSpecification"]
        assert algorithm["TrainingImage"] == IMAGE and algorithm["TrainingInputMode"] == "File", algorithm
        assert not algorithm.keys() & {"ContainerEntrypoint", "ContainerArguments"}, algorithm  # the image's own
        assert body["TrainingJobName"].startswith("lockstep-cnn-") and body["RoleArn"] == ROLE, body
        assert (body["ResourceConfig"]["InstanceType"], body["ResourceConfig"]["InstanceCount"]) == ("ml.g5.12xlarge", 2), body
        channels = {channel["ChannelName"]: channel["DataSource"]["S3DataSource"] for channel in body["InputDataConfig"]}
        assert {name: source["S3Uri"] for name, source in channels.items()} == {
            "train": "s3://a-bucket/data/train", "test": "s3://a-bucket/data/test"}, channels
        assert {source["S3DataDistributionType"] for source in channels.values()} == {"FullyReplicated"}, channels
        assert body["OutputDataConfig"]["S3OutputPath"] == "s3://a-bucket/jobs", body
        assert body["CheckpointConfig"]["S3Uri"] == "s3://a-bucket/checkpoints/cnn", body
        assert body["EnableManagedSpotTraining"] is True, body
        assert body["StoppingCondition"] == {"MaxRuntimeInSeconds": 4 * 3600, "MaxWaitTimeInSeconds": 8 * 3600}, body
        assert not body.get("DebugHookConfig") and body.get("ProfilerConfig", {}).get("DisableProfiler", True), body
    hyperparameters = [body["HyperParameters"] for body in requests()]
    assert hyperparameters[0] == hyperparameters[1] and len(hyperparameters[0]) == 8, hyperparameters


@common.in_directory(pathlib.Path)
def lockstep_takes_the_job(directory):
    """The hyperparameters as they were asked for, in one container; the metric definitions find its numbers in what it prints."""
    body, other = requests()
    assert body["AlgorithmSpecification"]["MetricDefinitions"] == other["AlgorithmSpecification"]["MetricDefinitions"]
    base = directory / "ml"
    for name in ("train", "test"):
        common.write_channel(base / "input" / "data" / name, *common.images(1024, size=12))
    files = {"hyperparameters": body["HyperParameters"] | {"epochs": "1", "warmup_steps": "1"},  # a job of two steps
             "resourceconfig": {"current_host": "algo-1", "hosts": ["algo-1"]},
             "inputdataconfig": {name: {"TrainingInputMode": "File"} for name in ("train", "test")},
             "checkpointconfig": {"LocalPath": str(directory / "checkpoints")}}
    (base / "input" / "config").mkdir()
    for name, content in files.items():
        (base / "input" / "config" / f"{name}.json").write_text(json.dumps(content))
    output = common.run(["train"], environment={"SAGEMAKER_BASE_DIR": str(base)})
    for metric in body["AlgorithmSpecification"]["MetricDefinitions"]:
        found = re.findall(metric["Regex"], output)
        assert len(set(found)) == 1 and float(found[0]) > 0, f"{metric}: {found} in\n{output}"
    assert any((directory / "checkpoints").iterdir())


class Cluster:
    """Beside the job file, its data; `lockstep` is on PATH, and so is a stand-in for srun, with two tasks."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory) / "cluster"
        shutil.copytree(EXAMPLES / "cluster", self.directory)
        for name in ("train", "test"):
            common.write_channel(self.directory / "data" / name, *common.images(1024, size=12))
        (self.directory / "hosts").write_text("localhost slots=2\n")
        srun = self.directory / "bin" / "srun"
        srun.parent.mkdir()
        srun.write_text('#!/bin/sh\n[ "$1 $2" = "--mpi=pmix --cpu-bind=none" ] || exit 9\nshift 2\nexec mpirun -np 2 "$@"\n')
        srun.chmod(0o755)
        self.environment = os.environ | {"PATH": f"{common.BIN}:{srun.parent}:{os.environ['PATH']}",
                                         "SLURM_SUBMIT_DIR": str(self.directory), "OMPI_MCA_rmaps_base_oversubscribe": "1",
                                         "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}

    def check(self, *command):
        output = succeed([*command, "--max_steps", 2, "--warmup_steps", 1, "--threads_per_rank", 1], cwd="/", env=self.environment)
        assert "2 on " in output and (self.directory / "model" / "model.pt2").exists(), output
        assert any((self.directory / "checkpoints").iterdir())


cluster = common.in_directory(Cluster)


@cluster
def a_cluster_has_a_plan(c):
    output = common.run(["plan", c.directory / "job.json"])
    assert str(c.directory / "data" / "train") in output and str(c.directory / "checkpoints") in output, output


@cluster
def mpirun_trains(c):
    c.check(c.directory / "mpirun.sh", c.directory / "hosts")


@cluster
def slurm_trains(c):
    c.check(c.directory / "slurm.sbatch")


@common.in_directory(pathlib.Path)
def a_program_is_exported(directory):
    program = directory / "model.pt2"
    succeed([sys.executable, EXAMPLES / "export_program.py", program])
    output = common.run(["inspect", program])
    assert re.search(r"^input .* Float \[s\d+, 1, 28, 28\]$", output, re.M), output
    assert re.search(r"aten\.add_\.Tensor +× 4", output), output  # batch norm counts batches, in training mode only
    assert re.findall(r"^artifact +(\S+) +(\S+)", output, re.M) == [(name, "yes") for name in ("pt2", "safetensors", "saved_model", "onnx", "torchscript")], output
    common.write_channel(directory / "train", *common.images(64, size=28))
    common.train(directory, {"train": directory / "train"}, model=program, epochs=1)


def learnt(directory, example, metric):
    """What the example's job comes to, by the artifacts' state."""
    succeed([sys.executable, EXAMPLES / f"{example}.py", directory])
    output = common.run(["train", directory / "job.json", "--threads_per_rank", 1])
    return float(re.findall(rf"^  validation_{metric} +(\S+)$", output, re.M)[-1])


@common.in_directory(pathlib.Path)
def a_table_is_learnt(directory):
    accuracy = learnt(directory, "tabular", "accuracy")
    assert accuracy > 0.95, accuracy  # 63 % of the patients are benign


@common.in_directory(pathlib.Path)
def pictures_are_learnt(directory):
    accuracy = learnt(directory, "pictures", "accuracy")
    assert accuracy > 0.97, accuracy


@common.in_directory(pathlib.Path)
def a_text_is_learnt(directory):
    perplexity = learnt(directory, "tokens", "perplexity")
    assert 1 < perplexity < 10, perplexity  # 26 for who knows the text's bytes, but not their order


if __name__ == "__main__":
    common.main(sagemaker_is_asked_for_the_job, lockstep_takes_the_job, a_cluster_has_a_plan, mpirun_trains, slurm_trains,
                a_program_is_exported, a_table_is_learnt, pictures_are_learnt, a_text_is_learnt)
