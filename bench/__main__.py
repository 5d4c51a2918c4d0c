"""Run the bench: servers in turn, each under the same load, and print what each cost.

Run as `python -m bench`, or `make bench`. Exits with 1 where anything was lost, doubled, out of order, or did not run.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench import page, plan
from bench.measure import raise_descriptor_limit
from bench.plan import Case
from bench.results import Result, as_json, as_text, table
from bench.scenarios.members import Figures
from bench.scenarios.talk import Talk
from bench.subjects import Subject


def parser() -> argparse.ArgumentParser:
    """The command line."""
    names = [subject.name for subject in plan.SUBJECTS]
    made = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measure securechat beside other servers: the same load for each, in turn, over TLS 1.3.",
        epilog="What else this machine does changes the figures, and much less the ratios within one run. How it is "
        "measured, and what came of it: docs/performance.md.",
    )
    made.add_argument("--only", metavar="NAMES", help=f"scenarios, with commas: {', '.join(plan.scenarios())}")
    made.add_argument("--subjects", metavar="NAMES", help=f"servers, with commas: {', '.join(names)} (default: all)")
    made.add_argument("--repeat", type=int, default=1, help="runs of each server in a case (default %(default)s)")
    made.add_argument("--full", action="store_true", help="the largest cases, too: 10 GB of temporary files")
    made.add_argument("--full-repeat", type=int, help="runs of what --full adds (default: as many as of the others)")
    made.add_argument("--json", action="store_true", help="print JSON, with every run")
    made.add_argument("--markdown", type=Path, metavar="FILE", help="put the tables into this file, between its marks")
    own = made.add_argument_group("a burst of one's own, in the place of all cases")
    own.add_argument("--readers", type=int, help="members of the room, the authors among them")
    own.add_argument("--authors", type=int, default=1, help="how many of them say something (default %(default)s)")
    own.add_argument("--in-flight", type=int, default=64, help="unacknowledged at once, each (default %(default)s)")
    own.add_argument(
        "--messages", type=int, default=0, help="each author's, at most (default: what goes into the time)"
    )
    own.add_argument("--seconds", type=float, default=3.0, help="how long they speak (default %(default)s)")
    own.add_argument("--pasted", action="store_true", help="what may be said at once goes out in one write")
    return made


def main(words: Sequence[str] | None = None) -> int:
    """Do what the command line asks for; the exit code."""
    asking = parser()
    asked = asking.parse_args(words)
    only, wanted = (value.split(",") if value else [] for value in (asked.only, asked.subjects))
    for unknown in {*only} - {*plan.scenarios()} | {*wanted} - {subject.name for subject in plan.SUBJECTS}:
        asking.error(f"unknown: {unknown}")
    cases = plan.chosen(only, full=asked.full)
    if asked.readers:
        talk = Talk(asked.readers, asked.authors, asked.in_flight, seconds=asked.seconds, messages=asked.messages)
        cases = [plan.burst(talk._replace(pasted=asked.pasted))]
    raise_descriptor_limit()
    began = page.state_of_the_machine()
    results = run_all(cases, installed(wanted), asked.repeat, asked.full_repeat or asked.repeat, quiet=asked.json)
    if asked.json:
        print(json.dumps(as_json(results), indent=2))
    if asked.markdown:
        page.write(asked.markdown, results, began)
    wrong = [f"{one.case.scenario}: {one.case.title}: {one.subject}: {one.wrong}" for one in results if one.wrong]
    for line in wrong:
        print(f"WRONG: {line}", file=sys.stderr)
    return 1 if wrong else 0


def installed(wanted: Sequence[str]) -> list[Subject]:
    """Those of the wanted servers that are here; of the others, why not."""
    found = []
    for subject in plan.SUBJECTS:
        if wanted and subject.name not in wanted:
            continue
        why = subject.missing()
        if why:
            print(f"{subject.name} is left out. {why}", file=sys.stderr)
        else:
            found.append(subject)
    return found


def run_all(
    cases: Sequence[Case], subjects: Sequence[Subject], repeat: int, full_repeat: int, *, quiet: bool
) -> list[Result]:
    """All cases; unless `quiet`, each scenario's table as soon as it is there."""
    results: list[Result] = []
    for scenario in dict.fromkeys(case.scenario for case in cases):
        its = []
        for case in cases:
            if case.scenario == scenario:
                its += run_in_turn(case, plan.doing(case, subjects), full_repeat if case.full else repeat)
        if its and not quiet:
            print(f"\n{scenario}\n{as_text(table(its))}", flush=True)
        results += its
    return results


def run_in_turn(case: Case, subjects: Sequence[Subject], repeat: int) -> list[Result]:
    """Ours, theirs, ours, theirs: what the machine does meanwhile comes to all of them."""
    runs: dict[str, list[Figures]] = {subject.name: [] for subject in subjects}
    failed = {subject.name: "" for subject in subjects}
    for number in range(1, repeat + 1):
        for subject in subjects:
            if failed[subject.name]:
                continue
            print(f"{case.scenario}: {case.title}: {subject.name}, {number} of {repeat}", file=sys.stderr)
            try:
                with tempfile.TemporaryDirectory(prefix="securechat-bench-") as folder:
                    runs[subject.name].append(case.run(subject, Path(folder)))
            except (RuntimeError, OSError) as error:
                failed[subject.name] = str(error)
    return [Result(case, subject.name, runs[subject.name], failed[subject.name]) for subject in subjects]


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
