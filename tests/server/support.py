"""A home with throwaway certificates and accounts, a server on it, and a peer that speaks lines of JSON over TLS."""

import json
import logging
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Self

import pytest
import trustme

from securechat.accounts import passwords
from securechat.config import Cluster, Config
from securechat.limits import Limits
from securechat.server.server import Server
from securechat.server.shared_roll import SharedRoll

with_any_number_of_reactors = pytest.mark.parametrize(
    "server", [1, 3], ids=["one-reactor", "three-reactors"], indirect=True
)
"""For tests of what people hear of each other: all on one thread, and on several that share nothing."""

whoever_gives_the_order = pytest.mark.parametrize(
    "server", [1, 3, "node"], ids=["one-reactor", "three-reactors", "node"], indirect=True
)
"""For those that say what chat is: on a node of a cluster too."""

PASSWORD = "correct horse battery staple"
ROOMY: dict[str, Any] = {"login_waits": (), "strangers": 1_000, "strangers_per_address": 1_000}
"""Limits for tests of other things: all peers of a test come from one address, and many get a password wrong."""

DEADLINE = 20.0
"""Seconds after which a test gives up waiting; nothing is expected to take so long."""


def hashed(password: str = PASSWORD) -> str:
    """One hash for all accounts of the tests, of the costs in force: dear ones are slow on purpose."""
    return _hashed(password, passwords._POLICY)


@cache
def _hashed(password: str, costs: object) -> str:
    return passwords.hash_password(password)


@cache
def authority() -> trustme.CA:
    """The CA of every test server."""
    return trustme.CA()


@cache
def certificate() -> trustme.LeafCert:
    """The certificate of every test server."""
    return authority().issue_cert("localhost", "127.0.0.1", "::1")


def write_accounts(home: Path, accounts: str = "alice bob carol dave:admin erin:member:disabled") -> None:
    """Write the credential file; each word is `name[:role[:state]]`, and all have the same password."""
    lines = []
    for word in accounts.split():
        name, role, state = [*word.split(":"), "member", "active"][:3] if ":" in word else (word, "member", "active")
        if word.count(":") == 1:
            state = "active"
        lines.append(f"{name}:{role}:{state}:{hashed()}\n")
    path = home / "credentials"
    path.touch(0o600)
    path.write_text("".join(lines))


def make_home(folder: Path, accounts: str = "alice bob carol dave:admin erin:member:disabled") -> Path:
    """Make everything in `folder` that a server needs."""
    certs = folder / "certs"
    certs.mkdir(parents=True)
    leaf = certificate()
    (certs / "server.pem").write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
    (certs / "server.key").touch(0o600)
    (certs / "server.key").write_bytes(leaf.private_key_pem.bytes())
    authority().cert_pem.write_to_path(str(certs / "ca.pem"))
    write_accounts(folder, accounts)
    return folder


def write_roomy_limits(home: Path) -> None:
    """Have a server on this home that reads its own settings go by the limits for tests of other things."""
    lines = "".join(f"{key} = {json.dumps(value)}\n" for key, value in ROOMY.items())
    (home / "securechat.toml").write_text(f"port = 0\n[limits]\n{lines}")


@contextmanager
def running_server(
    home: Path,
    *,
    reactors: int = 1,
    port: int = 0,
    http_port: int | None = None,
    cluster: Cluster | None = None,
    **limits: Any,
) -> Iterator[Server]:
    """A server in this process, on a free port unless one is given, with these limits; stopped at the end."""
    settings = Config(
        port=port,
        http_port=http_port,
        reactors=reactors,
        cluster=cluster or Cluster(),
        limits=Limits(**(ROOMY | limits)),
    )
    server = Server(home, settings)
    server.start()
    try:
        if cluster:
            await_accounts(server)
        yield server
    finally:
        server.stop()


def await_accounts(node: Server) -> None:
    """Wait until a node of a cluster knows the accounts, before which it lets nobody in, or has ended by itself."""
    roll = node.services.authenticator.roll
    assert isinstance(roll, SharedRoll)
    deadline = time.monotonic() + DEADLINE
    while not (roll.ready.wait(0.02) or node.wait(0)):
        assert time.monotonic() < deadline, "the node does not get to know the accounts"


