"""What the load generator asks of one client's codec, whatever protocol it speaks. It knows no socket and no server."""

from typing import NamedTuple, Protocol, runtime_checkable


class Heard(NamedTuple):
    """One delivery: a text as it was said, and the room that it was said in."""

    room: str
    text: str


class Talker(Protocol):
    """One connection's codec: bytes come in by `receive`, and go out by `output`, which the owner sends and clears."""

    output: bytearray
    ready: bool
    """Logged in and in all its rooms: what is said from now on will be heard."""
    failed: str
    """Why the server refused, else empty."""
    acknowledged: int
    """How many of its own messages were acknowledged, or heard back where the protocol has no acknowledgement."""

    @property
    def passive(self) -> bool:
        """Whether what it hears needs no answer, so that silent readers of one room hear the same bytes."""

    @property
    def drops_own(self) -> bool:
        """Whether authors do not hear their own messages."""

    def begin(self) -> None:
        """Put the first bytes into the output: the connection is encrypted."""

    def say(self, room: str, text: str) -> None:
        """Put a message into the output."""

    def receive(self, data: bytes) -> list[Heard]:
        """Take bytes, cut anywhere; answer what has to be answered through the output."""


@runtime_checkable
class Reading(Protocol):
    """A codec of a server that keeps what was said."""

    def read(self, room: str, after: int) -> None:
        """Ask for everything in a room behind this cursor, and for what comes."""
