"""What the tests of commands share: the commands in this process, and the server that they use."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from securechat.server.server import Server
from tests.cli.commands import Commands
from tests.server.support import make_home, running_server


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
