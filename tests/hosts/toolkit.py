"""SageMaker's real training toolkit runs Lockstep as an entry point that is no Python, on two hosts. LOCKSTEP_TOOLKIT is a Python with
sagemaker-training; its program `train` is beside it."""

import json
import os
import pathlib
import shlex
import shutil

import cluster
import common

TRAIN = pathlib.Path(os.environ["LOCKSTEP_TOOLKIT"]).parent / "train"
JOB = {"model": "mlp", "model_hidden": [16], "epochs": 1, "batch_size": 16, "shuffle": False, "threads_per_rank": 1, "ranks_per_host": 2,
       "learning_rate": 1e-05, "resume": None, "hosts_timeout": "60s"}
PATTERNS = ["*.bias", "*", 'it\'s "quoted"', "adam w; exit 9", "$HOME `id` $(id)", "tab\tand\nline", "naïve ☃ \\ %s"]


def lockstep(host):
    """The program itself, and beside it the one of its ranks."""
    shutil.copy(common.BIN / "lockstep", host.base / "code" / "lockstep")  # the toolkit follows no link out of its directory
    (host.base / "code" / "lockstep-rank").symlink_to(common.BIN / "lockstep-rank")


def script(host):
    """A shell script that calls it, as users have them; it also leaves what it was given."""
    entry = host.base / "code" / "run.sh"
    entry.write_text(f'#!/bin/sh\nenv -0 > "{host.directory}/variables"\nprintf "%s\\\\0" "$@" > "{host.directory}/arguments"\n'
                     f'exec {shlex.quote(str(common.BIN / "lockstep"))} train "$@"\n')
    entry.chmod(0o755)


def start(made, entry, hyperparameters, channels=("train",)):
    """Starts the toolkit on every host; values are encoded as the SDK does where there is an entry point."""
    channel = made.directory / "data"
    common.write_channel(channel, *common.images(64))
    name = {lockstep: "lockstep", script: "run.sh"}[entry]
    encoded = {key: json.dumps(value) for key, value in (JOB | hyperparameters).items()}
    made.configure({each: channel for each in channels}, encoded | {"sagemaker_program": json.dumps(name), "sagemaker_region": '"eu-west-1"',
                                                                    "sagemaker_job_name": '"a-job"'})
    for host in made.hosts:
        for place in ("code", "model", "output/data"):
            (host.base / place).mkdir(parents=True)
        entry(host)
        host.start(arguments=(), program=TRAIN, environment={"SM_STUDIO_LOCAL_MODE": "true", "AWS_EC2_METADATA_DISABLED": "true"})


def trains(entry, *texts, **options):
    with cluster.cluster() as made:
        start(made, entry, options.pop("hyperparameters", {}), **options)
        made.finish()
        for text in ("job a-job", "4 on 2 hosts, led by algo-1", "learning rate 1e-05", *texts):
            assert text in made[0].output(), f"{text!r} was not said; {made.outputs()}"
        assert (made[0].base / "model" / "model.pt2").exists() and not list((made[1].base / "model").iterdir())
        for host in made.hosts:
            assert (host.base / "output" / "success").exists() and host.failure() is None
            if entry == script:
                yield given(host)


def given(host):
    """The variables and the arguments with which the toolkit has called the script."""
    variables = dict(entry.split("=", 1) for entry in (host.directory / "variables").read_text().split("\0")[:-1])
    return variables, (host.directory / "arguments").read_text().split("\0")[:-1]


def the_toolkit_runs_the_program():
    assert not list(trains(lockstep))


def the_toolkit_runs_a_script():
    """With all that the toolkit gives; each host is itself, and no host is told how to reach the other but by name."""
    for number, (variables, arguments) in enumerate(trains(script)):
        assert variables["SM_CURRENT_HOST"] == f"algo-{number + 1}" and json.loads(variables["SM_HPS"])["learning_rate"] == 1e-05
        assert arguments[arguments.index("--shuffle") + 1] == "False" and variables["SM_HP_SHUFFLE"] == "false", arguments
        assert arguments[arguments.index("--resume") + 1] == "" and arguments[arguments.index("--model_hidden") + 1] == "[16]", arguments


def a_channel_that_a_shell_has_lost():
    """Its variable has a dash in it, and no script that /bin/sh starts is given it."""
    for variables, _ in trains(script, "data train", "data validation", channels=("train", "validation", "more-data.1")):
        assert "SM_CHANNEL_TRAIN" in variables and json.loads(variables["SM_CHANNELS"]) == ["more-data.1", "train", "validation"]
        assert "SM_CHANNEL_MORE-DATA.1" not in variables, "this shell keeps it: nothing is shown here"
    with cluster.cluster() as made:
        start(made, script, {}, channels=("more-data.1",))
        made.finish(expect=1)
        for host in made.hosts:
            assert "a channel named train (or training) is needed; there is more-data.1" in host.failure(), host.failure()


def values_with_blanks_and_quotes():
    """They come as Python's repr in the arguments; a pattern that fits no parameter is named, whole, on both hosts."""
    groups = [{"match": pattern, "weight_decay": 0} for pattern in PATTERNS[:2]]
    for _, arguments in trains(script, hyperparameters={"parameter_groups": groups}):
        assert arguments[arguments.index("--parameter_groups") + 1] == str(groups), arguments
    for pattern in PATTERNS[2:]:
        with cluster.cluster() as made:
            start(made, lockstep, {"parameter_groups": [{"match": pattern, "weight_decay": 0}], "ranks_per_host": 1})
            made.finish(expect=1)  # the toolkit's own, whatever the program's is
            for host in made.hosts:
                text = json.dumps(pattern, ensure_ascii=False).replace("\\t", "\\x09").replace("\\n", "\\x0a")
                assert f"no parameter belongs to the group {text}, " in host.failure(), host.failure()


def its_failure_is_the_programs():
    """The toolkit keeps a reason that is already there, and ends with 1."""
    with cluster.cluster() as made:
        start(made, lockstep, {"learning_rate": "fast"})
        made.finish(expect=1)
        for host in made.hosts:
            assert host.failure().startswith("hyperparameter learning_rate"), host.failure()
            assert not (host.base / "output" / "success").exists()


if __name__ == "__main__":
    cluster.isolated()
    common.main(the_toolkit_runs_the_program, the_toolkit_runs_a_script, a_channel_that_a_shell_has_lost, values_with_blanks_and_quotes,
                its_failure_is_the_programs)
