"""Clients on one selector: each says things in its rooms and hears them, leaves, and comes back with its token and its
cursors. Some read slowly, some stop reading and go on.

They know where the server is, and nothing of what is done to it. The ids of a client count up: `client7-0`,
`client7-1`, …
"""

import heapq
import itertools
import random
import selectors
import socket
import ssl
import struct
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final, Literal

import msgspec

from tests.faults.authors import text_of
from tests.server.support import DEADLINE, PASSWORD, trusting

WINDOW: Final = 24
"""Messages that a client has on their way at most; past it, it says nothing new."""

SLOW_BYTES: Final = 1_024
SLOW_SECONDS: Final = 0.5
"""A slow reader takes so many bytes every so many seconds: less than is said to it."""

SLOW_BUFFER: Final = 4_096
"""The receive buffer of those who read slowly or stop: the kernel is not to read in their place."""

LARGE_BUFFER: Final = 1_048_576
"""That of those who were slow, when all is brought to an end: through the small one it is 50 kB a second."""

SLOW_SEGMENT: Final = 1_000
"""Bytes in a TCP segment to them. What the kernel buffers on the server's side goes by it: with the segments of the
loopback interface it is 2.6 MB each, and nobody is ever behind.
"""

RETRY_SECONDS: Final = 0.5
"""Before a client that was turned away comes again."""

RECORD_BYTES: Final = 16_384
"""The most that one TLS record holds: a read of this size leaves nothing decrypted behind."""

READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE

Reading = Literal["at once", "slowly", "with stops"]


class Crowd:
    """All clients, on the thread that runs it: their sockets, and what is to be done later."""

    def __init__(self, port: int, pace: float, seed: int) -> None:
        """`pace` is the seconds between two things that a client says; all else it does goes by it."""
        self.port = port
        self.pace = pace
        self.chance = random.Random(seed)
        self.context = trusting()
        self.clients: list[Client] = []
        self.ending = False
        """Nothing new is said and nobody leaves; what is on its way is brought home."""
        self._selector = selectors.DefaultSelector()
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()

    def add(self, name: str, address: str, rooms: Sequence[str], reading: Reading) -> None:
        """One more client, which comes in a moment after those before it, from an address of its own."""
        client = Client(self, name, address, rooms, reading)
        self.clients.append(client)
        self.later(0.05 * len(self.clients), client.live)

    def later(self, seconds: float, act: Callable[[], None]) -> None:
        """Do this in so many seconds."""
        heapq.heappush(self._due, (time.monotonic() + seconds, next(self._order), act))

    def watch(self, client: "Client", old: ssl.SSLSocket | None, mask: int) -> None:
        """Have the client told when its socket can be read or written; `old` is a socket that it gives up."""
        key = None if old is None else self._selector.get_map().get(old)
        if key is not None and (client.socket is not old or key.events != mask):
            self._selector.unregister(key.fileobj)
            key = None
        if client.socket is not None and mask and key is None:
            self._selector.register(client.socket, mask, client)

    def run(self, seconds: float, until: Callable[[], bool] = lambda: False) -> None:
        """Let everybody live for so long, or until this is so."""
        deadline = time.monotonic() + seconds
        while (now := time.monotonic()) < deadline and not until():
            while self._due and self._due[0][0] <= now:
                heapq.heappop(self._due)[2]()
            pause = min(deadline, self._due[0][0] if self._due else deadline, now + 0.05) - now
            for key, mask in self._selector.select(max(0.0, pause)):
                key.data.ready(mask)

    def end(self) -> None:
        """Bring it to an end: everybody reads at once, and nobody says anything new or leaves any more."""
        self.ending = True
        for client in self.clients:
            client.read_on()

    @property
    def is_in(self) -> bool:
        """Whether everybody has been in, and joined its rooms."""
        return all(client.is_member for client in self.clients)

    def behind(self) -> list[str]:
        """The names of those who wait for acknowledgements, or have not heard all that was acknowledged to anybody."""
        heads: Counter[str] = Counter()
        for client in self.clients:
            for id, seq in client.acknowledged.items():
                heads[client.said[id]] = max(heads[client.said[id]], seq)
        return [
            client.name
            for client in self.clients
            if client.waiting or any(cursor < heads[room] for room, cursor in client.cursors.items())
        ]

    def leave(self) -> None:
        """Everybody leaves without a word, for good."""
        for client in self.clients:
            client.drop()
        self._due.clear()

    def close(self) -> None:
        """Let go of everything."""
        self.leave()
        self._selector.close()


