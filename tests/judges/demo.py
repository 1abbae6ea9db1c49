"""The demo's job on Debian's Fashion-MNIST, one epoch of it (whole in `make soak`), and PyTorch and TensorFlow on what it leaves: the same
10,000 predictions."""

import gzip
import os
import pathlib
import re
import subprocess
import warnings

import numpy as np
import torch

import common
from saved_model import consume

SOURCE = pathlib.Path(__file__).resolve().parents[2]
DATA = pathlib.Path("/usr/share/datasets/fashion-mnist")
SOAK = "LOCKSTEP_SOAK" in os.environ
EPOCHS = "10" if SOAK else "1"  # the demo's own job; one epoch of it
MEAN, STD = 0.286, 0.353  # as in examples/fashion-mnist/job.json
warnings.filterwarnings("ignore", message="The given buffer is not writable")


def demo_in_pytorch():
    with common.temporary_directory() as directory:
        directory = pathlib.Path(directory)
        result = subprocess.run([SOURCE / "examples/fashion-mnist/demo.sh", directory, "--epochs", EPOCHS], capture_output=True,
                                text=True, timeout=1800)
        output = result.stdout + result.stderr
        assert result.returncode == 0, output
        reported = float(re.findall(r"test_accuracy=([0-9.]+)", output)[-1])
        assert reported >= (0.915 if SOAK else 0.86), output

        model = directory / "model" / "model.pt2"
        subprocess.run([common.BIN / "judge_logits", model, directory / "data" / "test", str(MEAN), str(STD),
                        directory / "logits"], check=True)
        engine = torch.tensor(np.fromfile(directory / "logits", dtype=np.float32).reshape(10000, 10))

        pixels = np.frombuffer(gzip.open(DATA / "t10k-images-idx3-ubyte.gz").read(), np.uint8, offset=16)
        labels = np.frombuffer(gzip.open(DATA / "t10k-labels-idx1-ubyte.gz").read(), np.uint8, offset=8)
        inputs = (torch.tensor(pixels.reshape(10000, 1, 28, 28)).float() / 255 - MEAN) / STD
        module = torch.export.load(model).module()
        with torch.no_grad():
            for batch in (1000, 7):
                part = inputs if batch == 1000 else inputs[:700]
                pytorch = torch.cat([module(x) for x in part.split(batch)])
                close = common.compare_outputs(pytorch.numpy(), engine[: len(part)].numpy())
                if batch == 1000:
                    most = close  # of all samples
        np.save(directory / "inputs.npy", inputs.numpy())
        np.save(directory / "logits.npy", engine.numpy())
        for onednn in (True, False) if SOAK else (True,):  # without it, saved_model.py has a cnn computed
            consume("2.21", (directory / "model" / "1", directory / "inputs.npy", directory / "logits.npy"), "compare", onednn=onednn)
        right = int((engine.argmax(1).numpy() == labels).sum())
        assert abs(right - 10000 * reported) < most + 0.1, f"{right} of 10,000 is not the reported {reported}"


if __name__ == "__main__":
    common.main(demo_in_pytorch)
