"""A chat server on asyncio streams that speaks a part of the native protocol, over TLS 1.3, and stores nothing.

It is what one writes first: a coroutine a connection, and a `write` to each member for each message. It is here to be
compared with, so it knows nothing of securechat; what it leaves out is answered by the end of the connection.
"""

import argparse
import asyncio
import hashlib
import hmac
import ssl
import sys
import time
from collections import defaultdict
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import msgspec

LINE_BYTES = 65536
"""The longest line that is read."""


class Frame(msgspec.Struct, tag_field="type", tag=str.lower, omit_defaults=True, frozen=True):
    """One line of the native protocol: a JSON object whose `type` is the name of the class in small letters."""

    ref: str = ""


class Login(Frame, kw_only=True, frozen=True):
    username: str
    password: str


class Resume(Frame, kw_only=True, frozen=True):
    token: str


class Join(Frame, kw_only=True, frozen=True):
    room: str


class Subscribe(Frame, kw_only=True, frozen=True):
    room: str


class Say(Frame, kw_only=True, frozen=True):
    id: str
    room: str
    text: str


class Hello(Frame, kw_only=True, frozen=True):
    protocol: int
    auth: list[str]
    limits: dict[str, int]


class Welcome(Frame, kw_only=True, frozen=True):
    username: str


class Joined(Frame, kw_only=True, frozen=True):
    room: str
    head: int
    members: int


class Subscribed(Frame, kw_only=True, frozen=True):
    room: str
    head: int


class Ack(Frame, kw_only=True, frozen=True):
    id: str
    room: str
    seq: int
    time: int


class Message(Frame, kw_only=True, frozen=True):
    room: str
    seq: int
    sender: str
    time: int
    id: str
    text: str


class Error(Frame, kw_only=True, frozen=True):
    code: str
    message: str


Request = Login | Resume | Join | Subscribe | Say
decode = msgspec.json.Decoder(Request).decode
HELLO = Hello(protocol=1, auth=["password", "token"], limits={"line": LINE_BYTES, "text": 16384})


def to_line(frame: Frame) -> bytes:
    """The frame as it is sent."""
    return msgspec.json.encode(frame) + b"\n"


@dataclass
class Room:
    """The readers of a room, and how much was said in it."""

    head: int = 0
    readers: list[asyncio.StreamWriter] = field(default_factory=list)


class Accounts:
    """Who may come in: lines of `username:salt:hash:token`; the third is of salt and password, the last of a token."""

    def __init__(self, path: Path) -> None:
        lines = [line.split(":") for line in path.read_text().splitlines()]
        self._passwords = {username: (salt, digest) for username, salt, digest, _ in lines}
        self._tokens = {token: username for username, _, _, token in lines}

    def find(self, frame: Login | Resume) -> str:
        """The username, or "". A salted SHA-256 is cheap, and much too fast to guess for real use."""
        if isinstance(frame, Resume):
            return self._tokens.get(hashlib.sha256(frame.token.encode()).hexdigest(), "")
        salt, digest = self._passwords.get(frame.username, ("", ""))
        given = hashlib.sha256(f"{salt}:{frame.password}".encode()).hexdigest()
        return frame.username if hmac.compare_digest(given, digest) else ""


class Chat:
    """Accounts, rooms, and one coroutine a connection."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts
        self._rooms: defaultdict[str, Room] = defaultdict(Room)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client; what goes wrong with it ends its connection alone."""
        try:
            writer.write(to_line(HELLO))
            username = ""
            async for line in reader:
                frame = decode(line)
                if isinstance(frame, Login | Resume):
                    username = self._accounts.find(frame)
                if not username:
                    writer.write(to_line(Error(ref=frame.ref, code="bad-credentials", message="Log in first.")))
                    return
                self._answer(frame, username, writer)
                await writer.drain()
        except (OSError, ValueError) as error:
            print(f"A client is gone: {error}", file=sys.stderr)
        finally:
            for room in self._rooms.values():
                if writer in room.readers:
                    room.readers.remove(writer)
            writer.close()

    def _answer(self, frame: Request, username: str, writer: asyncio.StreamWriter) -> None:
        if isinstance(frame, Say):
            self._say(frame, username, writer)
        elif isinstance(frame, Join | Subscribe):
            room = self._rooms[frame.room]
            room.readers.append(writer)
            kind = partial(Joined, members=len(room.readers)) if isinstance(frame, Join) else Subscribed
            writer.write(to_line(kind(ref=frame.ref, room=frame.room, head=room.head)))
        else:
            writer.write(to_line(Welcome(ref=frame.ref, username=username)))

    def _say(self, frame: Say, username: str, writer: asyncio.StreamWriter) -> None:
        room = self._rooms[frame.room]
        room.head += 1
        now = time.time_ns() // 1_000_000
        writer.write(to_line(Ack(ref=frame.ref, id=frame.id, room=frame.room, seq=room.head, time=now)))
        message = to_line(
            Message(room=frame.room, seq=room.head, sender=username, time=now, id=frame.id, text=frame.text)
        )
        for member in room.readers:
            member.write(message)


async def main() -> None:
    """Listen on the loopback until the process is ended."""
    parser = argparse.ArgumentParser(description="A chat server on asyncio streams; nothing is stored.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--certificate", type=Path, required=True)
    parser.add_argument("--key", type=Path, required=True)
    parser.add_argument("--accounts", type=Path, required=True, help="lines of username:salt:hash:token")
    arguments = parser.parse_args()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.num_tickets = 0
    context.load_cert_chain(arguments.certificate, arguments.key)
    chat = Chat(Accounts(arguments.accounts))
    server = await asyncio.start_server(
        chat.serve, "127.0.0.1", arguments.port, ssl=context, backlog=4096, limit=LINE_BYTES
    )
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
