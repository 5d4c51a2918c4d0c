"""Every line of trust is there and names tests that are there; so do the README's claims."""

import ast
import re
from functools import cache

import pytest

from tests.project.tree import ROOT
from tests.trust.lines import LINES

COUNTS = {"T": 12, "I": 4, "P": 8, "A": 6, "H": 4, "U": 3, "D": 7, "O": 5}
"""How many lines there are of each kind."""

NAMED_TEST = re.compile(r"\[[^\]]+\]\((tests/[\w/]+\.py)#(test_\w+)\)")


@cache
def the_tests_in(path: str) -> frozenset[str]:
    """The tests in a file of this project; none where there is no such file."""
    file = ROOT / path
    if not file.is_file():
        return frozenset()
    return frozenset(
        node.name
        for node in ast.parse(file.read_text("utf-8")).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    )


def test_no_line_is_left_out() -> None:
    assert list(LINES) == [f"{kind}{number}" for kind, count in COUNTS.items() for number in range(1, count + 1)]


def test_every_line_is_held_by_a_test() -> None:
    assert [name for name, line in LINES.items() if not line.tests] == []


@pytest.mark.parametrize("name", LINES)
def test_every_test_that_a_line_names_is_there(name: str) -> None:
    for named in LINES[name].tests:
        file, _, test = named.partition("::")
        assert f"test_{test}" in the_tests_in(f"tests/{file}"), named


def test_what_the_readme_claims_of_durability_tls_and_passwords_names_its_test() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    claims = text.partition("## What it does, and what it does not\n")[2].partition("\n## ")[0]
    bold = [claim for claim in re.split(r"\n(?=- )", claims) if re.search(r"TLS|[Pp]assword|kill|power cut", claim)]
    assert len(bold) >= 3
    for claim in bold:
        named = NAMED_TEST.findall(claim)
        assert named, f"this claim names no test: {claim}"
        assert [test for path, test in named if test not in the_tests_in(path)] == []


def test_the_gates_are_in_make_check() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    check = makefile.partition("\ncheck:")[2].partition("\n\n")[0]
    for gate in ("ruff check", "mypy", "lint-imports", "tests.project.docs", "tests.project.pages", "-m fuzz"):
        assert gate in check, gate
    settings = (ROOT / "pyproject.toml").read_text("utf-8")
    assert "strict = true" in settings
    assert re.search(r'^select = \[.*"S".*\]$', settings, re.MULTILINE), "ruff's rules for security"
    assert makefile.count("--require-hashes") == 1


def test_what_is_not_promised_is_said_plainly() -> None:
    for page in ("SECURITY.md", "docs/threats.md", "README.md"):
        text = " ".join((ROOT / page).read_text("utf-8").replace("*", "").split())
        assert "not end-to-end encrypted" in text, page
