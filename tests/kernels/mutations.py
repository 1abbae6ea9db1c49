#!/usr/bin/env python3
"""Do the kernels' tests notice a fault? Plants faults in the CUDA sources, one at a time, and runs the emulated form.

A mutation is caught when a test fails, faults, crashes or does not end. One that no test notices must be in
mutation_survivors.txt, with the reason why it changes nothing that a test could see; any other survivor, and a row that
fits no survivor, is an error. A mutation that does not compile, or leaves the compiler's output as it was, does not count.

LOCKSTEP_BUILD names the build directory, in which kernels_test has been built. Without LOCKSTEP_SOAK only a few mutations
of one operator run; with it all of them, or those of the sources named as arguments, relative to kernels/.
"""

import concurrent.futures
import dataclasses
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile
import time

SOURCE = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ["LOCKSTEP_BUILD"])
TABLE = pathlib.Path(__file__).with_name("mutation_survivors.txt")
# Suites of operators whose test file has others beside them; any other operator's are all of the files that include its
# header.
SUITES = {}


@dataclasses.dataclass(frozen=True)
class Mutation:
    file: str  # relative to kernels/
    function: str  # the definition at the left margin that it is in
    line: int
    text: str  # of the line
    change: str
    number: int  # among those that are alike in all of the above but the line
    source: str  # the whole mutated file

    def key(self):
        return (self.file, self.function, self.change, self.text + (f" ({self.number})" if self.number > 1 else ""))

    def __str__(self):
        return f"kernels/{self.file}:{self.line}: {self.change}: {self.text}"


def blank(pattern, text, flags=0):
    """Spaces in place of what matches, so that positions stay."""
    return re.sub(pattern, lambda match: re.sub(r"[^\n]", " ", match[0]), text, flags=flags)


def arguments_of(code, start):
    """The arguments of a call whose parenthesis opens at `start`, and the position behind it."""
    depth, begin, found = 0, start + 1, []
    for at in range(start, len(code)):
        depth += {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}.get(code[at], 0)
        if depth == 0:
            return found + [code[begin:at].strip()], at + 1
        if depth == 1 and code[at] == ",":
            found.append(code[begin:at].strip())
            begin = at + 1
    raise ValueError("no end of a call")


def replacements(code):
    """(begin, end, replacement, change) for every mutation of a source without comments."""

    def each(pattern, replacement, change, flags=0):
        for match in re.finditer(pattern, code, flags):
            yield match.start(), match.end(), match.expand(replacement), change

    def stores(pattern):
        for match in re.finditer(rf"(?<=[\s)]){pattern}", code):
            if re.search(r"(?:[;{}):]|\belse)\s*$", code[:match.start()][-200:]):  # not behind a type: no definition
                yield match.start(), match.end(), ";", "store dropped"

    yield from each(r"__sync(threads|warp)\([^()]*\);", ";", "barrier dropped")
    for mask in "0x7fffffffU", "0xffffU":
        yield from each(r"\bkFullWarp\b(?! =)", mask, f"mask {mask}")
    for old, new in ("<", "<="), ("<=", "<"), (">", ">="), (">=", ">"):
        yield from each(f"(?<= ){old}(?= )", new, f"{old} to {new}")
    yield from each(r"; \+\+(\w+)\)", r"; \1 += 2)", "stride 2")
    yield from each(r"; (\w+) \+= ([^;{}]+?)\)(?= \{| [\w*]|$)", r"; \1 += \2 + 1)", "stride + 1", re.M)
    yield from each(r"/= 2\b", "/= 4", "/= 2 to /= 4")
    yield from each(r" / 2\b(?!\.)", " / 4", "/ 2 to / 4")
    yield from each(r"\bfor \((?:const )?([\w:]+) (\w+) = ([^;]+);", r"for (\1 \2 = \3 + 1;", "loop begins 1 later")
    yield from stores(r"(?:\*\w[\w.]*|\w[\w.>-]*\[[^;{}]*?\])(?:\.\w+)? [-+*]?= [^;{}]*(?:\{[^;{}]*\})?;")
    yield from stores(r"(?:store|__st\w\w)(?:<[^;()]*>)?\([^;{}]*\);")
    yield from each(r"(?<!bool )\bis_aligned\([^()]*\)", "true", "alignment not checked")
    yield from each(r"[\w.]+(?:\(\))? % \w+ == 0", "true", "remainder not checked")
    for sign in "-", "+":
        yield from each(rf" \{sign} 1\b(?![.'])", f" {sign} 0", f"{sign} 1 to {sign} 0")
    for match in re.finditer(r"(?<!int64_t )\bdivide_up\(", code):
        (dividend, divisor), end = arguments_of(code, match.end() - 1)
        yield match.start(), end, f"(({dividend}) / ({divisor}))", "divide_up to /"


