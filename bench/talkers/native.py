"""A client of the native protocol: comes in, and reads its rooms from their heads or a cursor. It knows no socket."""

from collections.abc import Sequence

import msgspec

from bench.talker import Heard


class _Event(msgspec.Struct, gc=False):
    type: str
    room: str = ""
    text: str = ""
    message: str = ""


_decode = msgspec.json.Decoder(_Event).decode
_encode = msgspec.json.encode


class Native:
    """One connection of an account that is a member of these rooms."""

    drops_own = False
    # The server's ping is rarer than any run is long.
    passive = True

    def __init__(self, account: str, rooms: Sequence[str], *, token: str = "", password: str = "") -> None:
        """A codec that comes in with a token, or else with a password."""
        self.output = bytearray()
        self.ready = False
        self.failed = ""
        self.acknowledged = 0
        self._account = account
        self._rooms = rooms
        self._login: dict[str, str | int] = (
            {"type": "resume", "token": token}
            if token
            else {"type": "login", "username": account, "password": password}
        )
        self._to_subscribe = len(rooms)
        self._said = 0
        self._begun = b""

    def begin(self) -> None:
        """Log in without waiting for the greeting."""
        self._send(self._login)

    def say(self, room: str, text: str) -> None:
        """Say something under an id of its own."""
        self._said += 1
        self._send({"type": "say", "id": f"{self._account}-{self._said}", "room": room, "text": text})

    def read(self, room: str, after: int) -> None:
        """Read a room from a cursor on: all records behind it, then what comes."""
        self._to_subscribe += 1
        self._send({"type": "subscribe", "room": room, "after": after})

    def receive(self, data: bytes) -> list[Heard]:
        """Take whatever lines are whole by now."""
        *lines, self._begun = (self._begun + data).split(b"\n")
        heard: list[Heard] = []
        for line in lines:
            event = _decode(line)
            if event.type == "message":
                heard.append(Heard(event.room, event.text))
            elif event.type == "ack":
                self.acknowledged += 1
            else:
                self._enter(event)
        return heard

    def _enter(self, event: _Event) -> None:
        if event.type == "welcome":
            self.ready = not self._rooms
            for room in self._rooms:
                self._send({"type": "subscribe", "room": room})
        elif event.type == "subscribed":
            self._to_subscribe -= 1
            self.ready = not self._to_subscribe
        elif event.type == "ping":
            self._send({"type": "pong"})
        elif event.type in ("error", "bye"):
            self.failed = event.message

    def _send(self, frame: dict[str, str | int]) -> None:
        self.output += _encode(frame) + b"\n"
