"""SageMaker's real Python SDKs start jobs of several hosts in local mode; only Docker is stood in for (standin_docker.py). LOCKSTEP_SDK2
and LOCKSTEP_SDK3 are Pythons with the SDK of either version."""

import contextlib
import json
import os
import pathlib
import shlex
import signal
import subprocess
import tarfile
import threading
import time

import cluster
import common
import numpy as np

HERE = pathlib.Path(__file__).resolve().parent
SOAK = "LOCKSTEP_SOAK" in os.environ
SDK = {"files": os.environ["LOCKSTEP_SDK2"], "estimator": os.environ["LOCKSTEP_SDK2"], "trainer": os.environ["LOCKSTEP_SDK3"]}
JOB = {"model": "mlp", "model_hidden": [16], "epochs": 20, "batch_size": 16, "learning_rate": 0.1, "shuffle": True, "ranks_per_host": 2,
       "threads_per_rank": 1, "parameter_groups": [{"match": "*.bias", "weight_decay": 0}], "hosts_timeout": "60s"}
ENDLESS = JOB | {"epochs": 100000, "export": "none", "log_every": 0.2}


class Sdk:
    """A process of an SDK that starts a job with these hyperparameters; the job's directory is its own."""

    def __init__(self, directory, what, hyperparameters, hosts=2, **more):
        self.directory, self.what = pathlib.Path(directory) / what, what
        self.directory.mkdir()
        channel = self.directory / "data"
        common.write_channel(channel, *common.images(256))
        docker = self.directory / "bin" / "docker"
        docker.parent.mkdir()
        docker.write_text(f'#!/bin/sh\nexec {shlex.quote(SDK[what])} {shlex.quote(str(HERE / "standin_docker.py"))} "$@"\n')
        docker.chmod(0o755)
        settings = self.directory / "settings.yaml"
        settings.write_text('SchemaVersion: "1.0"\nSageMaker: {PythonSDK: {Modules: {TelemetryOptOut: true}}}\n')
        self.root = self.directory / "root"
        job = {"directory": str(self.root), "hyperparameters": hyperparameters, "hosts": hosts, "channels": {"train": str(channel)}, **more}
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("SM_", "SAGEMAKER_", "AWS_"))}
        environment |= {"PATH": f"{docker.parent}:{os.environ['PATH']}", "HOME": str(self.directory), "TMPDIR": str(self.directory),
                        "AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none", "AWS_DEFAULT_REGION": "eu-west-1",
                        "AWS_EC2_METADATA_DISABLED": "true", "SAGEMAKER_USER_CONFIG_OVERRIDE": str(settings)}
        self.process = subprocess.Popen([SDK[what], HERE / "sagemaker_local.py", what, json.dumps(job)], env=environment, text=True,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=self.directory)
        self.lines = []
        self.reader = threading.Thread(target=lambda: self.lines.extend(self.process.stdout))
        self.reader.start()

    def output(self):
        return "".join(self.lines)

    def wait_for(self, text, seconds=120):
        end = time.monotonic() + seconds
        while text not in self.output():
            assert time.monotonic() < end and self.process.poll() is None, f"{text!r} was not said; {self.output()}"
            time.sleep(0.02)

    def finish(self, seconds=180):
        """The exit code."""
        code = self.process.wait(seconds)
        self.reader.join()
        return code

    def archive(self, name):
        """What the SDK has put into model.tar.gz or output.tar.gz, unpacked."""
        packed = self.root / ("output" if self.what == "estimator" else "compressed_artifacts") / f"{name}.tar.gz"
        unpacked = self.directory / name
        unpacked.mkdir()
        with tarfile.open(packed) as file:
            file.extractall(unpacked)
        return unpacked


@contextlib.contextmanager
def sdk(*arguments, **options):
    with common.temporary_directory() as directory:
        made = Sdk(directory, *arguments, **options)
        try:
            yield made
        finally:
            if made.process.poll() is None:
                made.process.kill()
                time.sleep(1)  # the stand-in for docker notices
            made.finish()