def trusting() -> ssl.SSLContext:
    """A client's context that trusts the CA of the test servers alone."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols(["securechat/1"])
    authority().configure_trust(context)
    return context


class Peer:
    """A client in a test: it sends frames as dicts or bytes, and reads what comes, one line at a time."""

    def __init__(self, port: int, *, receive_buffer: int | None = None, source: str | None = None) -> None:
        raw = socket.socket()
        if source:
            raw.bind((source, 0))
        if receive_buffer:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        raw.settimeout(DEADLINE)
        raw.connect(("127.0.0.1", port))
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = trusting().wrap_socket(raw, server_hostname="localhost", suppress_ragged_eofs=False)
        self._lines = self.socket.makefile("rb")
        self._kept: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close without a word."""
        self._lines.close()
        self.socket.close()

    def send(self, *frames: dict[str, Any]) -> None:
        """Send frames, all in one write."""
        self.send_bytes(b"".join(json.dumps(frame).encode() + b"\n" for frame in frames))

    def send_bytes(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.socket.sendall(data)

    def receive(self) -> dict[str, Any]:
        """The next frame. Raises EOFError at a clean end."""
        try:
            line = self._lines.readline()
        except ssl.SSLZeroReturnError:  # a clean end, where this side had said goodbye first
            line = b""
        if not line:
            raise EOFError
        frame = json.loads(line)
        assert isinstance(frame, dict)
        return frame

    def expect(self, *types: str) -> dict[str, Any]:
        """The next frame of one of these types; others are passed over."""
        while True:
            frame = self.receive()
            if frame["type"] in types:
                return frame

    def ends(self) -> list[dict[str, Any]]:
        """Everything that comes until the server has closed the connection in good order."""
        frames = []
        while True:
            try:
                frames.append(self.receive())
            except EOFError:
                return frames

    def login(self, username: str, password: str = PASSWORD) -> dict[str, Any]:
        """Greet and log in; returns the welcome."""
        assert self.receive()["type"] == "hello"
        self.send({"type": "login", "username": username, "password": password})
        welcome = self.expect("welcome", "error")  # a server with short deadlines may ask in between
        assert welcome["type"] == "welcome", welcome
        return welcome

    def join(self, room: str = "lobby") -> dict[str, Any]:
        """Become a member, and subscribe from the head."""
        self.send({"type": "join", "room": room})
        return self.expect("joined")

    def say(self, text: str, *, id: str, room: str = "lobby") -> dict[str, Any]:
        """Say something and wait for its acknowledgement."""
        self.send({"type": "say", "id": id, "room": room, "text": text})
        return self.expect("ack", "error")

    def messages(self, count: int) -> list[dict[str, Any]]:
        """The next messages, so many of them."""
        return [self.expect("message") for _ in range(count)]


@contextmanager
def peer(server: Server, username: str | None = None, *, room: str | None = None) -> Iterator[Peer]:
    """A peer, logged in if a username is given, in a room if one is given."""
    with Peer(server.port) as one:
        if username:
            one.login(username)
        if room:
            one.join(room)
        yield one


def in_parallel(*acts: Any) -> None:
    """Run each in a thread of its own; the first failure is raised here."""
    failures: list[BaseException] = []

    def run(act: Any) -> None:
        try:
            act()
        except BaseException as error:  # noqa: BLE001 - raised again by the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=run, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE * 2)
    if failures:
        raise failures[0]
    assert not any(thread.is_alive() for thread in threads), "it takes too long"


class Heard(logging.Handler):
    """What the server logs, for a test that waits for it."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self._changed = threading.Condition()

    def emit(self, record: logging.LogRecord) -> None:
        with self._changed:
            self.lines.append(record.getMessage())
            self._changed.notify_all()

    def wait_for(self, words: str) -> str:
        """The first line with these words in it, once it is there."""
        with self._changed:
            assert self._changed.wait_for(lambda: any(words in line for line in self.lines), DEADLINE), self.lines
            return next(line for line in self.lines if words in line)