def mutations_of(file):
    source = (SOURCE / "kernels" / file).read_text()
    code = blank(r'//[^\n]*|/\*.*?\*/|"(?:[^"\\\n]|\\.)*"', source, re.S)
    code = blank(r"^ *#(?:[^\n]*\\\n)*[^\n]*|\bstatic_assert\([^;]*;", code, re.M)
    lines = source.split("\n")
    seen = {}
    for begin, end, new, change in sorted(replacements(code)):
        line = source.count("\n", 0, begin)
        function = "-"
        for earlier in reversed(code.split("\n")[: line + 1]):
            definition = re.match(r"(?:struct|class) (?:alignas\(.*\) )?(\w+)|[\w_].*?\b(?!__launch_bounds__)(\w+)\(", earlier)
            if definition:
                function = definition[1] or definition[2]
                break
        alike = (function, lines[line].strip(), change)
        seen[alike] = seen.get(alike, 0) + 1
        new += "\n" * (source.count("\n", begin, end) - new.count("\n"))  # other lines keep their numbers
        yield Mutation(file, function, line + 1, lines[line].strip(), change, seen[alike],
                       source[:begin] + new + source[end:])


def includes(path):
    """What a file includes of this repository, directly and by way of others; itself too."""
    found, left = set(), [path]
    while left:
        path = left.pop()
        if path in found or not (SOURCE / path).exists():
            continue
        found.add(path)
        left += re.findall(r'^#include "([^"]+)"', (SOURCE / path).read_text(), re.M)
    return found


class Operator:
    """A CUDA source, how it is compiled, and the tests that run it."""

    def __init__(self, command):
        path = pathlib.Path(command["file"]).relative_to(SOURCE)
        self.name = path.parent.name
        self.file = str(path.relative_to("kernels"))
        self.includes = {str(pathlib.Path(each).relative_to("kernels")) for each in includes(str(path))
                         if each.startswith("kernels/")}
        self.text = "".join((SOURCE / "kernels" / each).read_text() for each in sorted(self.includes)
                            if each.endswith((".cu", ".cuh")) and each != "Cuda.cuh")
        self.header = str(path.with_suffix(".h"))
        # Line numbers are for reports that nobody reads here, and would make every object another one.
        words = [word for word in shlex.split(command["command"]) if word not in ("-O3", "-g1", "-Werror", "-c")]
        cut = words.index("-o")
        self.compiler = words[:cut] + ["-O1", "-w"]
        self.suites = SUITES.get(self.name) or self.find_suites()
        self.tests_take = None
        self.object = None

    def find_suites(self):
        suites = []
        for test in sorted((SOURCE / "tests" / "kernels").glob("*Test.cpp")):
            if self.header in includes(str(test.relative_to(SOURCE))):
                suites += re.findall(r"^(?:TYPED_TEST_SUITE|TEST|TEST_F|TEST_P)\((\w+),", test.read_text(), re.M)
        assert suites, f"no test in tests/kernels includes {self.header}"
        return sorted(set(suites))

    def build(self, folder, file=None, source=None):
        """The object, with `source` in place of `file`; None if it does not compile."""
        path = SOURCE / "kernels" / self.file
        overlay = folder / "overlay" / "kernels"
        if file is not None:
            changed = overlay / file
            changed.parent.mkdir(parents=True, exist_ok=True)
            changed.write_text(source)
            if file == self.file:
                path = changed
        target = folder / "mutant.o"
        # What asserts and source_location keep of the path must not differ.
        command = [self.compiler[0], f"-ffile-prefix-map={overlay}={SOURCE}/kernels", f"-I{overlay.parent}",
                   *self.compiler[1:], "-c", path, "-o", target]
        done = subprocess.run(command, cwd=BUILD, capture_output=True, text=True)
        self.message = done.stderr
        return target if done.returncode == 0 else None

    def test(self, folder, target, timeout):
        """'survived', or how the tests noticed."""
        program = folder / "kernels_test"
        words = list(LINK)
        words[words.index("-o") + 1] = str(program)
        words.insert(words.index("-o"), str(target))  # before the archive that has the original
        subprocess.run(words, cwd=BUILD, check=True)
        patterns = ":".join(pattern for suite in self.suites for pattern in (f"{suite}.*", f"{suite}/*"))
        try:
            done = subprocess.run([program, f"--gtest_filter={patterns}", "--gtest_fail_fast"], capture_output=True,
                                  text=True, errors="replace", timeout=timeout, env={**os.environ, "OMP_NUM_THREADS": "1"})
        except subprocess.TimeoutExpired:
            return "timeout"
        if done.returncode == 0:
            assert "[  PASSED  ] 0 tests" not in done.stdout, patterns
            return "survived"
        if done.returncode < 0:
            return "crash"
        if "order: " in done.stdout:
            return "fault"
        return "order" if "decides the result" in done.stdout else "mismatch"

    def prepare(self):
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            target = self.build(folder)
            assert target, self.message
            self.object = target.read_bytes()
            begin = time.monotonic()
            outcome = self.test(folder, target, 600)
            assert outcome == "survived", f"{self.name} without a mutation: {outcome}"
            self.tests_take = time.monotonic() - begin


