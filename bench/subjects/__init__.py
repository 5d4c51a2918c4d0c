"""The servers that are measured: how each is started for full speed, and how one talks to it."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple, Protocol

from bench.talker import Talker


class Serving(NamedTuple):
    """A server that listens on 127.0.0.1."""

    pid: int
    port: int
    ca_file: Path
    host_name: str
    """The name in its certificate."""
    talker: Callable[[str, Sequence[str]], Talker]
    """A codec that logs in, for an account and the rooms that it shall be in."""
    by_password: Callable[[str, Sequence[str]], Talker] | None = None
    """The same with a password, where `talker` has something cheaper."""
    nodes: Sequence[tuple[int, int]] = ()
    """Where several servers are one: the process and the port of each, over which members are dealt."""

    @property
    def pids(self) -> list[int]:
        """The processes whose cost counts."""
        return [pid for pid, _ in self.nodes] or [self.pid]


class Subject(Protocol):
    """A kind of server."""

    @property
    def name(self) -> str:
        """What it is called in tables and on the command line."""

    @property
    def durable(self) -> bool:
        """Whether acknowledged means on disk."""

    @property
    def settings(self) -> str:
        """What was set for speed, each with its reason, one a line."""

    def missing(self) -> str:
        """Empty, or why it cannot run here."""

    def serve(
        self, folder: Path, rooms: Mapping[str, Sequence[str]], accounts: Sequence[str]
    ) -> AbstractContextManager[Serving]:
        """Run it in a folder, for these accounts, with the members of each room."""
