#!/usr/bin/env python3
"""Do the kernels' tests notice a fault? Plants faults in the CUDA sources, one at a time, and runs the emulated form.

A mutation is caught when a test fails, faults, crashes or does not end. One that no test notices must be in
mutation_survivors.txt, with the reason why it changes nothing that a test could see; any other survivor, and a row that
fits no survivor, is an error. A mutation that does not compile, or leaves the compiler's output as it was, does not count.

Most of the time goes into compiling templates for types of which one is enough to notice a fault. So each mutation is
first compiled for the first type of every LOCKSTEP_FOR_EACH_ list alone, and meets the tests of that type; only one that
these let pass is compiled and tested in full. Of a loop whose number of turns is a constant no turns are left out by a
stride of 2: that its first turn is missing (a mutation of its own) is noticed by the same comparisons.

LOCKSTEP_BUILD names the build directory, in which kernels_test has been built. Without LOCKSTEP_SOAK only a few mutations
of one operator run; with it all of them, or those of the sources named as arguments, relative to kernels/.
"""

import concurrent.futures
import dataclasses
import json
import math
import os
import pathlib
import re
import resource
import shlex
import signal
import subprocess
import sys
import tempfile

SOURCE = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ["LOCKSTEP_BUILD"])
TABLE = pathlib.Path(__file__).with_name("mutation_survivors.txt")
# Suites of operators whose test file has others beside them; any other operator's are all of the files that include its
# header.
SUITES = {}
FIRST_OF_LIST = r"(#define LOCKSTEP_FOR_EACH_\w+\(Do\)(?:\s|\\\n)*Do\([^()]*\))"


@dataclasses.dataclass(frozen=True)
class Mutation:
    file: str  # relative to kernels/
    function: str  # the definition that it is in
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
    yield from each(r"(; [^;]*[<>=] (?!k[A-Z]\w*;|\d+;)[^;<>]*); \+\+(\w+)\)", r"\1; \2 += 2)", "stride 2")
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


def functions_of(code):
    """The definition that each line is in."""
    functions = []
    function, unnamed = "-", False
    for line in code.split("\n"):
        definition = re.match(r"(?:struct|class) (?:alignas\(.*\) )?(\w+)|\w.*?\b(?!__launch_bounds__)(\w+)\(", line)
        if unnamed:
            definition = re.match(r" +((\w+))\(", line)
        if definition:
            function = definition[1] or definition[2]
        unnamed = line.startswith("__global__") and not definition  # the bounds left no room for it
        functions.append(function)
    return functions