def try_out(mutation, operators):
    """The first operator's tests that notice decide; those where the compiler does not are passed over."""
    outcome = "no effect"
    for operator in operators:
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            target = operator.build(folder, mutation.file, mutation.source)
            if target is None:
                return "does not compile"
            if target.read_bytes() == operator.object:
                continue
            outcome = operator.test(folder, target, 20 + 10 * operator.tests_take)
            if outcome != "survived":
                return outcome
    return outcome


def read_table():
    """(file, function, change, text) of every explained survivor."""
    rows = set()
    for line in TABLE.read_text().splitlines():
        if line and not line.startswith("#"):
            file, function, change, rest = line.split(" | ", 3)
            text, reason = rest.rsplit(" | ", 1)  # source text may have a " | "
            assert reason.strip() not in ("", "why?"), f"{TABLE.name}: {line}"
            rows.add((file, function, change, text))
    return rows


def main():
    commands = json.loads((BUILD / "compile_commands.json").read_text())
    operators = [Operator(command) for command in commands if command["file"].endswith(".cu")]
    files = sorted({each for operator in operators for each in operator.includes if each.endswith((".cu", ".cuh"))})
    everything = "LOCKSTEP_SOAK" in os.environ
    chosen = sys.argv[1:] or (files if everything else ["ColumnSum.cuh", "bias_gelu/BiasGelu.cu"])
    assert set(chosen) <= set(files), f"not among {files}"
    mutations = [mutation for file in chosen for mutation in mutations_of(file)]
    explained = read_table()
    if not everything:  # the first of a few kinds in each file
        few = ("barrier dropped", "stride + 1", "store dropped", "alignment not checked", "divide_up to /")
        first = {}
        for mutation in mutations:
            if mutation.change in few and mutation.key() not in explained:
                first.setdefault((mutation.change, mutation.file), mutation)
        mutations = list(first.values())

    def operators_for(mutation):
        """Those that name what is mutated come first."""
        of_file = [each for each in operators if mutation.file in each.includes]
        return sorted(of_file, key=lambda each: not re.search(rf"\b{mutation.function}\b", each.text))

    used = operators if everything else [each for each in operators if each.name == "bias_gelu"]
    counts = {}
    failed = False
    survivors = set()
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        list(pool.map(Operator.prepare, used))
        outcomes = pool.map(lambda each: try_out(each, [o for o in operators_for(each) if o in used]), mutations)
        for mutation, outcome in zip(mutations, outcomes):
            explanation = outcome == "survived" and mutation.key() in explained
            outcome += ", explained" if explanation else ""
            counts[outcome] = counts.get(outcome, 0) + 1
            print(f"{outcome:20} {mutation}", flush=True)
            if outcome.startswith("survived"):
                survivors.add(mutation.key())
                if not explanation:
                    failed = True
                    print("    " + " | ".join(mutation.key()) + " | why?", flush=True)
    if everything:
        for row in sorted(explained - survivors):
            if row[0] in chosen:
                failed = True
                print(f"{TABLE.name}: no such survivor: {' | '.join(row)}")
    print(", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items())))
    sys.exit(1 if failed else 0)


# As ninja links kernels_test, without the shell's part of it.
LINK = shlex.split(subprocess.run(["ninja", "-C", BUILD, "-t", "commands", "kernels_test"], check=True, capture_output=True,
                                  text=True).stdout.splitlines()[-1])
LINK = LINK[LINK.index("&&") + 1:len(LINK) - 1 - LINK[::-1].index("&&")]

if __name__ == "__main__":
    main()
