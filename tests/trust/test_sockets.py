"""Sockets at their limits: no descriptor left, and keys that change in the middle of a talk (TRUST I2, I4)."""

import errno
import json
import logging
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from securechat.server.listener import PAUSE_SECONDS, listen
from tests.server.support import PASSWORD, make_home, peer, running_server


class Short(socket.socket):
    """A listening socket of a process that has no descriptor left, for as long as `is_short`."""

    is_short = False
    attempts = 0
    tried = threading.Event()

    def accept(self) -> tuple[socket.socket, Any]:
        if self.is_short:
            self.attempts += 1
            self.tried.set()
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return super().accept()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return make_home(tmp_path / "home")


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Short]]:
    """The listening sockets of servers that are started from now on."""
    made: list[Short] = []

    def listen_short(*arguments: Any) -> socket.socket:
        made.append(Short(fileno=listen(*arguments).detach()))
        return made[-1]

    monkeypatch.setattr("securechat.server.server.listen", listen_short)
    yield made


def test_without_descriptors_it_serves_those_it_has_does_not_spin_and_recovers(
    home: Path, short: list[Short], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR, "securechat")
    with running_server(home) as server, peer(server, "alice", room="lobby") as alice:
        (listening,) = short
        listening.is_short = True
        waiting = socket.create_connection(("127.0.0.1", server.port))
        assert listening.tried.wait(20)
        # Whoever tried on without a pause would try thousands of times in what follows.
        for number in range(300):
            assert alice.say("hello", id=str(number))["type"] == "ack"
        assert listening.attempts < 300
        assert [record.getMessage() for record in caplog.records] == [
            "cannot accept more connections: Too many open files"
        ]
        listening.is_short = False
        waiting.close()
        with peer(server, "bob", room="lobby") as bob:
            alice.say("back", id="back")
            assert bob.messages(1)[0]["text"] == "back"
    assert PAUSE_SECONDS > 0


@pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl")
def test_keys_are_updated_in_the_middle_of_a_talk(home: Path) -> None:
    with running_server(home) as server:
        command = ["openssl", "s_client", "-alpn", "securechat/1", "-CAfile", str(home / "certs" / "ca.pem")]
        with subprocess.Popen(
            [*command, "-verify_return_error", "-connect", f"localhost:{server.port}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        ) as client:
            assert client.stdin and client.stdout

            def hear(mark: bytes) -> bytes:
                for line in client.stdout or ():
                    if mark in line:
                        return line
                raise AssertionError(f"{mark!r} never came")

            def say(line: bytes) -> None:
                assert client.stdin
                client.stdin.write(line)
                client.stdin.flush()

            hear(b'"type":"hello"')
            login = {"type": "login", "username": "alice", "password": PASSWORD}
            say(json.dumps(login).encode() + b"\n")
            hear(b'"type":"welcome"')
            for number in range(3):
                say(b"K\n")  # asks the server for a new key too
                hear(b"KEYUPDATE")
                say(b'{"type":"ping","ref":"%d"}\n' % number)
                assert b'"ref":"%d"' % number in hear(b'"type":"pong"')
            client.kill()
