"""What the README's first page says is what happens: its files are written, its commands are run in their order with the Python that it puts on the
path, and they print what it shows, but for digits. Of those, the accuracy is near the one that is shown, and both servers say the right ones."""

import os
import pathlib
import re
import subprocess

import numpy as np

import common

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = (ROOT / "README.md").read_text()


def blocks():
    """(language, text, the sentence before) of each fenced block below "Your model in five minutes"."""
    part = PAGE.split("## Your model in five minutes")[1].split("\n## ")[0]
    return [(language, text, part[:match.start()].strip().rsplit("\n\n", 1)[-1])
            for match in re.finditer(r"```(\w+)\n(.*?)```", part, re.DOTALL) for language, text in [match.groups()]]


def shape(line, directory):
    """A line without its digits, columns and the place of the files."""
    return re.sub(r"\s+", " ", re.sub(r"\d[\d,.e+-]*", "0", line.replace(f"{directory}/", ""))).strip()


def path_of_the_page():
    """PATH as the page's command makes it, where it is typed: in the checkout."""
    command = re.search(r"`(export PATH=\$\(docker/install\.sh prefix\)[^`]*)`", PAGE).group(1)
    path = subprocess.run(["bash", "-c", f"{command}; echo $PATH"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    assert pathlib.Path(path.split(":")[0], "python3").exists(), path
    return path


def accuracy(text):
    return float(re.findall(r"validation_accuracy=(\S+)", text)[-1])


def check_numbers(shown, printed, directory):
    """Those that say whether the model has learned, and is served as it was trained."""
    if "validation_accuracy=" in shown:
        found, expected = accuracy(printed), accuracy(shown)
        assert abs(found - expected) < 0.05 and found > 0.85, f"the accuracy is {found}, and {expected} on the page"
    if "TensorFlow [" in shown:
        said = [list(map(int, row.split())) for row in re.search(r"TensorFlow \[(.*)\] ONNX Runtime \[(.*)\]", printed).groups()]
        truth = np.load(directory / "digits/validation/y.npy")[:10].tolist()
        assert said[0] == said[1] and sum(a == b for a, b in zip(said[0], truth, strict=True)) >= 8, (said, truth)


def the_page_is_what_happens():
    with common.temporary_directory() as directory:
        directory = pathlib.Path(directory)
        (directory / "build").mkdir()
        (directory / "build/bin").symlink_to(os.environ["LOCKSTEP_BIN"])
        environment = {**os.environ, "PATH": path_of_the_page(), "TF_CPP_MIN_LOG_LEVEL": "3"}
        output, ran = "", []
        for language, text, sentence in blocks():
            if language == "python":
                (directory / re.search(r"Save as `(\w+\.py)`", sentence).group(1)).write_text(text)
            elif language == "sh":
                output = ""
                for command in text.splitlines():
                    result = subprocess.run(["bash", "-c", command], cwd=directory, env=environment, capture_output=True, text=True, timeout=300)
                    assert result.returncode == 0, f"{command}: exit code {result.returncode}\n{result.stdout}{result.stderr}"
                    output += result.stdout
                    ran.append(command.split()[0:2])
            else:
                printed = {shape(line, directory) for line in output.splitlines()}
                shown = [line for line in text.splitlines() if line.strip() != "…"]
                assert len(shown) > 1
                check_numbers(text, output, directory)
                for line in shown:
                    assert shape(line, directory) in printed, f"the README shows\n{line}\nbut this is printed:\n{output}"
        assert ["build/bin/lockstep", "train"] in ran and ["python3", "serve.py"] in ran and ["build/bin/lockstep", "check"] in ran, ran


if __name__ == "__main__":
    common.main(the_page_is_what_happens)
