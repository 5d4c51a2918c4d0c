"""What a caller waits for: the acknowledgement of a line, or the answer to a request. It knows no connection."""

import threading
from typing import Final, Literal

import msgspec

from securechat.errors import SecurechatError, Unreachable
from securechat.protocols.frames import (
    Ack,
    Answer,
    AnyRequest,
    Consumers,
    Forget,
    History,
    Join,
    Members,
    Ping,
    Read,
    Rooms,
    Say,
    Search,
    Sessions,
    Subscribe,
    Sync,
)

REPEATABLE: Final = (
    Say,
    Consumers,
    Forget,
    History,
    Join,
    Members,
    Ping,
    Read,
    Rooms,
    Search,
    Sessions,
    Subscribe,
    Sync,
)
"""What is sent again on the next connection when no answer came: asking twice changes nothing."""


class Receipt(msgspec.Struct, frozen=True):
    """The server's word that a line is on its disk: its number in the room, and the time (milliseconds since 1970 UTC)
    when it was recorded. `duplicate` says that it was recorded before, when it was first sent under this `id`."""

    room: str
    seq: int
    time: int
    id: str
    duplicate: bool = False


class Question:
    """A request that waits for its answer. Whoever changes it holds the lock of its exchange."""

    def __init__(self, request: AnyRequest, *, is_followed: bool = True, is_own: bool = False) -> None:
        self.request: Final = request
        self.is_followed: Final = is_followed
        """Whether its answer says what `events()` hears."""
        self.is_own: Final = is_own
        """The client itself asks, so that reading goes on; nobody waits."""
        self.ref = ""
        self.note = b""
        """The request as it is sent, every time."""
        self.was_sent = False
        self.outcome: Answer | SecurechatError | None = None
        self.is_given_up = False

    def settle(self, outcome: Answer | SecurechatError) -> None:
        """Take the outcome; called once."""
        self.outcome = outcome


class Pending:
    """One line that was said, and what became of it: `pending`, then `stored` with its number or `failed`."""

    def __init__(self, request: Say, changed: threading.Condition) -> None:
        self.request: Final = request
        self.id: Final = request.id
        self.room: Final = request.room
        self.text: Final = request.text
        self.ref = ""
        self.note = b""
        self.was_sent = False
        self._changed = changed
        self._outcome: Receipt | SecurechatError | None = None

    def __repr__(self) -> str:
        return f"Pending({self.id!r}, {self.room!r}, {self.state})"

    @property
    def state(self) -> Literal["pending", "stored", "failed"]:
        """Where it is on its way; the last two are final."""
        if self._outcome is None:
            return "pending"
        return "stored" if isinstance(self._outcome, Receipt) else "failed"

    @property
    def seq(self) -> int:
        """Its number in the room; 0 until it is stored."""
        return self._outcome.seq if isinstance(self._outcome, Receipt) else 0

    @property
    def failure(self) -> SecurechatError | None:
        """Why it failed: Refused (it is not stored), or what else ended the client (it may be stored); None while it
        has not."""
        return self._outcome if isinstance(self._outcome, SecurechatError) else None

    def wait(self, seconds: float) -> Receipt:
        """Wait for the acknowledgement: the record is on the server's disk.

        Raises Refused, what else ended the client, and TimeoutError after `seconds`; it is on its way still then.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._outcome is not None, seconds):
                raise TimeoutError
        if isinstance(self._outcome, Receipt):
            return self._outcome
        assert self._outcome is not None
        raise self._outcome

    def settle(self, outcome: Answer | SecurechatError) -> None:
        """Take the outcome; called once."""
        if isinstance(outcome, Ack):
            self._outcome = Receipt(outcome.room, outcome.seq, outcome.time, self.id, outcome.duplicate)
        elif isinstance(outcome, SecurechatError):
            self._outcome = outcome
        else:
            self._outcome = out_of_place(outcome)


Slot = Question | Pending


def out_of_place(answer: Answer) -> Unreachable:
    """The failure of a server that answers another question than was asked."""
    return Unreachable(f"The server gave an answer of another kind: {type(answer).__name__}.")