def mutations_of(file):
    source = (SOURCE / "kernels" / file).read_text()
    code = blank(r'//[^\n]*|/\*.*?\*/|"(?:[^"\\\n]|\\.)*"', source, re.S)
    code = blank(r"^ *#(?:[^\n]*\\\n)*[^\n]*|\bstatic_assert\([^;]*;", code, re.M)
    lines = source.split("\n")
    functions = functions_of(code)
    seen = {}
    for begin, end, new, change in sorted(replacements(code)):
        line = source.count("\n", 0, begin)
        function = functions[line]
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
        # Of the source as it is, for the first types alone (True) and all (False); processor seconds that tests may take.
        self.objects = {}
        self.limits = {}

    def find_suites(self):
        suites = []
        for test in sorted((SOURCE / "tests" / "kernels").glob("*Test.cpp")):
            if self.header in includes(str(test.relative_to(SOURCE))):
                suites += re.findall(r"^(?:TYPED_TEST_SUITE|TEST|TEST_F|TEST_P)\((\w+),", test.read_text(), re.M)
        assert suites, f"no test in tests/kernels includes {self.header}"
        return sorted(set(suites))

    def build(self, folder, first_types, file=None, source=None):
        """The object, with `source` in place of `file`, for all types or the first ones; None if it does not compile."""
        path = SOURCE / "kernels" / self.file
        overlay = folder / "overlay" / "kernels"
        texts = {} if file is None else {file: source}
        if first_types:
            for name in sorted(self.includes):
                text = texts.get(name) or (SOURCE / "kernels" / name).read_text()
                shorter = re.sub(FIRST_OF_LIST + r"(?:[^\n]*\\\n)*[^\n]*", r"\1", text)
                if shorter != text:
                    texts[name] = shorter
        for name, text in texts.items():
            changed = overlay / name
            changed.parent.mkdir(parents=True, exist_ok=True)
            changed.write_text(text)
            if name == self.file:
                path = changed
        target = folder / "mutant.o"
        # What asserts and source_location keep of the path must not differ.
        command = [self.compiler[0], f"-ffile-prefix-map={overlay}={SOURCE}/kernels", f"-I{overlay.parent}",
                   *self.compiler[1:], "-c", path, "-o", target]
        done = subprocess.run(command, cwd=BUILD, capture_output=True, text=True)
        self.message = done.stderr
        return target if done.returncode == 0 else None

    def test(self, folder, target, first_types, seconds):
        """'survived', or how the tests noticed; and the processor seconds they took, at most `seconds`."""
        program = folder / "kernels_test"
        words = list(LINK)
        words[words.index("-o") + 1] = str(program)
        # Before the archive that has the original, which still gives what was not compiled.
        words[words.index("-o"):words.index("-o")] = [str(target), "-Wl,--allow-multiple-definition"]
        subprocess.run(words, cwd=BUILD, check=True)
        types = "/0.*" if first_types else "/*"
        patterns = ":".join(suite + pattern for suite in self.suites for pattern in (".*", types))
        # The limit is one of processor time: the machine may have other work.
        limits = lambda: resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(seconds), math.ceil(seconds)))
        with open(folder / "output", "w+", errors="replace") as output:
            process = subprocess.Popen([program, f"--gtest_filter={patterns}", "--gtest_fail_fast"], stdout=output,
                                       stderr=subprocess.DEVNULL, preexec_fn=limits,
                                       env={**os.environ, "OMP_NUM_THREADS": "1", "LOCKSTEP_EMULATED_ONLY": "1"})
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            output.seek(0)
            text = output.read()
        taken = usage.ru_utime + usage.ru_stime
        if process.returncode == 0:
            assert "[  PASSED  ] 0 tests" not in text, patterns
            return "survived", taken
        if process.returncode < 0:
            return ("timeout" if -process.returncode in (signal.SIGXCPU, signal.SIGKILL) else "crash"), taken
        if "order: " in text:
            return "fault", taken
        return ("order" if "decides the result" in text else "mismatch"), taken

    def prepare(self):
        for first_types in (True, False):
            with tempfile.TemporaryDirectory() as folder:
                folder = pathlib.Path(folder)
                target = self.build(folder, first_types)
                assert target, self.message
                self.objects[first_types] = target.read_bytes()
                outcome, taken = self.test(folder, target, first_types, 600)
                assert outcome == "survived", f"{self.name} without a mutation: {outcome}"
                self.limits[first_types] = 3 + 5 * taken

    def try_out(self, mutation):
        # Where there are no lists, the objects are alike.
        for first_types in (True, False)[1 if self.objects[True] == self.objects[False] else 0:]:
            with tempfile.TemporaryDirectory() as folder:
                folder = pathlib.Path(folder)
                target = self.build(folder, first_types, mutation.file, mutation.source)
                if target is None:
                    return "does not compile"
                outcome = "no effect"
                if target.read_bytes() != self.objects[first_types]:
                    outcome, _ = self.test(folder, target, first_types, self.limits[first_types])
            if outcome not in ("no effect", "survived"):
                break
        return outcome


def try_out(mutation, operators):
    """The first operator's tests that notice decide; those where the compiler does not are passed over."""
    outcome = "no effect"
    for operator in operators:
        found = operator.try_out(mutation)
        if found != "no effect":
            outcome = found
        if found not in ("no effect", "survived"):
            break
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
    if not everything:  # the last of a few kinds in each file: the first barrier there matters to another operator only
        few = ("barrier dropped", "stride + 1", "store dropped", "alignment not checked", "divide_up to /")
        last = {(mutation.change, mutation.file): mutation for mutation in mutations
                if mutation.change in few and mutation.key() not in explained}
        mutations = list(last.values())

    def operators_for(mutation):
        """Those that name what is mutated come first."""
        of_file = [each for each in operators if mutation.file in each.includes]
        return sorted(of_file, key=lambda each: not re.search(rf"\b{mutation.function}\b", each.text))

    used = [each for each in operators if each.name == "bias_gelu" or everything and each.includes & set(chosen)]
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
