"""The README's table of hyperparameters is what the program prints. `readme.py --write` makes it so."""

import pathlib
import re
import sys

import common

README = pathlib.Path(__file__).resolve().parents[2] / "README.md"
TABLE = re.compile(r"(?<=<!-- hyperparameters -->\n).*?(?=<!-- end -->)", re.DOTALL)


def table_is_the_programs():
    assert TABLE.search(README.read_text()).group() == common.run(["hyperparameters"]), "run `make docs`"


if __name__ == "__main__":
    if "--write" in sys.argv:
        README.write_text(TABLE.sub(lambda _: common.run(["hyperparameters"]), README.read_text()))
    else:
        common.main(table_is_the_programs)
