"""Every command, argument and option tells what it is for."""

from collections.abc import Iterator
from typing import Any

import typer
from typer.testing import CliRunner

from securechat import __version__
from securechat.cli import commands
from securechat.cli.app import app

LINE = 65
"""Characters of help that fit beside a command's name in the list of commands, 80 columns wide; the rest is cut."""


def every_command(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    yield name, command
    for child, below in getattr(command, "commands", {}).items():
        yield from every_command(below, f"{name} {child}")


def test_every_command_says_in_one_line_what_it_does() -> None:
    assert commands.__doc__, "importing it has registered every command"
    root = typer.main.get_command(app)
    for name, command in every_command(root, "securechat"):
        first = (command.help or "").split("\n\n")[0]
        assert first, f"{name} says nothing"
        if command is not root:  # which stands in no list
            assert len(first) <= LINE, f"{name} says more than the list of commands shows: {first}"


def test_every_option_says_what_it_is_for() -> None:
    for name, command in every_command(typer.main.get_command(app), "securechat"):
        silent = [parameter.opts for parameter in command.params if not getattr(parameter, "help", "")]
        assert silent == [], f"{name} has options without help"


def test_the_version_is_told_and_nothing_else_is_done() -> None:
    done = CliRunner().invoke(app, ["--version", "serve"])
    assert (done.exit_code, done.stdout) == (0, f"securechat {__version__}\n")
