"""A small TLS server that plays a script, for what a real server never does: cuts, nonsense, silence, odd order.

It has a throwaway CA, a real socket on a free port, and keeps every byte of application data that it got.
"""

import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import trustme

DEADLINE = 20.0
"""Seconds after which a script gives up; nothing is expected to take so long."""

HELLO: dict[str, Any] = {
    "type": "hello",
    "protocol": 1,
    "auth": ["password"],
    "limits": {"line": 65_536, "text": 16_384},
}
WELCOME: dict[str, Any] = {
    "type": "welcome",
    "username": "alice",
    "role": "member",
    "session": "s1",
    "version": "0",
    "rooms": [{"room": "lobby", "head": 0, "members": 1, "joined": True}],
}


@cache
def authority() -> trustme.CA:
    """The CA of every scripted server."""
    return trustme.CA()


@cache
def certificate() -> trustme.LeafCert:
    """The certificate of every scripted server that is not given another."""
    return authority().issue_cert("localhost", "127.0.0.1", "::1")


def authority_file(folder: Path) -> Path:
    """Write the CA's certificate where `--ca` can name it."""
    path = folder / "ca.pem"
    authority().cert_pem.write_to_path(str(path))
    return path


def message(seq: int, text: str, *, sender: str = "bob", room: str = "lobby", id: str = "") -> dict[str, Any]:
    """A `message` frame."""
    return {"type": "message", "room": room, "seq": seq, "sender": sender, "time": 60_000 * seq, "id": id, "text": text}


class Peer:
    """The server's end of one connection, as a script sees it."""

    def __init__(self, raw: socket.socket, context: ssl.SSLContext, received: bytearray) -> None:
        self.raw = raw
        self._context = context
        self._received = received
        self._unread = bytearray()
        self.tls: ssl.SSLSocket

    def play(self, script: "Script") -> None:
        """Do the TLS handshake, play the script, and close in good order."""
        with self._context.wrap_socket(self.raw, server_side=True, suppress_ragged_eofs=False) as self.tls:
            script(self)
            with suppress(OSError, ValueError):  # ValueError: the script has cut it
                self.tls.unwrap()

    def send(self, *frames: dict[str, Any]) -> None:
        """Send frames, all in one write."""
        self.send_bytes(b"".join(json.dumps(frame).encode() + b"\n" for frame in frames))

    def send_bytes(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.tls.sendall(data)

    def receive(self) -> dict[str, Any]:
        """The next frame; raises EOFError when the client has left in good order."""
        while b"\n" not in self._unread:
            data = self.tls.recv(65_536)
            if not data:
                raise EOFError
            self._received.extend(data)
            self._unread.extend(data)
        line, _, rest = bytes(self._unread).partition(b"\n")
        self._unread = bytearray(rest)
        frame = json.loads(line)
        assert isinstance(frame, dict)
        return frame

    def expect(self, *types: str) -> dict[str, Any]:
        """The next frame, which is of one of these types."""
        frame = self.receive()
        assert frame["type"] in types, frame
        return frame

    def let_in(self, **welcome: Any) -> dict[str, Any]:
        """Greet, and let whoever logs in or comes back come in; returns the login."""
        self.send(HELLO)
        login = self.expect("login", "resume")
        self.send({**WELCOME, **welcome, "ref": login.get("ref")})
        return login

    def answer(self, **frame: Any) -> dict[str, Any]:
        """Answer the next request with this frame; returns the request."""
        request = self.receive()
        self.send({**frame, "ref": request["ref"]})
        return request

    def store(self, seq: int, say: dict[str, Any] | None = None, *, sender: str = "alice") -> dict[str, Any]:
        """Acknowledge a line (the next one), and show it as its room sees it; returns what was said."""
        say = say or self.expect("say")
        same = {key: say[key] for key in ("id", "room")}
        self.send(
            {"type": "ack", "ref": say["ref"], "seq": seq, "time": 60_000 * seq, **same},
            message(seq, say["text"], sender=sender, **same),
        )
        return say

    def leave(self) -> None:
        """Say goodbye to a client that logs out; on a busy machine it may first ask whether we are still there."""
        while self.expect("logout", "ping")["type"] == "ping":
            self.send({"type": "pong"})
        self.send({"type": "bye", "code": "logged-out", "message": "Goodbye."})

    def cut(self) -> None:
        """Cut the connection without a TLS goodbye."""
        self.tls.shutdown(socket.SHUT_RDWR)


Script = Callable[[Peer], None]


class ScriptedServer:
    """What a test knows of the server."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.received = bytearray()
        """Every byte of application data, of all connections."""


@contextmanager
def scripted(
    *scripts: Script,
    leaf: trustme.LeafCert | None = None,
    stranger: trustme.LeafCert | None = None,
    require_certificate: bool = False,
    refused: bool = False,
) -> Iterator[ScriptedServer]:
    """Serve one connection for each script, one after the other; a script that fails, fails the test.

    `refused` says that the client must end the handshake, or the server refuse it: no script is played to its end.
    `stranger` is the certificate behind the first connection, and is to be refused by the client."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols(["securechat/1"])
    (leaf or certificate()).configure_cert(context)
    if require_certificate:
        context.verify_mode = ssl.CERT_REQUIRED
        authority().configure_trust(context)
    failures: list[BaseException] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(DEADLINE)
        server = ScriptedServer(listener.getsockname()[1])

        def serve() -> None:
            try:
                for script in scripts:
                    raw, _ = listener.accept()
                    raw.settimeout(DEADLINE)
                    peer = Peer(raw, context, server.received)
                    with raw:
                        if refused or (stranger and script is not scripts[0]):
                            with pytest.raises(OSError):
                                peer.play(script)
                        else:
                            peer.play(script)
                    if stranger:
                        stranger.configure_cert(context)
            except BaseException as error:  # noqa: BLE001 - raised again by the test's own thread
                failures.append(error)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server
        finally:
            thread.join(DEADLINE * 2)
    if failures:
        raise failures[0]
