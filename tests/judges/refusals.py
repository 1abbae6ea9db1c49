"""Broken inputs: exit code 2, one clear message, nothing left in the model directory."""

import gzip
import json
import pathlib
import shutil
import subprocess

import torch

import common
import models


class Case:
    """A job that would run, for one part of it to be broken."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.pixels, self.labels = common.images(64)
        self.train = self.directory / "train"
        common.write_channel(self.train, self.pixels, self.labels)
        self.model = self.directory / "in.pt2"
        self.arguments = ["train", "--channel", f"train={self.train}", "--model_dir", self.directory / "model", "--output_dir",
                          self.directory / "output", "--model", "mlp", "--model_hidden", "8", "--epochs", "1", "--batch_size",
                          "16"]
        self.environment = {}

    def refused(self, *texts, extra=(), ranks=2):
        output = common.run([*self.arguments, "--ranks_per_host", ranks, *extra], expect=2, environment=self.environment)
        errors = [line for line in output.splitlines() if "error" in line.lower()]
        assert len(errors) == 1 and errors[0].startswith("lockstep: error: "), output
        for text in texts:
            assert text in errors[0], f"lacks {text!r}: {output}"
        model = self.directory / "model"
        assert not model.is_dir() or not any(model.iterdir()), f"left behind: {list(model.iterdir())}"
        failure = (self.directory / "output" / "failure").read_text()
        assert failure and failure in errors[0], failure


def with_program(c, program):
    c.arguments[c.arguments.index("--model") + 1] = program
    at = c.arguments.index("--model_hidden")
    del c.arguments[at:at + 2]


case = common.in_directory(Case)


@case
def gpus_where_there_are_none(c):
    c.refused("CUDA sees none", "device=cpu", extra=["--device", "cuda"])
    c.environment["SM_NUM_GPUS"] = "4"
    c.refused("SM_NUM_GPUS is 4", "CUDA sees none", "device=cpu")


@case
def a_driver_that_cannot_compute(c):
    """A driver that counts two GPUs and can do nothing with them."""
    source, driver = c.directory / "driver.c", c.directory / "driver"
    driver.mkdir()
    source.write_text("int cuInit(unsigned f) { return 0; } int cuDeviceGetCount(int* n) { *n = 2; return 0; }")
    subprocess.run(["cc", "-shared", "-o", driver / "libcuda.so.1", source], check=True)
    c.environment["LD_LIBRARY_PATH"] = str(driver)
    c.refused("3 ranks", "there are 2", "device=cpu", ranks=3)
    c.refused("CUDA cannot be used: ")
    c.refused("3 ranks", "batch_size", ranks=3, extra=["--device", "cpu", "--batch_size", "2"])
    common.run([*c.arguments, "--ranks_per_host", 2, "--device", "cpu"], environment=c.environment)


if __name__ == "__main__":
    common.main(a_good_job_runs, no_channel, wrong_channel_name, missing_channel_directory, empty_channel_directory,
                truncated_gzip, corrupted_gzip, truncated_file, bytes_after_the_end, wrong_magic, different_counts,
                label_out_of_range, real_targets_for_cross_entropy, a_layer_larger_than_memory,
                a_program_without_gradient, a_program_that_changes_a_buffer_in_inference, unknown_hyperparameter, value_out_of_range, value_of_the_wrong_type,
                a_value_that_does_nothing, missing_program, truncated_program, not_a_program, unknown_operator,
                fixed_batch_size, program_that_does_not_take_the_data, random_program_cannot_be_an_artifact,
                model_directory_that_cannot_be_made, more_ranks_than_samples_of_a_step, broken_job_file,
                gpus_where_there_are_none, a_driver_that_cannot_compute)
