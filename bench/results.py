"""What came of the runs, as tables for people and as JSON: medians, and ratios to the first server of the same run."""

from collections.abc import Sequence
from statistics import median
from typing import Final, NamedTuple

from bench.plan import WRONG, Case
from bench.scenarios.members import Figures

IDLE_LEAST: Final = 0.05
"""The idle share below which the generator, and not the server, may have set the pace."""


class Result(NamedTuple):
    """One server's runs of one case; `failed` says why there are none."""

    case: Case
    subject: str
    runs: Sequence[Figures]
    failed: str = ""

    @property
    def medians(self) -> Figures:
        """The median of each figure over the runs; of what must be 0, the sum."""
        names = self.runs[0] if self.runs else ()
        return {name: (sum if name in WRONG else median)(run[name] for run in self.runs) for name in names}

    @property
    def wrong(self) -> str:
        """What must not be, in words, or empty."""
        said = [f"{self.medians[name]:.0f} {name}" for name in WRONG if self.medians.get(name)]
        return ", ".join(said) or self.failed


def table(results: Sequence[Result]) -> list[list[str]]:
    """The results of one scenario: a row of headings, then a row a case and server."""
    shown = results[0].case.shown
    rows = [["case", "server", "runs", "times", *shown, "wrong", "generator idle"]]
    first: dict[str, float] = {}
    for result in results:
        case, figures = result.case, result.medians
        if result.failed:
            rows.append([case.title, result.subject, *[""] * (len(rows[0]) - 3), result.failed])
            continue
        value = figures[case.compared]
        ratio = value / first.setdefault(case.scenario if case.grows else case.title, value)
        numbers = [_number(figures[name]) for name in shown]
        checked = [figures[name] for name in WRONG if name in figures]
        wrong = f"{sum(checked):.0f}" if checked else ""
        rows.append(
            [case.title, result.subject, str(len(result.runs)), f"{ratio:.2f}", *numbers, wrong, _idle(figures)]
        )
    return rows


def as_text(rows: Sequence[Sequence[str]]) -> str:
    """The rows as columns for a terminal: words to the left, numbers to the right."""
    widths = [max(len(row[column]) for row in rows if column < len(row)) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row[:2], widths[:2], strict=False)]
        cells += [cell.rjust(width) for cell, width in zip(row[2:], widths[2:], strict=False)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def as_markdown(rows: Sequence[Sequence[str]]) -> str:
    """The rows as a table in Markdown."""
    head, *body = rows
    lines = [head, ["---", "---", *["---:"] * (len(head) - 2)], *body]
    return "\n".join(f"| {' | '.join([*line, *[''] * (len(head) - len(line))])} |" for line in lines)


def as_json(results: Sequence[Result]) -> list[dict[str, object]]:
    """Everything, with every run."""
    return [
        {
            "scenario": result.case.scenario,
            "case": result.case.title,
            "server": result.subject,
            "medians": result.medians,
            "runs": result.runs,
            "failed": result.failed,
        }
        for result in results
    ]


def _idle(figures: Figures) -> str:
    if "generator idle" not in figures:
        return ""
    idle = figures["generator idle"]
    return f"{idle:.0%}" + " (the limit)" * (idle < IDLE_LEAST)


def _number(value: float) -> str:
    """Three digits that count, and thousands set apart."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
