"""What the documents repeat is what the program prints: the table of hyperparameters, and the exit codes. `readme.py --write` makes it so.
Every exit code that a test expects is among them, every hyperparameter and every test that a page names is there, and every link of a page leads somewhere."""

import pathlib
import re
import sys

import common

ROOT = pathlib.Path(__file__).resolve().parents[2]


def exit_codes():
    return common.run(["--help"]).split("Exit codes:\n")[1]


def indented(text):
    return "".join(f"    {line.strip()}\n" for line in text.splitlines())


PARTS = {"docs/hyperparameters.md": ("hyperparameters", lambda: common.run(["hyperparameters"])),
         "docs/sagemaker.md": ("exit codes", lambda: "\n" + indented(exit_codes()) + "\n")}


def part(name):
    return re.compile(rf"(?<=<!-- {name} -->\n).*?(?=<!-- end -->)", re.DOTALL)


def documents_say_what_the_program_says():
    for file, (name, text) in PARTS.items():
        assert part(name).search((ROOT / file).read_text()).group() == text(), f"{file}: run `make docs`"


# What tests expect of other programs than ours.
OTHERS = {"judges/bundle.py", "hosts/toolkit.py", "hosts/values.py", "hosts/standin_docker.py", "kernels/mutations.py"}
EXPECTATIONS = (r"expect=\[([^\]]*)\]", r"expect=(\d+)", r"expect=(?:[^,()]*?)(\d+) if .*? else \d+", r"expect=(?:\d+) if .*? else (\d+)",
                r"returncode (?:==|in) \(?([\d, ]+)", r"\bcode (?:==|in) \(?([\d, ]+)", r"\bends\(\w+, \[([^\]]*)\]",
                r"_command\([^;]*\), (\d+)\);")


def every_exit_code_that_tests_expect_is_documented():
    documented = {line.split()[0] for line in exit_codes().splitlines() if line.startswith("  ")}
    expected = {}
    for path in sorted((ROOT / "tests").rglob("*")):
        if path.suffix not in (".py", ".cpp") or str(path.relative_to(ROOT / "tests")) in OTHERS:
            continue
        text = path.read_text()
        own = set(map(int, re.findall(r"exit_code_when_stopped\W+(\d+)", text)))  # the test's choice
        for pattern in EXPECTATIONS:
            for match in re.finditer(pattern, text):
                for code in re.findall(r"(?<![\w.+])\d+(?![\w.])", match.group(1)):
                    if int(code) not in own:
                        expected.setdefault(int(code), []).append(path.name)
    assert {0, 2, 3, 5} <= expected.keys(), f"the tests are read wrongly: {expected}"
    for code, where in expected.items():
        known = str(code) in documented or (128 < code <= 128 + 64 and "128" in documented)
        assert known, f"exit code {code}, which {', '.join(sorted(set(where)))} expects, is not in `lockstep --help`"


