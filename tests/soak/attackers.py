"""Attackers, one of each kind, each on a thread and from an address of its own: what each tries, again and again, and
what the server may answer. They know nothing of who else is there.
"""

import contextlib
import random
import socket
import ssl
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

from tests.server.support import DEADLINE, PASSWORD, Peer, trusting

CLOSED: Final = "closed"

DRIP_SECONDS: Final = 0.1
"""Between two bytes of who drips."""


class Attempt(NamedTuple):
    """Where to, and where from; `rate` is how many requests a second the server grants to one session."""

    port: int
    source: str
    rate: int
    account: str
    """Whose password is guessed, and who asks for too much."""

    def tcp(self) -> socket.socket:
        """A connection without TLS."""
        return socket.create_connection(("127.0.0.1", self.port), DEADLINE, (self.source, 0))

    def peer(self) -> Peer:
        """A connection with TLS, greeted."""
        peer = Peer(self.port, source=self.source)
        try:
            peer.expect("hello")
        except BaseException:
            peer.close()
            raise
        return peer


def silent(attempt: Attempt) -> str:
    """Connect, and never say a word."""
    with attempt.tcp() as one:
        return _until_closed(one)


def plaintext(attempt: Attempt) -> str:
    """Log in without TLS."""
    with attempt.tcp() as one:
        one.sendall(b'{"type":"login","username":"%s","password":"x"}\n' % attempt.account.encode())
        return _until_closed(one)


def old_tls(attempt: Attempt) -> str:
    """Speak TLS 1.2."""
    context = trusting()
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
    with attempt.tcp() as one:
        try:
            context.wrap_socket(one, server_hostname="localhost").close()
        except ssl.SSLError as error:
            return "protocol version" if "PROTOCOL_VERSION" in str(error.reason) else str(error.reason)
    return "spoken to"


def dripped_handshake(attempt: Attempt) -> str:
    """Begin the handshake byte by byte."""
    outgoing = ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        trusting().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost").do_handshake()
    with attempt.tcp() as one:
        one.settimeout(DRIP_SECONDS)
        for byte in outgoing.read():
            one.sendall(bytes((byte,)))
            with contextlib.suppress(TimeoutError):
                return CLOSED if not one.recv(1) else "answered"
    return "taken"


def dripped_line(attempt: Attempt) -> str:
    """Begin a line byte by byte."""
    with attempt.peer() as peer:
        peer.socket.settimeout(DRIP_SECONDS)
        for byte in b'{"type":"login","username":"' + b"a" * 1_000:
            peer.send_bytes(bytes((byte,)))
            with contextlib.suppress(TimeoutError, ssl.SSLWantReadError):
                peer.socket.settimeout(DRIP_SECONDS)
                if answer := peer.socket.recv(4_096):
                    return "too-slow" if b'"too-slow"' in answer else answer.decode(errors="replace")
                return CLOSED
    return "taken"


def long_line(attempt: Attempt) -> str:
    """Send a line that does not end."""
    return _told(attempt, b'{"type":"login","username":"' + b"a" * 70_000)


def garbage(attempt: Attempt) -> str:
    """Send bytes that are no frame."""
    return _told(attempt, random.randbytes(200).replace(b"\n", b"") + b"\n")


def before_login(attempt: Attempt) -> str:
    """Say something without having logged in."""
    return _told(attempt, b'{"type":"say","id":"x","room":"room0","text":"forged"}\n')


def wrong_password(attempt: Attempt) -> str:
    """Guess the password of somebody who is in."""
    return _told(
        attempt, b'{"type":"login","username":"%s","password":"wrong wrong wrong"}\n' % attempt.account.encode()
    )


def drop(attempt: Attempt) -> str:
    """Connect and reset the connection: at once, in the handshake, or behind it."""
    moment = random.randrange(3)
    with attempt.peer().socket if moment == 2 else attempt.tcp() as one:
        if moment == 1:
            one.sendall(b"\x16\x03\x01\x02\x00\x01\x00")
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return "dropped"


def flood(attempt: Attempt) -> str:
    """Ask, as somebody who may come in, three times for what a session may ask at once."""
    asked = 6 * attempt.rate
    with attempt.peer() as peer:
        peer.send({"type": "login", "username": attempt.account, "password": PASSWORD})
        first = peer.expect("welcome", "error")
        if first["type"] == "error":
            return str(first["code"])
        peer.send(*({"type": "ping", "ref": str(number)} for number in range(asked)))
        answers = (peer.expect("pong", "error", "bye") for _ in range(asked))
        refused = {str(answer["code"]) for answer in answers if "code" in answer}
    return ", ".join(sorted(refused)) or "granted"


class Kind(NamedTuple):
    """What is tried, and which answers are right: the first must be among what it got, and no other may be than these
    and to be closed: what is sent at that moment is reset.
    """

    act: Callable[[Attempt], str]
    right: tuple[str, ...]


KINDS: Final = {
    "silent TCP": Kind(silent, (CLOSED,)),
    "plaintext": Kind(plaintext, (CLOSED,)),
    "TLS 1.2": Kind(old_tls, ("protocol version",)),
    "dripped handshake": Kind(dripped_handshake, (CLOSED,)),
    "dripped line": Kind(dripped_line, ("too-slow",)),
    "too long a line": Kind(long_line, ("too-long",)),
    "garbage": Kind(garbage, ("bad-frame",)),
    "requests before login": Kind(before_login, ("not-logged-in",)),
    "wrong passwords": Kind(wrong_password, ("bad-credentials", "throttled")),
    "connect and drop": Kind(drop, ("dropped",)),
    "more than the rate": Kind(flood, ("too-many-requests",)),
}


def _until_closed(one: socket.socket) -> str:
    """Read until the server closes; a TLS alert is no answer of the chat."""
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while data := one.recv(4_096):
            received += data
    return "spoken to" if b"{" in received else CLOSED


def _told(attempt: Attempt, line: bytes) -> str:
    """The first code that the line is answered with."""
    with attempt.peer() as peer:
        peer.send_bytes(line)
        answer = peer.expect("error", "bye", "welcome")
        return str(answer.get("code", answer["type"]))


@contextmanager
def attacking(port: int, *, rate: int, victim: str, accomplice: str, pause: float) -> Iterator[dict[str, Counter[str]]]:
    """Let all attack until the end, each again after a pause; gives what each got, counted by answer.

    `victim` is whose password is guessed, `accomplice` an account that nobody else uses.
    """
    got: dict[str, Counter[str]] = {name: Counter() for name in KINDS}
    over = threading.Event()

    def attack(name: str, number: int) -> None:
        account = accomplice if name == "more than the rate" else victim
        attempt = Attempt(port, f"127.0.2.{number}", rate, account)
        while not over.is_set():
            try:
                answer = KINDS[name].act(attempt)
            except (ConnectionError, EOFError, ssl.SSLEOFError):
                answer = CLOSED
            except Exception as error:  # noqa: BLE001 - counted as an answer that is not right
                answer = f"{type(error).__name__}: {error}"
            got[name][answer] += 1
            over.wait(pause)

    threads = [threading.Thread(target=attack, args=(name, number)) for number, name in enumerate(KINDS, 1)]
    for thread in threads:
        thread.start()
    try:
        yield got
    finally:
        over.set()
        for thread in threads:
            thread.join()
