"""The check of the docs finds what is broken and lets pass what is not."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.project.docs import Docs

Problems = Callable[[str, str], list[str]]


@pytest.fixture
def problems(tmp_path: Path) -> Problems:
    """Write one more file into a small project, and say what the check finds."""
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    (tmp_path / "docs").mkdir()
    (tmp_path / "chat").mkdir()
    (tmp_path / ".gitignore").write_text("/chat.toml\n")
    (tmp_path / "docs" / "design.md").write_text("# Design\n\n## The way of a message!\n")
    (tmp_path / "chat" / "rules.py").write_text("RULES = 1\ndef decide(): ...\n")

    def find(name: str, text: str) -> list[str]:
        (tmp_path / name).write_text(text)
        return Docs(tmp_path).problems()

    return find


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("See [the design](docs/desing.md).", "README.md: the link to docs/desing.md leads nowhere"),
        ("See [it](docs/design.md#the-way).", "README.md: the link to docs/design.md#the-way names no heading"),
        ("See [it](chat/rules.py#decides).", "README.md: the link to chat/rules.py#decides names no function"),
        ("See [above](#nothing).", "README.md: the link to #nothing names no heading"),
        ("Start at `chat/rulse.py`.", "README.md: there is no chat/rulse.py"),
        ("    cat docs/protocol.md", "README.md: there is no docs/protocol.md"),
        ("Tests are in `chat/tests/`.", "README.md: there is no chat/tests/"),
    ],
)
def test_what_leads_nowhere_is_found(problems: Problems, text: str, problem: str) -> None:
    assert problem in problems("README.md", text)


@pytest.mark.parametrize(
    "text",
    [
        "See [the design](docs/design.md#the-way-of-a-message) and [the start](#start).\n\n# Start\n",
        "See [the rule](chat/rules.py#decide).",
        "Look at [Python](https://www.python.org/about.md) and write to [us](mailto:us@example.org).",
        "`rules.py`, `chat/rules.py`, `chat/*.py` and `docs/` are here; `chat.toml` is what a run leaves here.",
        "Not of this folder: /etc/app.toml, ~/notes.md, $HOME/notes.md, <name>.toml; not a file: and/or, chat/1, a/b.",
        "```\nrows[index](argument)\n```\n",
    ],
)
def test_what_is_there_or_is_no_promise_passes(problems: Problems, text: str) -> None:
    assert problems("README.md", text) == []


@pytest.mark.parametrize("code", ['"""See docs/gone.md."""\n', "x = 1  # see docs/gone.md\n"])
def test_comments_and_docstrings_are_read_too(problems: Problems, code: str) -> None:
    assert problems("chat/more.py", code) == ["chat/more.py: there is no docs/gone.md"]


def test_a_link_may_lead_up(problems: Problems) -> None:
    assert problems("docs/more.md", "See [the rules](../chat/rules.py).") == []


def test_code_and_history_may_name_what_is_not_there(problems: Problems) -> None:
    assert problems("chat/more.py", 'open("docs/gone.md")\n') == []
    assert problems("CHANGELOG.md", "Removed `chat/old.py`.\n") == []