def prose(page):
    """A page without its code."""
    return re.sub(r"```.*?```|^    .*?$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)


def anchors(page):
    """What GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def every_link_leads_somewhere():
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("examples/**/*.md")]
    links = [(page, link) for page in pages for link in re.findall(r"\]\(([^)\s]+)\)", re.sub("`[^`]*`", "", prose(page))) if "://" not in link]
    assert len(links) > 40, f"links are read wrongly: {links}"
    for page, link in links:
        file, _, anchor = link.partition("#")
        target = page.parent / file if file else page
        assert target.exists(), f"{page.relative_to(ROOT)}: {link} leads nowhere"
        assert not anchor or anchor in anchors(target), f"{page.relative_to(ROOT)}: {link}: no such heading among {sorted(anchors(target))}"


def tests_that_a_page_names_are_there():
    """`Suite.Test`, `Suite.*`, `judge.name` or `hosts.name`, and (`check`, ...) behind one of these."""
    suites = {}
    for path in (ROOT / "tests").rglob("*.cpp"):
        for suite, test in re.findall(r"^TEST(?:_[FP])?\((\w+),\s+(\w+)\)", path.read_text(), re.MULTILINE):
            suites.setdefault(suite, set()).add(test)
    place = {"judge": ROOT / "tests/judges", "hosts": ROOT / "tests/hosts"}
    named = []
    for page in ROOT.glob("docs/*.md"):
        text = page.read_text()
        where = page.relative_to(ROOT)
        for suite, test in re.findall(r"`([A-Z]\w+)\.([A-Z]\w+|\*)`", text) if page.name == "faults.md" else ():
            assert test in suites.get(suite, ()) or (test == "*" and suite in suites), f"{where}: there is no test {suite}.{test}"
            named.append(test)
        for kind, name, checks in re.findall(r"`(judge|hosts)\.(\w+)`(?: \((`[^)]*`)\))?", text):
            path = place[kind] / f"{name}.py"
            assert path.exists(), f"{where}: there is no test {kind}.{name}"
            for check in re.findall("`([^`]+)`", checks):
                found = f"def {check}(" in path.read_text() or f'Case("{check}"' in path.read_text()
                assert found, f"{where}: {kind}.{name} has no {check}"
                named.append(check)
    assert len(named) > 30, f"the pages are read wrongly: {named}"


# What pages write as name=value that are no hyperparameters: of other programs and languages, of logs and of examples.
OTHER_NAMES = {"average", "city", "day", "distribution", "epoch", "header", "label_size", "name", "out"}
# What pages name beside others' terms, and is neither: files, programs, SageMaker's and PyTorch's arguments.
OTHER_TERMS = {"dynamic_shapes", "failure", "image_uri", "instance_count", "mpirun"}


def hyperparameters_that_pages_name_exist():
    """As `name=value`, as flags of lockstep, as options of the library, and beside others' terms."""
    known = set(re.findall(r"^\| `(\w+)`", common.run(["hyperparameters"]), re.MULTILINE))
    help_text = common.run(["--help"]) + common.run(["train", "--help"])
    flags = set(re.findall(r"--([a-z_]+)", help_text)) | {"within", "between", "reduction", "mpi"}
    found = 0

    def check(page, names, allowed, where):
        nonlocal found
        found += len(names)
        wrong = [name for name in names if name not in known | allowed]
        assert not wrong, f"{page.relative_to(ROOT)}: {where} names {wrong}: no hyperparameters"

    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        text = page.read_text()
        spans = [re.match("([a-z][a-z0-9_]*)=(?!=)", span) for span in re.findall("`([^`\n]+)`", text)]
        metrics = {span.group(1) for span in spans if span and re.match("(train|validation|test)_", span.group(1))}
        check(page, [span.group(1) for span in spans if span], OTHER_NAMES | metrics, "a text between backticks")
        for line in re.findall(r"lockstep (?:train|plan|status)\b.*", text):
            check(page, re.findall("--([a-z_]+)", line), flags, f"`{line}`")
        options = re.findall(r'(?:\{|set\((?:options, )?)"(\w+)", "', text)
        check(page, options, {"train", "validation"}, "a program")
    page = ROOT / "docs" / "migrating.md"
    for row in re.findall(r"^\| .*\|$", page.read_text(), re.MULTILINE):
        check(page, re.findall("`([a-z_]+)`", row.split(" | ", 1)[1]), flags | OTHER_TERMS, row)
    assert found > 150, f"pages are read wrongly: {found} names"


def the_first_page_is_short():
    words = len((ROOT / "README.md").read_text().split())
    assert words < 1200, f"README.md has {words} words"


def a_folder_includes_what_the_design_lets_it():
    """The table of folders, of which each row may name those above it."""
    rows = re.findall(r"^\| (`(?:engine/)?[a-z]+`) \|.*\| (.*) \|$", (ROOT / "docs/design.md").read_text(), re.MULTILINE)
    allowed = {}
    for folder, text in rows:
        named = set(re.findall("`([a-z/]+)`", text))
        allowed[folder.strip("`")] = {*allowed} - named if text.startswith("all of the above but") else named
    assert {*allowed} == {name for name in allowed if (ROOT / name).is_dir()} and "engine/train" in allowed, f"the table is read wrongly: {rows}"
    of = lambda path: max((name for name in allowed if path.startswith(name + "/")), key=len, default=None)
    for path in sorted(file for name in allowed for file in (ROOT / name).rglob("*") if file.suffix in (".h", ".cpp", ".cu", ".cuh")):
        folder = of(str(path.relative_to(ROOT)))
        for include in re.findall('#include "([^"]+)"', path.read_text()):
            assert of(include) in {None, folder, *allowed[folder]}, f"{path.relative_to(ROOT)} includes {include}: {folder} may include {allowed[folder]}"
    unlisted = {str(path.parent.relative_to(ROOT)) for path in (ROOT / "engine").glob("*/CMakeLists.txt")} - allowed.keys()
    assert not unlisted, f"{unlisted} are not in the table of folders of docs/design.md"


if __name__ == "__main__":
    if "--write" in sys.argv:
        for file, (name, text) in PARTS.items():
            words = text()
            (ROOT / file).write_text(part(name).sub(lambda _: words, (ROOT / file).read_text()))
    else:
        common.main(documents_say_what_the_program_says, every_exit_code_that_tests_expect_is_documented,
                    hyperparameters_that_pages_name_exist, every_link_leads_somewhere, tests_that_a_page_names_are_there, the_first_page_is_short,
                    a_folder_includes_what_the_design_lets_it)
