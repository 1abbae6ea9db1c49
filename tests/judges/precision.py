"""Lower precision on Fashion-MNIST: the test accuracy that float32 reaches, to chance. One epoch (the demo's ten in `make soak`)."""

import os
import pathlib
import re
import subprocess

import common

SOURCE = pathlib.Path(__file__).resolve().parents[2]
# Roundings alone make another training of it. Two equally good models of nine right answers in ten disagree on at most a tenth of the
# 10,000 images, each a coin: their accuracies differ by √1000 / 10000 (a third of a point) in one standard deviation. This is three.
CHANCE = 0.01
SOAK = "LOCKSTEP_SOAK" in os.environ
EPOCHS = 10 if SOAK else 1
# Convolutions in bf16 take minutes where the processor has no instructions for them.
HAS_BF16 = bool({"avx512_bf16", "amx_bf16"} & set(pathlib.Path("/proc/cpuinfo").read_text().split()))


def accuracy(precision, **hyperparameters):
    with common.temporary_directory() as directory:
        flags = [part for name, value in hyperparameters.items() for part in (f"--{name}", str(value))]
        result = subprocess.run([SOURCE / "examples/fashion-mnist/demo.sh", directory, "--epochs", str(EPOCHS), "--export", "none",
                                 "--precision", precision, *flags], capture_output=True, text=True, timeout=1800)
        output = result.stdout + result.stderr
        assert result.returncode == 0, output
        return float(re.findall(r"test_accuracy=([0-9.]+)", output)[-1]), output


def bf16_reaches_the_accuracy_of_fp32():
    model = "cnn" if SOAK or HAS_BF16 else "mlp"
    lower, _ = accuracy("bf16", model=model)
    full, _ = accuracy("fp32", model=model)
    assert lower >= full - CHANCE, f"bf16 {lower}, fp32 {full}"


# fp16 convolutions are ten times slower than float32 on CPUs: the mlp. A loss scale that is too large at first comes down.
def fp16_reaches_the_accuracy_of_fp32():
    lower, output = accuracy("fp16", model="mlp", loss_scale=2**30)
    full, _ = accuracy("fp32", model="mlp")
    assert "overflowed; the loss scale is now" in output and re.search(r"loss scale +\d+.* steps skipped", output), output
    assert lower >= full - CHANCE, f"fp16 {lower}, fp32 {full}"


if __name__ == "__main__":
    common.main(bf16_reaches_the_accuracy_of_fp32, fp16_reaches_the_accuracy_of_fp32)
