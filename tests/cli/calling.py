"""A command called in this process: its exit code and what it wrote; quick, where no terminal and no signal matters."""

from typing import NamedTuple

import typer
from typer.testing import CliRunner

from securechat.cli import commands
from securechat.cli.app import app


class Done(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


def call(*words: str) -> Done:
    """Call `securechat WORDS…`; an unexpected failure is raised."""
    assert commands.__doc__, "importing it has registered every command"
    result = CliRunner().invoke(app, words)
    if result.exception is not None and not isinstance(result.exception, SystemExit | typer.Exit):
        raise result.exception
    return Done(result.exit_code, result.stdout, result.stderr)