def a_configuration_that_the_sdk_has_written():
    """Three hosts know nothing else: no variable, three files with fewer keys than SageMaker's."""
    with sdk("files", JOB | {"ranks_per_host": 1}, hosts=3) as made:
        assert made.finish() == 0, made.output()
        for encoding, names in json.loads(made.lines[-1]).items():
            assert len(set(names)) == 3 and all(name.startswith(f"algo-{i + 1}-") and len(name) == 12 for i, name in enumerate(names)), names
            with cluster.cluster(names) as hosts:
                for host in hosts.hosts:
                    config = made.root / encoding / host.name / "input" / "config"
                    written = {path.stem: json.loads(path.read_text()) for path in config.iterdir()}
                    assert written.keys() == {"hyperparameters", "resourceconfig", "inputdataconfig"}, written
                    assert written["resourceconfig"].keys() == {"current_host", "hosts", "network_interface_name", "current_instance_type"}
                    assert written["inputdataconfig"] == {"train": {"TrainingInputMode": "File"}}
                    assert written["hyperparameters"]["shuffle"] == ("true" if encoding == "json" else "True"), written
                    assert ("'match'" in written["hyperparameters"]["parameter_groups"]) == (encoding == "text"), written
                    for name, value in written.items():
                        host.write(name, value)
                    host.volumes["input/data/train"] = made.directory / "data"
                hosts.start().finish()
                assert f"3 on 3 hosts, led by {names[0]}" in hosts[0].output(), hosts.outputs()
                check_model(hosts[0].base / "model")


def check_model(directory):
    """What serving loads: the SavedModel classifies what it was trained on."""
    import tensorflow as tf

    assert {path.name for path in directory.iterdir()} == {"1", "model.pt2", "model.safetensors", "model_card.json", "model_card.md", "probes.safetensors"}, list(directory.iterdir())
    classify = tf.saved_model.load(str(directory / "1")).signatures["serving_default"]
    (name,) = classify.structured_input_signature[1]
    pixels, labels = common.images(256)
    logits = classify(**{name: tf.constant(pixels[:, np.newaxis].astype(np.float32) / 255)})["output_0"].numpy()
    assert logits.shape == (256, 10) and (logits.argmax(1) == labels).mean() > 0.6, (logits.argmax(1) == labels).mean()


def trains(what, *texts):
    with sdk(what, JOB) as made:
        assert made.finish() == 0, made.output()
        for text in ("4 on 2 hosts, led by algo-1", *texts):
            assert text in made.output(), f"{text!r} was not said; {made.output()}"
        assert made.output().count("exited with code 0") == 2, made.output()
        check_model(made.archive("model"))
        output = made.archive("output")
        assert (output / "success").exists() and not (output / "failure").exists()
        assert len((output / "data" / "metrics.jsonl").read_text().splitlines()) > JOB["epochs"]


def an_estimator_trains():
    trains("estimator", "job a-job")


def a_model_trainer_trains():
    """Its interface, ethwe, is not there, and its containers are given no command."""
    trains("trainer", "job a-job")


def fails(made, code, *texts):
    """As the SDK's error, and as the reason that is left in output.tar.gz."""
    assert made.finish() != 0 and f"Process exited with code: {code}" in made.output(), made.output()
    assert "RuntimeError: Failed to run: " in made.output(), made.output()
    output = made.archive("output")
    failure = (output / "failure").read_text()
    for text in texts:
        assert text in failure, f"lacks {text!r}: {failure}"
    assert not (output / "success").exists()
    assert not list(made.archive("model").iterdir())


# Either SDK passes on whatever reason there is: in the short form each meets one.
def a_wrong_hyperparameter_is_the_reason():
    for what in ("estimator", "trainer") if SOAK else ("trainer",):
        with sdk(what, JOB | {"learning_rate": "fast"}) as made:
            fails(made, 2, "learning_rate", "fast")


def a_killed_rank_is_the_reason():
    for what in ("estimator", "trainer") if SOAK else ("estimator",):
        with sdk(what, ENDLESS) as made:
            made.wait_for("step=")
            ranks = cluster.ranks_in("ls1-1")
            assert len(ranks) == 2, f"ranks {ranks}; {made.output()}"
            os.kill(ranks[0], signal.SIGKILL)
            fails(made, 3, "on algo-2", "was ended by signal 9 (Killed)")


if __name__ == "__main__":
    cluster.isolated()
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
    common.main(a_configuration_that_the_sdk_has_written, an_estimator_trains, a_model_trainer_trains, a_wrong_hyperparameter_is_the_reason,
                a_killed_rank_is_the_reason)
