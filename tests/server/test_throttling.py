"""At the door: wrong passwords slow down whoever sends them, and a crowd that does not log in keeps nobody out."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from securechat.accounts.passwords import verify
from securechat.limits import Limits
from securechat.server.server import Server
from tests.server.support import DEADLINE, PASSWORD, Peer, peer, running_server

DEFAULTS = Limits()
AT_THE_DOOR = {key: getattr(DEFAULTS, key) for key in ("login_waits", "strangers", "strangers_per_address")}
WRONG = {"type": "login", "username": "alice", "password": "wrong password"}
RIGHT = WRONG | {"password": PASSWORD}


def _try(server: Server, login: dict[str, Any]) -> dict[str, Any]:
    with Peer(server.port) as one:
        one.receive()
        one.send(login)
        return one.receive()


def test_an_address_waits_over_all_its_connections_and_who_is_in_pays_nothing(home: Path) -> None:
    with running_server(home, login_waits=(900.0,)) as server, Peer(server.port) as alice:
        token = alice.login("alice")["token"]
        assert _try(server, WRONG | {"username": "bob"})["code"] == "bad-credentials"
        refused = _try(server, RIGHT | {"username": "carol"})
        assert (refused["code"], 0 < refused["retry_after"] <= 900) == ("throttled", True)
        assert server.services.reactors[0].counts.logins["throttled"] == 1
        # Alice is at home there: neither what others do nor, with her token, what she did herself keeps her out.
        assert _try(server, RIGHT)["type"] == "welcome"
        assert _try(server, WRONG)["code"] == "bad-credentials"
        assert _try(server, RIGHT)["code"] == "throttled"
        assert _try(server, {"type": "resume", "token": token})["type"] == "welcome"
        assert alice.say("still here", id="one")["code"] == "not-member"


def test_the_wait_ends(home: Path) -> None:
    with running_server(home, login_waits=(0.2,)) as server:
        assert _try(server, WRONG)["code"] == "bad-credentials"
        answers: list[str] = []
        while not answers or answers[-1] == "error":
            answers.append(_try(server, RIGHT)["type"])
        assert answers[-1] == "welcome"


def test_a_failure_counts_also_when_its_sender_has_left(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checked, go_on = threading.Event(), threading.Event()

    def slow(stored: str, password: str) -> bool:
        checked.set()
        return not go_on.wait(DEADLINE)

    monkeypatch.setattr("securechat.accounts.authentication.verify", slow)
    with running_server(home, login_waits=(900.0,), login_seconds=1.0) as server:
        with Peer(server.port) as mallory:
            mallory.receive()
            mallory.send(WRONG)
            assert checked.wait(DEADLINE)
        while server.services.strangers.count:
            _pause()
        go_on.set()
        while _try(server, WRONG)["code"] != "throttled":
            _pause()


def _pause() -> None:
    threading.Event().wait(0.01)


@contextlib.contextmanager
def _silent(server: Server, source: str, count: int) -> Iterator[list[socket.socket]]:
    with contextlib.ExitStack() as stack:
        yield [
            stack.enter_context(
                socket.create_connection(("127.0.0.1", server.port), DEADLINE, source_address=(source, 0))
            )
            for _ in range(count)
        ]


def test_one_address_has_eight_strangers_and_no_more_and_who_is_in_is_none(home: Path) -> None:
    with running_server(home, **AT_THE_DOOR, handshake_seconds=60.0) as server, peer(server, "alice"):
        with _silent(server, "127.0.0.1", 8), pytest.raises((OSError, EOFError)), Peer(server.port) as ninth:
            ninth.receive()
        assert server.services.strangers.count <= 8
        while server.services.strangers.count:
            _pause()
        with peer(server, "bob"):
            assert server.services.strangers.count == 0


def test_a_crowd_that_does_not_log_in_is_dropped_early_and_nobody_who_is_in(home: Path) -> None:
    with (
        running_server(home, **AT_THE_DOOR, handshake_seconds=60.0, crowded_seconds=0.2) as server,
        peer(server, "alice", room="lobby") as alice,
        contextlib.ExitStack() as crowd,
    ):
        silent = [one for host in range(2, 10) for one in crowd.enter_context(_silent(server, f"127.0.0.{host}", 8))]
        with peer(server, "bob") as bob:  # it waits until those who were there longest make place
            bob.send({"type": "ping"})
            assert bob.receive()["type"] == "pong"
        ended = 0
        for one in silent:
            one.setblocking(False)
            with contextlib.suppress(BlockingIOError, ConnectionResetError):
                ended += one.recv(1) == b""
        assert ended
        assert alice.say("hello", id="one")["type"] == "ack"


def test_who_waits_for_a_password_to_be_checked_is_not_dropped_early(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checking, go_on = threading.Event(), threading.Event()

    def slow(stored: str, password: str) -> bool:
        checking.set()
        return go_on.wait(DEADLINE) and verify(stored, password)

    monkeypatch.setattr("securechat.accounts.authentication.verify", slow)
    with (
        running_server(home, **AT_THE_DOOR, handshake_seconds=60.0, crowded_seconds=0.2) as server,
        Peer(server.port) as alice,
        contextlib.ExitStack() as crowd,
    ):
        assert alice.receive()["type"] == "hello"
        alice.send(RIGHT)
        assert checking.wait(DEADLINE)
        for host in range(2, 10):
            crowd.enter_context(_silent(server, f"127.0.0.{host}", 8))
        with Peer(server.port) as bob:  # it waits until those who were there longest make place
            assert bob.receive()["type"] == "hello"
        go_on.set()
        assert alice.receive()["type"] == "welcome"
