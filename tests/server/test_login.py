"""The way in: who is let in, what others are told, and what becomes of what they sent behind a login."""

import selectors
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from securechat.accounts import passwords
from securechat.accounts.credentials import CredentialFile
from securechat.server.server import Server
from tests.server.support import DEADLINE, PASSWORD, Peer, hashed, peer, running_server


def _login(username: str, password: str = PASSWORD, **more: Any) -> dict[str, Any]:
    return {"type": "login", "username": username, "password": password, **more}


def test_the_server_speaks_first_and_names_its_limits(server: Server) -> None:
    with Peer(server.port) as stranger:
        assert stranger.receive() == {
            "type": "hello",
            "protocol": 1,
            "auth": ["password", "token"],
            "limits": {"line": 65_536, "text": 16_384},
        }


@pytest.mark.parametrize(
    ("username", "password"),
    [("alice", "wrong"), ("nobody", PASSWORD), ("erin", PASSWORD), ("alice", ""), ("Not\na name", PASSWORD)],
    ids=["wrong", "unknown", "disabled", "empty", "no-name"],
)
def test_every_failed_login_gets_the_same_bytes_at_the_same_number_of_hashes(
    home: Path, username: str, password: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashes: list[str] = []
    verify = passwords.verify

    def counted(stored: str, password: str) -> bool:
        hashes.append(stored)
        return verify(stored, password)

    monkeypatch.setattr("securechat.accounts.authentication.verify", counted)
    with running_server(home) as server, Peer(server.port) as stranger:
        stranger.receive()
        stranger.send(_login(username, password))
        assert stranger.receive() == {
            "type": "error",
            "code": "bad-credentials",
            "message": "The username or the password is wrong.",
        }
    assert len(hashes) == 1


def test_a_failed_login_can_be_tried_again_but_the_third_closes(server: Server) -> None:
    with Peer(server.port) as stranger:
        stranger.receive()
        for _ in range(2):
            stranger.send(_login("alice", "wrong password"))
            assert stranger.receive()["code"] == "bad-credentials"
        stranger.send(_login("alice", "wrong password"))
        assert [frame["type"] for frame in stranger.ends()] == ["error", "bye"]
    with Peer(server.port) as stranger:
        stranger.receive()
        stranger.send(_login("alice", "wrong password"))
        stranger.receive()
        stranger.send(_login("alice"))
        assert stranger.receive()["type"] == "welcome"


def test_requests_behind_a_login_take_effect_when_it_succeeds(server: Server) -> None:
    with Peer(server.port) as alice:
        alice.receive()
        alice.send(_login("alice"), {"type": "join", "room": "lobby"}, {"type": "ping", "ref": "p"})
        assert [alice.receive()["type"] for _ in range(3)] == ["welcome", "joined", "pong"]


def test_requests_behind_a_login_are_dropped_when_it_fails(server: Server) -> None:
    with Peer(server.port) as stranger:
        stranger.receive()
        stranger.send(_login("alice", "wrong password"), {"type": "ping", "ref": "dropped"})
        assert stranger.receive()["code"] == "bad-credentials"
        stranger.send({"type": "ping", "ref": "later"})
        assert stranger.receive() == {"type": "pong", "ref": "later"}


def test_nothing_else_is_heard_before_login(server: Server) -> None:
    with Peer(server.port) as stranger:
        stranger.receive()
        for kind in ("say", "join", "rooms", "sync", "history", "members", "subscribe", "create", "leave"):
            frame: dict[str, Any] = {"type": kind, "ref": "r"}
            if kind not in ("rooms", "sync"):
                frame["room"] = "lobby"
            if kind == "say":
                frame |= {"id": "one", "text": "hello"}
            stranger.send(frame)
            refused = stranger.receive()
            assert (refused["code"], refused["ref"]) == ("not-logged-in", "r"), kind


def test_a_second_login_is_refused(server: Server) -> None:
    with peer(server, "alice") as alice:
        alice.send(_login("bob"))
        assert alice.receive()["code"] == "already-logged-in"


def test_logout_says_goodbye_and_closes_in_good_order(server: Server) -> None:
    with peer(server, "alice") as alice:
        alice.send({"type": "logout"})
        assert alice.ends() == [{"type": "bye", "code": "logged-out", "message": "Goodbye."}]


def test_what_was_said_before_a_goodbye_is_acknowledged_before_the_servers(server: Server) -> None:
    with peer(server, "alice", room="lobby") as alice:
        says = [{"type": "say", "id": f"n{n}", "room": "lobby", "text": "x"} for n in range(300)]
        alice.send(*says, {"type": "logout"})
        told = alice.ends()
        assert [frame["id"] for frame in told if frame["type"] == "ack"] == [f"n{n}" for n in range(300)]
        assert told[-1]["code"] == "logged-out"


def test_more_logins_than_can_wait_are_told_at_once_to_come_back(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hashing, go_on = threading.Event(), threading.Event()
    verify = passwords.verify

    def slow(stored: str, password: str) -> bool:
        hashing.set()
        assert go_on.wait(DEADLINE)
        return verify(stored, password)

    monkeypatch.setattr("securechat.accounts.authentication.verify", slow)
    with (
        running_server(home, hash_workers=1, hash_queue=1) as server,
        Peer(server.port) as first,
        Peer(server.port) as second,
        Peer(server.port) as third,
    ):
        for one in (first, second, third):
            one.receive()
        first.send(_login("alice"))
        assert hashing.wait(DEADLINE)  # the one worker is busy; one login may wait, and a third may not
        for one in (second, third):
            one.send(_login("bob"))
        with selectors.DefaultSelector() as answers:
            for one in (second, third):
                answers.register(one.socket, selectors.EVENT_READ, one)
            ((key, _),) = answers.select(DEADLINE)
        refused: Peer = key.data
        answer = refused.receive()
        assert (answer["code"], answer["retry_after"]) == ("throttled", 1.0)
        go_on.set()
        assert first.receive()["type"] == "welcome"
        assert (third if refused is second else second).receive()["type"] == "welcome"
        refused.send(_login("carol"))
        assert refused.receive()["type"] == "welcome"


@pytest.mark.parametrize(
    "change",
    [
        lambda file: file.set_state("alice", "disabled"),
        lambda file: file.remove("alice"),
        lambda file: file.set_password("alice", hashed("another long password")),
    ],
    ids=["disabled", "removed", "password"],
)
def test_a_change_of_the_account_ends_its_sessions_and_no_others(
    home: Path, change: Callable[[CredentialFile], None]
) -> None:
    with running_server(home) as server, peer(server, "alice") as alice, peer(server, "bob") as bob:
        change(CredentialFile(home / "credentials"))
        assert [(frame["type"], frame["code"]) for frame in alice.ends()] == [("bye", "account-changed")]
        bob.send({"type": "ping"})
        assert bob.receive()["type"] == "pong"
        with Peer(server.port) as again:
            again.receive()
            again.send(_login("alice"))
            assert again.receive()["code"] == "bad-credentials"


def test_a_new_password_is_in_force_while_the_server_runs(home: Path) -> None:
    with running_server(home) as server, peer(server, "alice") as alice:
        file = CredentialFile(home / "credentials")
        file.set_password("alice", hashed("another long password"))
        alice.ends()  # the file has been read
        with Peer(server.port) as again:
            again.receive()
            again.send(_login("alice", "another long password"))
            assert again.receive()["type"] == "welcome"


def test_no_reply_repeats_the_password(server: Server) -> None:
    canary = "canary-5d41402abc4b2a76"
    for frame in (
        _login("alice", canary),
        _login("alice", canary, unknown=1),
        {"type": "login", "username": "alice", "password": [canary]},
        {"type": "login", "password": canary},
    ):
        with Peer(server.port) as stranger:
            stranger.receive()
            stranger.send(frame)
            assert canary not in str(stranger.receive())
