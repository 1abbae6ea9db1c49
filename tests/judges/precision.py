"""Lower precision on Fashion-MNIST: the test accuracy that float32 reaches, to chance. One epoch (the demo's ten in `make soak`)."""

import os
import pathlib
import re
import shutil
import subprocess

import common

SOURCE = pathlib.Path(__file__).resolve().parents[2]
# Roundings alone make another training of it. Two equally good models of nine right answers in ten disagree on at most a tenth of the
# 10,000 images, each a coin: their accuracies differ by √1000 / 10000 (a third of a point) in one standard deviation. This is three.
CHANCE = 0.01
SOAK = "LOCKSTEP_SOAK" in os.environ
EPOCHS = 10 if SOAK else 1
# Without these PyTorch's convolutions in bf16 take minutes (docs/limits.md).
HAS_BF16 = {"avx512bw", "avx512vl", "avx512dq"} <= set(pathlib.Path("/proc/cpuinfo").read_text().split())


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


@common.in_directory(pathlib.Path)
def auto_takes_what_is_faster_and_stays_with_it(directory):
    common.write_channel(directory / "train", *common.images(128))
    job = dict(model="mlp", model_hidden="600,600", batch_size=32, export="safetensors")

    def trained(place, precision, steps, **more):
        """What auto says of its choice, the precision that the job tells, and the parameters."""
        output, state = common.train(directory / place, {"train": directory / "train"}, ranks=2, precision=precision, max_steps=steps, **job, **more)
        return re.findall(r"precision=auto: (\w+)(; .*|, in which .*)", output), common.metrics(directory / place, "start")[0]["precision"], state

    said, precision, state = trained("auto", "auto", 6)
    (chosen, why), = said
    assert chosen == precision and chosen in ("fp32", "bf16"), said
    if times := re.search(r"of a sample take (\S+) ms in bf16 and (\S+) ms in fp32", why):
        # They are printed in three digits: within 1 % of the bound either may be.
        ratio = float(times[1]) / float(times[2])
        assert (0 < ratio < 0.95 * 1.01) if chosen == "bf16" else (0.95 * 0.99 < ratio), why
    else:
        assert not HAS_BF16 and chosen == "fp32" and "no fast bf16" in why, why
    said, precision, same = trained("given", chosen, 6)
    assert not said and precision == chosen
    assert all((state[name] == same[name]).all() for name in same), "what is measured has changed what is trained"
    # What goes on from a checkpoint is computed as it was, whatever is faster now.
    for other in ("fp32", "bf16") if HAS_BF16 else ("fp32",):
        _, _, whole = trained(f"{other}-whole", other, 8)
        place = dict(checkpoint_dir=directory / f"{other}-checkpoints")
        trained(f"{other}-first", other, 8, checkpoint_every=4, checkpoint_keep=9, **place)
        for path in (directory / f"{other}-checkpoints").glob("step-000000008"):
            shutil.rmtree(path)
        said, precision, state = trained(f"{other}-then", "auto", 8, **place)
        assert said == [(other, ", in which step-000000004 was written")] and precision == other, said
        assert all((state[name] == whole[name]).all() for name in whole), f"{other}: not the same as without a pause"


if __name__ == "__main__":
    common.main(bf16_reaches_the_accuracy_of_fp32, fp16_reaches_the_accuracy_of_fp32, auto_takes_what_is_faster_and_stays_with_it)