class Client:
    """One client: what it said, what it was told, and what it heard."""

    def __init__(self, crowd: Crowd, name: str, address: str, rooms: Sequence[str], reading: Reading) -> None:
        self.name = name
        self.socket: ssl.SSLSocket | None = None
        self.state: Literal["away", "shaking hands", "logging in", "in", "leaving"] = "away"
        self.said: dict[str, str] = {}
        """The room of each id."""
        self.acknowledged: dict[str, int] = {}
        self.waiting: dict[str, str] = {}
        self.cursors: dict[str, int] = {}
        """Of the rooms that it has joined."""
        self.connections = 0
        self.broken = 0
        """Connections that ended after the login, and not by its own will."""
        self.turned_away = 0
        """Connections that ended before the login."""
        self.repeated = 0
        """Acknowledgements that said: this was recorded before."""
        self.heard = 0
        self.misheard = 0
        """Records that came twice, or after a gap, or not as they were said; and acknowledgements with a new number."""
        self.refused: Counter[str] = Counter()
        """What it was refused, or told goodbye with, by code."""
        self._crowd = crowd
        self._address = address
        self._rooms = list(rooms)
        self._reading = reading
        self._reads = True
        self._token = ""
        self._begun = b""
        self._output = bytearray()

    # --- what it does ----------------------------------------------------------------------------

    def live(self) -> None:
        """Come for the first time, and begin its habits."""
        crowd, pace = self._crowd, self._crowd.pace
        self._connect()
        crowd.later(pace * (1 + crowd.chance.random()), self._speak)
        crowd.later(pace * 10 * crowd.chance.random(), self._leave)
        if self._reading == "slowly":
            self._reads = False
            crowd.later(SLOW_SECONDS, self._sip)
        elif self._reading == "with stops":
            crowd.later(pace * 3 * crowd.chance.random(), self._stop)

    @property
    def is_member(self) -> bool:
        """Whether it has joined all its rooms."""
        return len(self.cursors) == len(self._rooms)

    def read_on(self) -> None:
        """Read at once from now on, through a buffer as anybody's."""
        self._reads = True
        if self.socket is not None and self._reading != "at once":
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, LARGE_BUFFER)
        if self.state == "in":
            self.ready(READ)  # what it has decrypted and not taken yet is nothing that the selector tells of

    def drop(self) -> None:
        """Close without a word, and stay away."""
        old, self.socket, self.state = self.socket, None, "away"
        if old is not None:
            self._crowd.watch(self, old, 0)
            old.close()

    def ready(self, mask: int) -> None:
        """The socket can be read or written."""
        assert self.socket is not None
        try:
            if self.state == "shaking hands":
                self.socket.do_handshake()
                self.state = "logging in"
            if mask & READ:
                self._read(RECORD_BYTES)
            if self.socket is not None:
                self._flush()
        except ssl.SSLWantReadError:
            self._crowd.watch(self, self.socket, READ | (WRITE if self._output else 0))
        except (OSError, EOFError):
            self._ended()

    def _connect(self) -> None:
        raw = socket.socket()
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._reading != "at once":
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SLOW_BUFFER)
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SLOW_SEGMENT)
        raw.settimeout(DEADLINE)
        raw.bind((self._address, 0))
        raw.connect(("127.0.0.1", self._crowd.port))
        raw.setblocking(False)
        self.socket = self._crowd.context.wrap_socket(
            raw, server_hostname="localhost", do_handshake_on_connect=False, suppress_ragged_eofs=False
        )
        self.state = "shaking hands"
        self.connections += 1
        self._begun = b""
        self._output.clear()
        self._crowd.watch(self, None, WRITE)

    def _speak(self) -> None:
        crowd = self._crowd
        if crowd.ending:
            return
        crowd.later(crowd.pace * (0.5 + crowd.chance.random()), self._speak)
        if self.state == "in" and len(self.waiting) < WINDOW:
            id, room = f"{self.name}-{len(self.said)}", crowd.chance.choice(self._rooms)
            self.said[id] = self.waiting[id] = room
            self._say({id: room})

    def _leave(self) -> None:
        """End the connection in one of three ways, and come back at once; the next time comes by chance."""
        crowd = self._crowd
        if crowd.ending:
            return
        stays = 1 if self._reading == "at once" else 4  # else they are never far behind
        crowd.later(stays * crowd.pace * (5 + 15 * crowd.chance.random()), self._leave)
        if self.state != "in" or self.socket is None:
            return
        how = crowd.chance.choice(("close", "reset", "logout"))
        if how == "logout" and self._reads:
            self.state = "leaving"
            self._send({"type": "logout"})
            return
        if how == "reset":
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.drop()
        self._connect()

    def _sip(self) -> None:
        if self._crowd.ending:
            return
        self._crowd.later(SLOW_SECONDS, self._sip)
        if self.state == "in":
            try:
                self._read(SLOW_BYTES)
            except ssl.SSLWantReadError:
                pass
            except (OSError, EOFError):
                self._ended()

    def _stop(self) -> None:
        """Read nothing for a while, then go on, in turn."""
        if self._crowd.ending:
            return
        self._crowd.later(self._crowd.pace * (2 + 4 * self._crowd.chance.random()), self._stop)
        self._reads = not self._reads
        self._watch()

    def _ended(self) -> None:
        """The other side ended it: come back, after a moment where it let nobody in."""
        state = self.state
        self.drop()
        self.broken += state == "in"
        self.turned_away += state in ("shaking hands", "logging in")
        if state in ("in", "leaving"):
            self._connect()
        else:
            self._crowd.later(RETRY_SECONDS, self._connect)

    # --- bytes and frames ------------------------------------------------------------------------

    def _watch(self) -> None:
        # Who is not in yet reads whatever its habit is.
        mask = (READ if self._reads or self.state != "in" else 0) | (WRITE if self._output else 0)
        if self.socket is not None and self.state != "shaking hands":
            self._crowd.watch(self, self.socket, mask)

    def _send(self, *frames: dict[str, Any]) -> None:
        for frame in frames:
            self._output += msgspec.json.encode(frame) + b"\n"
        try:
            self._flush()
        except (OSError, EOFError):
            self._ended()

    def _flush(self) -> None:
        assert self.socket is not None
        try:
            while self._output:
                del self._output[: self.socket.send(self._output)]
        except ssl.SSLWantWriteError:
            pass
        self._watch()

    def _read(self, size: int) -> None:
        assert self.socket is not None
        data = self.socket.recv(size)
        if not data:
            raise EOFError
        *lines, self._begun = (self._begun + data).split(b"\n")
        before = self.socket
        for line in lines:
            if self.socket is before:
                self._take(msgspec.json.decode(line))

    def _say(self, messages: dict[str, str]) -> None:
        self._send(*({"type": "say", "id": id, "room": room, "text": text_of(id)} for id, room in messages.items()))

    def _take(self, frame: dict[str, Any]) -> None:
        match frame["type"]:
            case "message" | "join":
                wrong = frame["type"] == "message" and frame["text"] != text_of(frame["id"])
                self.misheard += wrong or frame["seq"] != self.cursors[frame["room"]] + 1
                self.cursors[frame["room"]] = frame["seq"]
                self.heard += 1
            case "ack":
                self.waiting.pop(frame["id"], None)
                self.repeated += frame.get("duplicate", False)
                self.misheard += self.acknowledged.setdefault(frame["id"], frame["seq"]) != frame["seq"]
            case "ping":
                self._send({"type": "pong"})
            case "hello" if self._token:
                self._send({"type": "resume", "token": self._token})
            case "hello":
                self._send({"type": "login", "username": self.name, "password": PASSWORD})
            case "welcome":
                self._token = frame.get("token", self._token)
                if self.cursors:
                    self.state = "in"
                    self._send({"type": "sync", "after": self.cursors})
                    self._say(self.waiting)
                else:
                    self._send(*({"type": "join", "room": room} for room in self._rooms))
            case "joined":
                self.cursors[frame["room"]] = frame["head"]
                if self.is_member:
                    self.state = "in"
                    self._watch()
            case "error" if self.state == "logging in" and frame["code"] == "throttled":
                self.drop()
                self.turned_away += 1
                self._crowd.later(frame.get("retry_after", RETRY_SECONDS), self._connect)
            case "error" | "bye" if frame["code"] != "logged-out":
                self.refused[frame["code"]] += 1
