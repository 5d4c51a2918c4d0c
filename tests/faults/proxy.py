"""A TCP proxy on loopback that breaks connections: it cuts, resets, half-closes, stalls, and passes bytes on in drips.

It sees bytes only, encrypted ones; where a frame or a TLS record begins it does not know, so that it cuts anywhere.
"""

import socket
import struct
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from threading import Condition, Event, Lock, Thread
from typing import Final, Literal, NamedTuple, Self

LINK_SECONDS: Final = 30.0
"""After so long without a byte a link ends, whatever became of its two peers."""

STALL_SECONDS: Final = 0.2
"""How long a link that stalls says nothing before it is cut."""

LINKS: Final = 64
"""Links at once; past it, a new one is refused."""

RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER: on, for 0 seconds. Closing such a socket sends a reset, and drops what was on its way."""

Act = Literal["close", "reset", "half-close", "stall"]


class Fault(NamedTuple):
    """What happens to a link when `after` bytes went in one direction, and how bytes travel until then."""

    act: Act
    upward: bool
    after: int
    piece: int = 65_536
    pause: float = 0.0
    """Seconds between two pieces."""


class Link:
    """One client's connection through the proxy, and the two threads that carry its bytes."""

    def __init__(
        self, client: socket.socket, server: socket.socket, fault: Fault | None, done: Callable[[Act], None]
    ) -> None:
        self._sockets = (client, server)
        self._fault = fault
        self._done = done
        self._lock = Lock()
        self._ended = Event()
        for one in self._sockets:
            one.settimeout(LINK_SECONDS)
        self.threads = [Thread(target=self._carry, args=(up,), name="link", daemon=True) for up in (True, False)]

    def cut(self, act: Act) -> None:
        """End the link in this way, once."""
        with self._lock:
            if self._ended.is_set():
                return
            self._ended.set()
            for one in self._sockets:
                with suppress(OSError):  # the peer may have been quicker
                    if act == "reset":
                        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                    # It wakes whoever reads; what is said to the peer is said by closing.
                    one.shutdown(socket.SHUT_RD if act == "reset" else socket.SHUT_RDWR)

    def half_close(self) -> None:
        """Tell the server that the client says nothing more; what the server says still arrives."""
        with suppress(OSError):
            self._sockets[1].shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Let go of the sockets, when the threads have ended."""
        for one in self._sockets:
            one.close()

    def _carry(self, upward: bool) -> None:
        source, sink = self._sockets if upward else self._sockets[::-1]
        fault = self._fault if self._fault and self._fault.upward == upward else None
        piece, pause = (self._fault.piece, self._fault.pause) if self._fault else (65_536, 0.0)
        carried = 0
        try:
            while data := source.recv(min(piece, fault.after - carried) if fault else piece):
                sink.sendall(data)
                carried += len(data)
                if fault and carried == fault.after:
                    self._break(fault.act, source)
                    return
                if pause:
                    self._ended.wait(pause)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            self.cut("close")

    def _break(self, act: Act, source: socket.socket) -> None:
        self._done(act)
        if act == "half-close":
            self.half_close()
            while source.recv(65_536):
                continue
        elif act == "stall":
            self._ended.wait(STALL_SECONDS)
        self.cut("reset" if act == "reset" else "close")


class Proxy:
    """Listens on a free port of this machine and links each client to the server behind; `fault` says what befalls it.

    `done` counts the faults that came to pass.
    """

    def __init__(self, port: int, fault: Callable[[], Fault | None] = lambda: None) -> None:
        self.target = port
        self._fault = fault
        self._ended = Event()
        self._happened = Condition()
        self._links: list[Link] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._listening.settimeout(0.1)
        self._thread = Thread(target=self._accept, name="proxy", daemon=True)
        self.done: Counter[str] = Counter()
        self.port: int = self._listening.getsockname()[1]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._ended.set()
        self._thread.join()
        self._listening.close()
        for link in self._links:
            link.cut("close")
        self._drop_ended(wait=True)

    def wait_done(self, faults: int) -> None:
        """Wait until so many faults came to pass."""
        with self._happened:
            seconds = LINK_SECONDS + faults
            assert self._happened.wait_for(lambda: self.done.total() >= faults, seconds), "nothing breaks any more"

    def links(self) -> list[Link]:
        """The links there are, the oldest first."""
        return [link for link in self._links if any(thread.is_alive() for thread in link.threads)]

    def _note(self, act: Act) -> None:
        with self._happened:
            self.done[act] += 1
            self._happened.notify_all()

    def _accept(self) -> None:
        while not self._ended.is_set():
            with suppress(TimeoutError):
                client, _ = self._listening.accept()
                self._link(client)
            self._drop_ended(wait=False)

    def _link(self, client: socket.socket) -> None:
        try:
            if len(self._links) >= LINKS:
                raise ConnectionRefusedError
            server = socket.create_connection(("127.0.0.1", self.target), LINK_SECONDS)
        except OSError:
            client.close()
            return
        for one in (client, server):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        link = Link(client, server, self._fault(), self._note)
        self._links.append(link)
        for thread in link.threads:
            thread.start()

    def _drop_ended(self, *, wait: bool) -> None:
        for link in list(self._links):
            if wait:
                for thread in link.threads:
                    thread.join(LINK_SECONDS)
            if not any(thread.is_alive() for thread in link.threads):
                link.close()
                self._links.remove(link)
