"""Hyperparameters arrive unchanged on every rank of every host, in each of the encodings in which SageMaker hands them over. A program in
the place of lockstep-rank keeps the job that it is given, and then becomes lockstep-rank, or leaves."""

import json
import os
import shutil

import cluster
import common

TEXTS = ["adam w", " blank at both ends ", "two  blanks", "tab\there", "line\nbreak", "\r\n", 'it\'s', '"quoted"', "it's \"both\"", "\\'", "back\\slash",
         "ends with \\", "\\n", "\\u2603", "\\x41", "$HOME", "${HOME}", "$(id)", "`id`", "; exit 9", "a && b | c > d", "#no comment", "*", "?[a-z]",
         "~", "%s %d %n", "--flag", "-x", "a=b,c=d", "naïve ☃", "🚀 𝛼", "\u00a0\u2028", "\x1b[31m", "1e-05", "NaN", "12345678901234567890",
         "true", "None", "[1, 2]", '{"a": {"b": [null, "c"]}}', "{'a': True}", "(1,)"]
# An estimator with an entry point, one without, and what people write by hand for boto3.
ENCODINGS = {"json": json.dumps, "python": str, "by hand": lambda value: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}
JOB = {"model": "mlp", "epochs": 1, "batch_size": 16, "ranks_per_host": 2, "threads_per_rank": 1, "hosts_timeout": "30s"}

# mpirun ends the others as soon as one has left.
LEAVE_TOGETHER = 'for try in $(seq 500); do [ -e {0}/0 -a -e {0}/1 -a -e {0}/2 -a -e {0}/3 ] && exit 7; sleep 0.02; done; exit 8'


class Recorded:
    """Two hosts whose ranks keep their jobs below `directory`."""

    def __init__(self, made, trains):
        self.cluster, self.directory, self.programs = made, made.directory / "jobs", made.directory / "programs"
        self.directory.mkdir()
        self.programs.mkdir()
        shutil.copy(common.BIN / "lockstep", self.programs / "lockstep")
        script = self.programs / "lockstep-rank"
        then = f'exec "{common.BIN}/lockstep-rank" "$@"' if trains else LEAVE_TOGETHER.format(self.directory)
        script.write_text(f'#!/bin/sh\n[ "$1" = train ] || exit 9\nfile="{self.directory}/$OMPI_COMM_WORLD_RANK"\n'
                          f'cat "$2" > "$file.part" && mv "$file.part" "$file"\n{then}\n')
        script.chmod(0o755)
        self.channel = made.directory / "data"
        common.write_channel(self.channel, *common.images(64))

    def run(self, hyperparameters, encode, resources=None, environment=None, expect=0):
        """Runs a job with these hyperparameters; returns the jobs of the four ranks."""
        for path in self.directory.iterdir():
            path.unlink()
        self.cluster.configure({"train": self.channel}, {name: encode(value) for name, value in (JOB | hyperparameters).items()}, resources)
        for host in self.cluster.hosts:
            host.start(program=self.programs / "lockstep", environment=environment)
        self.cluster.finish(60, expect=expect)
        jobs = [json.loads((self.directory / str(rank)).read_text()) for rank in range(4)]
        assert [job["host"] for job in jobs] == ["algo-1", "algo-1", "algo-2", "algo-2"], jobs
        return jobs


def recorded(trains):
    def decorate(check):
        def run_check():
            with cluster.cluster() as made:
                check(Recorded(made, trains))

        run_check.__name__ = check.__name__
        return run_check

    return decorate


@recorded(trains=True)
def texts_of_a_list_train(r):
    """As names of instance groups, which may be any text. The real ranks compare all values among themselves before they train."""
    def groups(host):
        return {"instance_groups": [{"instance_group_name": text, "instance_type": "ml.c5.xlarge", "hosts": ["algo-2", "algo-1"]} for text in TEXTS]}

    for name, encode in ENCODINGS.items():
        shutil.rmtree(r.cluster[0].base / "model", ignore_errors=True)
        for job in r.run({"instance_groups": TEXTS}, encode, resources=groups):
            assert job["hyperparameters"]["instance_groups"] == TEXTS, f"{name}: {job['hyperparameters']['instance_groups']}"
        assert (r.cluster[0].base / "model" / "model.pt2").exists()


