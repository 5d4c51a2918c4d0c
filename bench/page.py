"""The tables in docs/performance.md, between two marks that the file has already, with the machine they come from."""

import os
import platform
import re
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bench.plan import SUBJECTS
from bench.results import Result, as_markdown, table

BEGIN: Final = "<!-- made by python -m bench: begin -->"
END: Final = "<!-- made by python -m bench: end -->"


def state_of_the_machine() -> str:
    """How busy it is: the load average of the last minute."""
    return f"{os.getloadavg()[0]:.1f}"


def write(path: Path, results: Sequence[Result], load_before: str) -> None:
    """Put the tables in the place of those that are there. Raises RuntimeError if the file has not both marks."""
    text = path.read_text("utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise RuntimeError(f"{path} has not the lines {BEGIN} and {END}.")
    path.write_text(f"{before}{begin}\n\n{_made(results, load_before)}\n{end}{after}", "utf-8")


def _made(results: Sequence[Result], load_before: str) -> str:
    machine = f"{os.cpu_count()} processors ({_processor()}), Linux {platform.release()}"
    software = f"Python {platform.python_version()}, {ssl.OPENSSL_VERSION}"
    load = f"Load average before: {load_before}, after: {state_of_the_machine()}"
    parts = [f"{machine}, {software}. Medians of the runs, in turn. {load}.\n"]
    for scenario in dict.fromkeys(result.case.scenario for result in results):
        rows = table([result for result in results if result.case.scenario == scenario])
        parts.append(f"### {scenario}\n\n{as_markdown(rows)}\n")
    parts.append("### Settings\n")
    measured = {result.subject for result in results}
    for subject in SUBJECTS:
        if subject.name in measured:
            lines = "".join(f"\n- {line}" for line in subject.settings.splitlines())
            parts.append(f"{subject.name}:\n{lines}\n")
    return "\n".join(parts)


def _processor() -> str:
    found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else platform.machine()
