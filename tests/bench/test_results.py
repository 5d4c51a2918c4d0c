"""What is made of the runs: medians, ratios, what is wrong, and the page."""

from pathlib import Path

import pytest

from bench import page, plan
from bench.results import Result, as_markdown, as_text, table
from bench.scenarios.members import Figures
from tests.project.tree import ROOT

BURST = plan.CASES[0]


def figures(cost: float, **more: float) -> Figures:
    return dict.fromkeys(BURST.shown, 1.0) | {plan.PER_DELIVERY: cost, "generator idle": 0.5, "lost": 0.0} | more


def test_the_table_has_medians_and_ratios_to_the_first() -> None:
    ours = Result(BURST, "securechat", [figures(0.5), figures(9), figures(0.4)])
    theirs = Result(BURST, "inspircd", [figures(5), figures(10), figures(2000)])
    head, first, second = table([ours, theirs])
    at = head.index(plan.PER_DELIVERY)
    assert [row[at] for row in (first, second)] == ["0.50", "10.0"]
    assert [row[2:4] for row in (first, second)] == [["3", "1.00"], ["3", "20.00"]]
    assert (ours.wrong, theirs.wrong) == ("", "")


def test_growth_is_compared_with_the_first_case() -> None:
    few, many = (plan.more_connections(count) for count in (10, 1000))
    rows = table(
        [Result(case, "securechat", [dict.fromkeys(case.shown, value)]) for case, value in ((few, 20.0), (many, 15.0))]
    )
    assert [row[3] for row in rows[1:]] == ["1.00", "0.75"]


def test_one_lost_message_in_any_run_is_wrong() -> None:
    result = Result(BURST, "securechat", [figures(1), figures(1, lost=1), figures(1)])
    assert result.wrong == "1 lost"
    head, row = table([result])
    assert row[head.index("wrong")] == "1"


def test_a_generator_that_never_waits_is_told() -> None:
    busy = table([Result(BURST, "securechat", [figures(1, **{"generator idle": 0.01})])])
    assert busy[1][-1] == "1% (the limit)"


def test_a_server_that_failed_says_why_in_its_row() -> None:
    result = Result(BURST, "inspircd", [], "It does not listen.")
    assert result.wrong == "It does not listen."
    assert "It does not listen." in as_text(table([result]))


def test_the_page_gets_the_tables_between_its_marks(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text(f"before\n{page.BEGIN}\nold\n{page.END}\nafter\n")
    results = [Result(BURST, "securechat", [figures(1)])]
    for _ in range(2):
        page.write(path, results, "0.1")
    text = path.read_text()
    assert text.startswith(f"before\n{page.BEGIN}\n")
    assert text.endswith(f"{page.END}\nafter\n")
    assert text.count(as_markdown(table(results))) == 1
    assert "old" not in text
    assert "durability full" in text


def test_a_page_without_marks_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text("mine\n")
    with pytest.raises(RuntimeError, match="has not the lines"):
        page.write(path, [Result(BURST, "securechat", [figures(1)])], "0.1")
    assert path.read_text() == "mine\n"


def test_the_page_has_its_marks_and_every_scenario() -> None:
    text = (ROOT / "docs" / "performance.md").read_text("utf-8")
    assert text.count(page.BEGIN) == text.count(page.END) == 1
    assert [name for name in plan.scenarios() if f"`{name}`" not in text] == []


def test_the_largest_cases_run_only_when_all_is_asked_for() -> None:
    default, everything = (plan.chosen([], full=full) for full in (False, True))
    large = ("10,000 connections", "1,000,000 records", "50,000 records")
    assert not [case.title for case in default if any(size in case.title for size in large)]
    assert all(any(size in case.title for case in everything) for size in large)
    assert {case.scenario for case in default} == {*plan.scenarios()}
