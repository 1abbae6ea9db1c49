"""What the Python peers share: the task as the driver states it, its data, and how a step is reported."""

import argparse
import gzip
import pathlib

import numpy as np

RANKS = 2
LEARNING_RATE, MOMENTUM = 0.01, 0.9
REPORT_EVERY = 10  # steps


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--weights", required=True, help=".npz: the state dict of the program that Lockstep trains")
    parser.add_argument("--data", type=pathlib.Path, required=True, help="a channel directory of Fashion-MNIST")
    parser.add_argument("--micro_batch", type=int, required=True)
    parser.add_argument("--steps", type=int, required=True)
    return parser.parse_args()


def read_idx(path):
    content = gzip.decompress(path.read_bytes())
    dimensions = np.frombuffer(content, ">u4", count=content[3], offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * content[3]).reshape(dimensions)


def rank_data(job, rank):
    """The rank's slice of every global batch, in the data's own order: images and labels, uint8."""

    def read(name):
        array = read_idx(job.data / name)
        each = array.shape[1:]
        slices = array[: job.steps * RANKS * job.micro_batch].reshape(job.steps, RANKS, job.micro_batch, *each)
        return slices[:, rank].reshape(-1, *each)

    return read("train-images-idx3-ubyte.gz"), read("train-labels-idx1-ubyte.gz")


def report(step, loss):
    print(f"step {step} loss {loss:.9g}", flush=True)
