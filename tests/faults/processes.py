"""`securechat serve` in a process of its own, to be killed, starved or left alone; and the log that it leaves."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from securechat.chat.model import Record
from securechat.journal.store import Store
from securechat.journal.verify import verify_store
from tests.faults.authors import ROOM
from tests.project.tree import ROOT, environment


@contextmanager
def started(home: Path, wrapper: Sequence[str] = ()) -> Iterator[subprocess.Popen[str]]:
    """The process from its first moment; `wrapper` are the words of a command that runs it. It is dead at the end."""
    command = [*wrapper, sys.executable, "-m", "securechat", "serve", "--home", str(home), "--port", "0"]
    # Its own log is a file: a pipe that nobody reads would fill up.
    with (
        (home / "stderr").open("w") as log,
        subprocess.Popen(
            command, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, stderr=log, text=True
        ) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


def port_of(process: subprocess.Popen[str], home: Path) -> int:
    """Wait until it serves."""
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("securechat is listening on 127.0.0.1:"), (home / "stderr").read_text()
    return int(line.rpartition(":")[2])


def log_of(home: Path) -> list[Record]:
    """The whole log of the room, as the store of a server that has ended has it; it verifies."""
    return logs_of(home, [ROOM])[ROOM]


def logs_of(home: Path, rooms: Sequence[str]) -> dict[str, list[Record]]:
    """The same of several rooms."""
    path = home / "chat.db"
    with closing(Store(path, "full")) as store, closing(store.reader()) as reader:
        logs = {room: reader.page(room, after=0, limit=1_000_000_000).records for room in rooms}
    flaw = verify_store(path).flaw
    assert flaw is None, flaw
    return logs