@recorded(trains=False)
def texts_within_objects(r):
    """The empty text too, and numbers that are written otherwise than JSON would."""
    expected = [{"match": text, "weight_decay": 1e-05, "learning_rate_factor": 0.5} for text in [*TEXTS, ""]]
    for name, encode in ENCODINGS.items():
        for job in r.run({"parameter_groups": expected, "weight_decay": 1e-05}, encode, expect=6):  # the stand-in ends before it listens
            assert job["hyperparameters"]["parameter_groups"] == expected, f"{name}: {job['hyperparameters']['parameter_groups']}"
            assert job["hyperparameters"]["weight_decay"] == 1e-05


def texts_by_themselves():
    """In the file, and as the toolkit's variable and argument; only mpirun's ':' and what is null have another meaning."""
    for text in TEXTS:
        expected = f"{text}.pt2"
        with common.temporary_directory() as directory:
            config = os.path.join(directory, "input", "config")
            os.makedirs(config)
            for encode in ENCODINGS.values():
                with open(os.path.join(config, "hyperparameters.json"), "w") as file:
                    json.dump({"model": encode(expected), "data": "synthetic"}, file)
                assert printed(["train"], {"SAGEMAKER_BASE_DIR": directory})["model"] == expected
            with open(os.path.join(config, "hyperparameters.json"), "w") as file:
                json.dump({"data": "synthetic"}, file)
            base = {"SAGEMAKER_BASE_DIR": directory}
            assert printed(["train"], base | {"SM_HP_MODEL": expected})["model"] == expected
            assert printed(["train", "--model", expected], base)["model"] == expected
            assert printed([f"--model={expected}"], base)["model"] == expected


def printed(arguments, environment):
    return json.loads(common.run([*arguments, "--print-config"], environment=environment))


@recorded(trains=True)
def one_text_trains(r):
    """A program, a model directory and a job's name with all of it in them."""
    text = "it's \"a\" $HOME; `id` naïve ☃"
    place = r.cluster.directory / text
    place.mkdir()
    common.run(["model", "mlp", "-o", place / "a b.pt2", "--input_shape", "1,8,8"])
    for encode in ENCODINGS.values():
        jobs = r.run({"model": str(place / "a b.pt2"), "model_dir": str(place / "model")}, encode, environment={"TRAINING_JOB_NAME": text})
        for job in jobs:
            assert (job["job_name"], job["model_dir"], job["hyperparameters"]["model"]) == (text, str(place / "model"), str(place / "a b.pt2")), job
        assert (place / "model" / "model.pt2").exists()
        shutil.rmtree(place / "model")


@recorded(trains=False)
def typed_values(r):
    """Numbers, truth values and nothing at all."""
    values = {"learning_rate": 1e-05, "shuffle": False, "model_hidden": [64, 128], "monitor": None, "seed": 9007199254740993, "max_steps": 3,
              "bucket_cap_mb": 0.1, "export": ["pt2", "safetensors"], "label_smoothing": ""}
    for name, encode in ENCODINGS.items():
        for job in r.run(values, encode, expect=6):  # the stand-in ends before it listens
            found = job["hyperparameters"]
            assert {key: found[key] for key in ("learning_rate", "shuffle", "model_hidden", "monitor", "seed", "bucket_cap_mb", "export",
                                                "label_smoothing")} == {
                "learning_rate": 1e-05, "shuffle": False, "model_hidden": [64, 128], "monitor": "loss:min", "seed": 9007199254740993,
                "bucket_cap_mb": 0.1, "export": "pt2,safetensors", "label_smoothing": 0.0}, f"{name}: {found}"


def numbers_that_are_none():
    """Refused by name, in every encoding, rather than changed."""
    for name, value in (("learning_rate", "NaN"), ("learning_rate", "Infinity"), ("learning_rate", "1_000"), ("seed", "12345678901234567890"),
                        ("epochs", "1e400"), ("epochs", "0x10"), ("epochs", "2.5"), ("shuffle", "yes")):
        for encode in ENCODINGS.values():
            with common.temporary_directory() as directory:
                os.makedirs(os.path.join(directory, "input", "config"))
                with open(os.path.join(directory, "input", "config", "hyperparameters.json"), "w") as file:
                    json.dump({name: encode(value), "data": "synthetic"}, file)
                output = common.run(["train"], expect=2, environment={"SAGEMAKER_BASE_DIR": directory})
                assert f"hyperparameter {name}" in output and value in output, output


if __name__ == "__main__":
    cluster.isolated()
    common.main(texts_of_a_list_train, texts_within_objects, texts_by_themselves, one_text_trains, typed_values, numbers_that_are_none)
