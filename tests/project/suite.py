"""Run the whole suite, several parts at once, and hold the coverage.

Run as `python -m tests.project.suite`. Each folder of tests is one run of pytest, a large one several, and those that
are not measured share theirs. What each says is shown when it has ended. The last lines name what failed and count all
tests, in the form of pytest's own closing line.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Final, NamedTuple

TESTS: Final = Path("tests")

CORE: Final = ("chat", "protocols", "accounts", "journal")
"""What must be covered in every branch by tests of its own."""

OVERALL: Final = 90
"""Percent of the branches of everything, by all tests together."""

UNMEASURED: Final = ("bench", "examples", "faults", "fuzz", "project", "trust")
"""Folders whose tests run the product in processes of its own, or none of it: measuring them finds nothing."""

FILES_A_RUN: Final = 10
"""Test files outside the core that one run takes: few runs, as each start costs seconds, but enough of like length to
keep every lane busy to the end."""

LANES: Final = (os.cpu_count() or 1) + 2
"""Runs at once: tests wait for each other's processes and for timers about as long as they compute."""

SLOWEST: Final = ("core", "server")
"""Begun first: whatever is begun last ends alone."""


class Run(NamedTuple):
    """One run of pytest: its name, and what it is given."""

    name: str
    arguments: list[str]


class Result(NamedTuple):
    """How a run ended, and everything that it said."""

    name: str
    code: int
    said: str


def plan(tests: Path) -> list[Run]:
    """The runs that together run every test file below `tests` once."""
    core = [str(tests / part) for part in CORE]
    covered = [f"--cov=securechat.{part}" for part in CORE]
    runs = [Run("core", [*core, *covered, "--cov-fail-under=100"])]
    others: dict[str, list[str]] = {}
    for path in sorted(tests.rglob("test_*.py")):
        part = path.relative_to(tests).parts[0]
        if part not in CORE:
            others.setdefault("unmeasured" if part in UNMEASURED else part, []).append(str(path))
    for part, files in others.items():
        share = -(-len(files) // FILES_A_RUN)
        measure = [] if part == "unmeasured" else ["--cov=securechat", "--cov-report="]
        for number in range(share):
            name = f"{part}-{number + 1}" if share > 1 else part
            runs.append(Run(name, [*files[number::share], *measure]))
    return sorted(runs, key=lambda run: not run.name.startswith(SLOWEST))


def run_tests(run: Run) -> Result:
    """Run pytest, and keep its measure of coverage apart from that of the others."""
    colour = "yes" if sys.stdout.isatty() else "no"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", f"--color={colour}", *run.arguments],
        # Bytecode is kept even where Python was told not to: every server that a test starts would be compiled anew.
        env=os.environ | {"COVERAGE_FILE": f".coverage.{run.name}", "PYTHONDONTWRITEBYTECODE": ""},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return Result(run.name, done.returncode, done.stdout)


def coverage(*arguments: str) -> int:
    """Run one command of coverage, and return its exit code."""
    return subprocess.run([sys.executable, "-m", "coverage", *arguments], check=False).returncode


def plain(said: str) -> str:
    """The text without its colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", said)


def failures(results: list[Result]) -> list[str]:
    """A line for each thing that failed; a run that could not even say what it was is named by its exit code."""
    found = []
    for result in results:
        lines = re.findall(r"^(?:FAILED|ERROR|FAIL) .*$", plain(result.said), re.MULTILINE)
        if result.code and not lines:
            lines = [f"FAILED with exit code {result.code}"]
        found += [f"{result.name}: {line}" for line in lines]
    return found


def closing_line(said: list[str], seconds: float) -> str:
    """What pytest would have said at the end of one run of everything."""
    counts: Counter[str] = Counter()
    for text in said:
        for line in re.findall(r"^=+ (.*) in [0-9.]+s\b.*=+$", plain(text), re.MULTILINE):
            # 1 error and 2 errors are 3 errors.
            counted = re.sub(r"\b(error|warning)\b", r"\1s", line)
            counts.update({word: int(count) for count, word in re.findall(r"(\d+) (\w+)", counted)})
    told = ", ".join(f"{count} {word}" for word, count in sorted(counts.items())) or "no tests ran"
    return f" {told} in {seconds:.2f}s ".center(80, "=")


def hear_interrupts() -> None:
    """Have Ctrl-C do what it does in a terminal, here and in all that is started: a shell has whatever it runs in the
    background ignore it, and the tests that press it would fail."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def main() -> None:
    """Run everything; exit with 1 when a test fails or too little is covered."""
    hear_interrupts()
    began = time.monotonic()
    coverage("erase")
    runs = plan(TESTS)
    results = []
    print(f"{len(runs)} runs of pytest, {LANES} at once; each is shown when it has ended.", flush=True)
    with ThreadPoolExecutor(LANES) as lanes:
        try:
            for future in as_completed([lanes.submit(run_tests, run) for run in runs]):
                results.append(future.result())
                print(results[-1].said, flush=True)
        except KeyboardInterrupt:
            # The terminal has told those that run as well; the others must not begin.
            lanes.shutdown(cancel_futures=True)
            sys.exit(130)
    covered = coverage("combine", "--quiet") == 0 and coverage("report", f"--fail-under={OVERALL}") == 0
    if not covered:
        print(f"FAILED: the coverage of everything is to be {OVERALL} percent")
    for line in failures(results):
        print(line)
    print(closing_line([result.said for result in results], time.monotonic() - began), flush=True)
    sys.exit(0 if covered and not any(result.code for result in results) else 1)


if __name__ == "__main__":
    main()
