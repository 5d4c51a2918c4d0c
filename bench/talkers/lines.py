"""A client of the tutorial's server: lines of text, one room a connection. It knows no socket."""

from collections.abc import Sequence
from typing import Final

from bench.talker import Heard

RECEIVED: Final = b"Server received your message"


class Lines:
    """One connection of an account that is in one room."""

    drops_own = False
    passive = True

    def __init__(self, account: str, rooms: Sequence[str], *, password: str) -> None:
        self.output = bytearray()
        self.ready = False
        self.failed = ""
        self.acknowledged = 0
        (self._room,) = rooms
        self._login = f"LOGIN {account} {password}\n".encode()
        self._begun = b""

    def begin(self) -> None:
        """Log in; the room is joined once the server says welcome."""
        self.output += self._login

    def say(self, room: str, text: str) -> None:
        """Say a line, to the room that it is in."""
        assert room == self._room
        self.output += text.encode() + b"\n"

    def receive(self, data: bytes) -> list[Heard]:
        """Take whatever lines are whole by now."""
        *lines, self._begun = (self._begun + data).split(b"\n")
        heard: list[Heard] = []
        for line in lines:
            if not self.ready:
                self._enter(line)
            elif line == RECEIVED:
                self.acknowledged += 1
            else:
                heard.append(Heard(self._room, line.partition(b": ")[2].decode()))
        return heard

    def _enter(self, line: bytes) -> None:
        if line.startswith(b"Welcome "):
            self.output += f"JOIN {self._room}\n".encode()
        elif line.startswith(b"Joined "):
            self.ready = True
        else:
            self.failed = line.decode(errors="replace")
