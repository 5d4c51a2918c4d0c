"""Authors that do not give up: each says messages with ids of its own over raw connections, and after every break sends
again what was not acknowledged; meanwhile it reads the room on from where it was.

They know where the server is from a `Stage`, and nothing of what breaks it.
"""

import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Condition, Thread
from typing import Any, Final

from tests.server.support import DEADLINE, PASSWORD, Peer

ROOM: Final = "lobby"

WINDOW: Final = 24
"""Messages that an author has on their way at most, where a test says nothing else."""

RETRY_SECONDS: Final = 0.05
"""Between two attempts to reach a server that is not there."""


def text_of(id: str) -> str:
    """What the message with this id says: its id, and up to 1,000 characters more that the id decides."""
    return f"{id} {'ab' * (zlib.crc32(id.encode()) % 500)}"


class Stage:
    """Where the server is, how much of what is said was acknowledged, and when it is time to come to an end."""

    patience = DEADLINE
    """Seconds in which something must be acknowledged, and a server be there."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._port: int | None = None
        self._acknowledged = 0
        self.ending = False
        """Nothing new is said; what is on its way is brought home."""

    def open(self, port: int) -> None:
        """The server is there now."""
        with self._changed:
            self._port = port
            self._changed.notify_all()

    def shut(self) -> None:
        """It is not any more."""
        with self._changed:
            self._port = None

    def end(self) -> None:
        """Let the authors come to an end."""
        with self._changed:
            self.ending = True
            self._changed.notify_all()

    def acknowledge(self) -> None:
        """One more message was acknowledged."""
        with self._changed:
            self._acknowledged += 1
            self._changed.notify_all()

    def wait_acknowledged(self, more: int) -> None:
        """Wait for so many more acknowledgements."""
        with self._changed:
            goal = self._acknowledged + more
            assert self._changed.wait_for(lambda: self._acknowledged >= goal, self.patience), "nothing is acknowledged"

    def wait_open(self, failed: bool) -> int:
        """The server's port, when there is one; after a failure not at once."""
        with self._changed:
            if failed:
                self._changed.wait(RETRY_SECONDS)
            assert self._changed.wait_for(lambda: self._port is not None, DEADLINE), "the server does not come back"
            assert self._port is not None
            return self._port


class Author:
    """One author: what it said, what it was told, and what it heard. Runs on a thread of its own."""

    def __init__(self, name: str, stage: Stage, window: int = WINDOW) -> None:
        self.said: dict[str, str] = {}
        self.acknowledged: dict[str, int] = {}
        self.connections = 0
        self.resent = 0
        self.repeated = 0
        """Acknowledgements that said: this was recorded before."""
        self.renumbered = 0
        """Acknowledgements with another number than the first one for that id."""
        self.heard = 0
        self.misheard = 0
        """Records that came twice, or after a gap, or not as they were said."""
        self.failure: BaseException | None = None
        self._name = name
        self._stage = stage
        self._window = window
        self._waiting: dict[str, str] = {}
        self._cursor: int | None = None

    @property
    def waiting(self) -> int:
        """Messages on their way."""
        return len(self._waiting)

    def run(self) -> None:
        """Go on until the stage ends and everything is acknowledged."""
        try:
            failed = False
            while not self._stage.ending or self._waiting:
                port = self._stage.wait_open(failed)
                try:
                    with Peer(port) as peer:
                        self._come_in(peer)
                        self._talk(peer)
                    failed = False
                except (OSError, EOFError):
                    failed = True
        except BaseException as error:  # noqa: BLE001 - raised again by the thread that waits for this one
            self.failure = error

    def _come_in(self, peer: Peer) -> None:
        """Log in, and read on in the room. Raises EOFError, as everything here, when the server is gone."""
        first = peer.receive()
        peer.send({"type": "login", "username": self._name, "password": PASSWORD})
        welcome = peer.receive()
        assert (first["type"], welcome["type"]) == ("hello", "welcome"), (first, welcome)
        self.connections += 1
        if any(room["room"] == ROOM for room in welcome["rooms"]):
            peer.send({"type": "sync", "after": {ROOM: self._cursor or 0}})
        else:
            peer.send({"type": "join", "room": ROOM})
        self.resent += len(self._waiting)
        self._say(peer, self._waiting)

    def _talk(self, peer: Peer) -> None:
        while not self._stage.ending or self._waiting:
            new = {}
            # Half a window at a time: writes of several messages, as busy clients make them.
            if len(self._waiting) <= self._window // 2 and not self._stage.ending:
                numbers = range(len(self.said), len(self.said) + self._window - len(self._waiting))
                new = {id: text_of(id) for id in (f"{self._name}-{number}" for number in numbers)}
                self.said |= new
                self._waiting |= new
                self._say(peer, new)
            self._take(peer.receive())

    def _say(self, peer: Peer, messages: dict[str, str]) -> None:
        if messages:
            peer.send(*({"type": "say", "id": id, "room": ROOM, "text": text} for id, text in messages.items()))

    def _take(self, frame: dict[str, Any]) -> None:
        if frame["type"] == "ack":
            self._waiting.pop(frame["id"], None)
            self.repeated += frame.get("duplicate", False)
            self.renumbered += self.acknowledged.setdefault(frame["id"], frame["seq"]) != frame["seq"]
            self._stage.acknowledge()
        elif frame["type"] == "ping":
            return
        elif frame["type"] in ("message", "join"):
            wrong = frame["type"] == "message" and frame["text"] != text_of(frame["id"])
            self.misheard += wrong or (self._cursor is not None and frame["seq"] != self._cursor + 1)
            self._cursor = frame["seq"]
            self.heard += 1
        else:
            assert frame["type"] in ("joined", "synced", "bye", "presence"), frame


@contextmanager
def talking(authors: Sequence[Author], stage: Stage) -> Iterator[Callable[[], None]]:
    """Let the authors talk. Gives what brings them to an end: it returns when all that they said is acknowledged."""
    threads = [Thread(target=author.run, name="author", daemon=True) for author in authors]

    def finish() -> None:
        stage.end()
        for thread in threads:
            thread.join(2 * DEADLINE)
        for author in authors:
            if author.failure is not None:
                raise author.failure
            assert not author.waiting

    for thread in threads:
        thread.start()
    try:
        yield finish
    finally:
        stage.end()
        for thread in threads:
            thread.join(2 * DEADLINE)
