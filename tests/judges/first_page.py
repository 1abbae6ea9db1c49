"""What the README's first page says is what happens: its files are written, its commands are run in their order, and they print what it shows,
but for digits."""

import os
import pathlib
import re
import subprocess
import sys

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


def the_page_is_what_happens():
    with common.temporary_directory() as directory:
        directory = pathlib.Path(directory)
        (directory / "build").mkdir()
        (directory / "build/bin").symlink_to(os.environ["LOCKSTEP_BIN"])
        environment = {**os.environ, "PATH": f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}", "TF_CPP_MIN_LOG_LEVEL": "3"}
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
                for line in shown:
                    assert shape(line, directory) in printed, f"the README shows\n{line}\nbut this is printed:\n{output}"
        assert ["build/bin/lockstep", "train"] in ran and ["python3", "serve.py"] in ran and ["build/bin/lockstep", "check"] in ran, ran


if __name__ == "__main__":
    common.main(the_page_is_what_happens)
