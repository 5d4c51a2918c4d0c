"""What the tests of commands share: the commands in this process, and the server that they use."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import typer.main
import typer.testing

import securechat.cli.commands
from securechat.server.server import Server
from tests.cli.commands import Commands
from tests.server.support import make_home, running_server


@pytest.fixture(autouse=True, scope="session")
def one_tree_of_commands() -> Iterator[None]:
    """Build the tree of all commands once: Typer does it at every call, and that takes longer than most commands."""
    assert securechat.cli.commands.__doc__, "importing it has registered every command"
    once = cache(typer.main.get_command)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(typer.main, "get_command", once)
        patch.setattr(typer.testing, "_get_command", once)
        yield


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Commands:
    """Commands, and a home for a server."""
    made = Commands(tmp_path, monkeypatch, capfd)
    make_home(made.home)
    return made


@pytest.fixture
def served(commands: Commands) -> Iterator[Server]:
    """The server that the commands use."""
    with running_server(commands.home) as running:
        commands.port = running.port
        yield running
