"""A client of IRC (RFC 1459, with IRCv3 echo-message): a room is a channel, its name behind `#`. It knows no socket."""

from collections.abc import Sequence
from typing import Final

from bench.talker import Heard

WELCOME: Final = b"001"
NO_MOTD: Final = b"422"
END_OF_NAMES: Final = b"366"
"""The last thing that is said to somebody who joined a channel."""


class Irc:
    """One connection of an account whose nick is its name; `password` is the server's, as IRC has it."""

    drops_own = False
    # The server's PING is rarer than any run is long.
    passive = True

    def __init__(self, account: str, rooms: Sequence[str], *, password: str) -> None:
        self.output = bytearray()
        self.ready = False
        self.failed = ""
        self.acknowledged = 0
        self._account = account
        self._rooms = rooms
        self._password = password
        self._to_join = len(rooms)
        self._own = f":{account}!".encode()
        self._begun = b""

    def begin(self) -> None:
        """Log in, and ask to hear one's own messages: there is no other acknowledgement."""
        self._send(f"PASS {self._password}")
        self._send("CAP REQ :echo-message")
        self._send(f"NICK {self._account}")
        self._send(f"USER {self._account} 0 * :{self._account}")
        self._send("CAP END")

    def say(self, room: str, text: str) -> None:
        """Say something to a room; what the server puts before it and CR LF fit with it into 512 bytes."""
        self._send(f"PRIVMSG #{room} :{text}")

    def receive(self, data: bytes) -> list[Heard]:
        """Take whatever lines are whole by now."""
        *lines, self._begun = (self._begun + data).split(b"\r\n")
        heard: list[Heard] = []
        for line in lines:
            source, mark, said = line.partition(b" PRIVMSG #")
            if mark and source[:1] == b":":
                if source.startswith(self._own):
                    self.acknowledged += 1
                room, _, text = said.partition(b" :")
                heard.append(Heard(room.decode(), text.decode()))
            elif line.startswith(b"PING "):
                self.output += b"PONG " + line[5:] + b"\r\n"
            elif not self.ready:
                self._enter(line)
            elif line.startswith(b"ERROR "):
                self.failed = line.decode(errors="replace")
        return heard

    def _enter(self, line: bytes) -> None:
        command = line.split(b" ", 2)[1] if line.startswith(b":") else line.split(b" ", 1)[0]
        if command == WELCOME:
            self.ready = not self._rooms
            for room in self._rooms:
                self._send(f"JOIN #{room}")
        elif command == END_OF_NAMES:
            self._to_join -= 1
            self.ready = not self._to_join
        elif command == b"ERROR" or b" NAK " in line or (command[:1] in (b"4", b"5") and command != NO_MOTD):
            self.failed = line.decode(errors="replace")

    def _send(self, line: str) -> None:
        self.output += line.encode() + b"\r\n"
