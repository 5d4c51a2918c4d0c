"""Coming back with a token: without a password, for as long as nobody ends it."""

import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from securechat.accounts.authentication import Authenticator
from securechat.accounts.credentials import CredentialFile
from securechat.chat.model import Revoke
from securechat.config import Config
from securechat.server.operating import propose
from securechat.server.server import Server
from tests.server.support import DEADLINE, PASSWORD, Peer, hashed, peer, running_server


def _resume(one: Peer, token: str) -> dict[str, object]:
    assert one.receive()["type"] == "hello"
    one.send({"type": "resume", "token": token})
    return one.receive()


def test_a_token_lets_its_owner_in_again_also_after_a_restart(home: Path) -> None:
    with running_server(home) as server, Peer(server.port) as alice:
        first = alice.login("alice")
        with Peer(server.port) as again:
            welcome = _resume(again, first["token"])
            assert (welcome["type"], welcome["username"], welcome["session"]) == ("welcome", "alice", first["session"])
            assert "token" not in welcome
    with running_server(home) as server, Peer(server.port) as again:
        assert _resume(again, first["token"])["type"] == "welcome"


def test_only_the_hash_of_a_token_is_on_the_servers_disk(home: Path) -> None:
    with running_server(home) as server, Peer(server.port) as alice:
        token = alice.login("alice")["token"]
    for path in home.rglob("*"):
        assert path.is_dir() or token.encode() not in path.read_bytes()


@pytest.mark.parametrize("token", ["", "x" * 43, "\u0000", "é"])
def test_any_other_text_is_no_token(server: Server, token: str) -> None:
    with Peer(server.port) as mallory:
        assert _resume(mallory, token)["code"] == "bad-credentials"


def test_sessions_are_listed_and_ended_by_their_owner(server: Server) -> None:
    with Peer(server.port) as laptop, Peer(server.port) as phone, peer(server, "bob") as bob:
        mine = laptop.login("alice")
        assert phone.receive()["type"] == "hello"
        phone.send({"type": "login", "username": "alice", "password": PASSWORD, "device": "phone"})
        theirs = phone.receive()
        laptop.send({"type": "sessions"})
        listed = {row["session"]: row for row in laptop.expect("sessions")["sessions"]}
        assert listed.keys() == {mine["session"], theirs["session"]}
        assert (listed[mine["session"]]["current"], listed[theirs["session"]]["device"]) == (True, "phone")
        bob.send({"type": "revoke", "session": theirs["session"]})
        assert bob.expect("error")["code"] == "no-such-session"
        laptop.send({"type": "revoke", "session": theirs["session"]})
        assert laptop.expect("revoked", "error")["type"] == "revoked"
        assert [frame["code"] for frame in phone.ends()] == ["revoked"]
        with Peer(server.port) as again:
            assert _resume(again, theirs["token"])["code"] == "bad-credentials"
        with Peer(server.port) as again:
            assert _resume(again, mine["token"])["type"] == "welcome"


def test_a_new_password_ends_all_other_sessions_and_their_tokens(home: Path) -> None:
    with running_server(home) as server, Peer(server.port) as laptop, Peer(server.port) as phone:
        mine, theirs = laptop.login("alice"), phone.login("alice")
        for old, new, code in (
            ("wrong", "a quite new password", "bad-credentials"),
            (PASSWORD, "short", "weak-password"),
        ):
            laptop.send({"type": "password", "old": old, "new": new})
            assert laptop.expect("error")["code"] == code
        laptop.send({"type": "password", "old": PASSWORD, "new": "a quite new password"})
        assert laptop.expect("changed", "error")["type"] == "changed"
        assert len(server.services.view.tokens_of["alice"]) == 1  # by the time that one is told, and not a moment later
        assert [frame["code"] for frame in phone.ends()] == ["account-changed"]
        laptop.send({"type": "ping"})
        assert laptop.expect("pong")
        with Peer(server.port) as again:
            assert _resume(again, theirs["token"])["code"] == "bad-credentials"
        with Peer(server.port) as again:
            assert _resume(again, mine["token"])["type"] == "welcome"
        with Peer(server.port) as again:
            again.login("alice", "a quite new password")


def test_a_new_password_ends_the_others_though_whoever_asked_has_left(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, left, change = threading.Event(), threading.Event(), Authenticator.change_password

    def held_up(*words: Any) -> bool:
        begun.set()
        assert left.wait(DEADLINE)
        return change(*words)

    monkeypatch.setattr(Authenticator, "change_password", held_up)
    with running_server(home) as server, Peer(server.port) as phone, Peer(server.port) as laptop:
        phone.login("alice")
        session = laptop.login("alice")["session"]
        laptop.send({"type": "password", "old": PASSWORD, "new": "a quite new password"})
        assert begun.wait(DEADLINE)
        phone.send({"type": "revoke", "session": session})  # perhaps a thief
        assert laptop.ends()[-1]["code"] == "revoked"
        laptop.close()
        while server.services.connections > 1:
            phone.send({"type": "ping"})
            phone.expect("pong")
        left.set()
        assert phone.ends()[-1]["code"] == "account-changed"
        while server.services.view.tokens_of["alice"]:
            pass  # they end a commit later than the sessions
        with Peer(server.port) as again:
            again.login("alice", "a quite new password")


def test_a_new_password_holds_though_the_journal_takes_nothing(
    home: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with running_server(home) as server, Peer(server.port) as alice:
        alice.login("alice")
        monkeypatch.setattr(server.services.journal, "submit", lambda _: False)
        alice.send({"type": "password", "old": PASSWORD, "new": "a quite new password"})
        assert alice.expect("changed", "error")["type"] == "changed"
        assert "other tokens of alice are still stored, and open nothing" in caplog.text
        monkeypatch.undo()
        with Peer(server.port) as again:
            again.login("alice", "a quite new password")


def test_a_password_changed_on_the_server_ends_tokens_too(home: Path) -> None:
    with running_server(home) as server, Peer(server.port) as alice:
        token = alice.login("alice")["token"]
        CredentialFile(home / "credentials").set_password("alice", hashed("another long password"))
        assert [frame["code"] for frame in alice.ends()] == ["account-changed"]
        answer: dict[str, object] = {"type": "welcome"}
        while answer["type"] == "welcome":  # the tokens end a commit later than the sessions
            with Peer(server.port) as again:
                answer = _resume(again, token)
        assert answer["code"] == "bad-credentials"


def write_by_hand(home: Path, name: str, line: str) -> None:
    path = home / "credentials"
    others = [each for each in path.read_text().splitlines() if not each.startswith(f"{name}:")]
    path.write_text("".join(f"{each}\n" for each in [*others, *([line] if line else [])]))


def test_what_is_written_by_hand_while_no_server_runs_ends_tokens_at_the_start(home: Path) -> None:
    names = ("alice", "bob", "carol", "dave")
    with running_server(home) as server, ExitStack() as stack:
        tokens = {name: stack.enter_context(Peer(server.port)).login(name)["token"] for name in names}
    bob = CredentialFile(home / "credentials").get("bob").password
    write_by_hand(home, "alice", f"alice:member:active:{hashed('another long password')}")
    write_by_hand(home, "bob", f"bob:member:disabled:{bob}")
    write_by_hand(home, "carol", "")
    with running_server(home) as server:
        for name in names:
            with Peer(server.port) as again:
                answer = _resume(again, tokens[name])
                assert answer.get("code") == (None if name == "dave" else "bad-credentials"), answer
        assert propose(home, Config(), Revoke("eve")).unchanged, "and what was decided before it is done"
        assert {name for name, held in server.services.view.tokens_of.items() if held} == {"dave"}
    # For good, and not for as long as the file says so.
    write_by_hand(home, "bob", f"bob:member:active:{bob}")
    with running_server(home) as server, Peer(server.port) as again:
        assert _resume(again, tokens["bob"])["code"] == "bad-credentials"


def test_a_token_outlives_a_restart_after_its_owner_changed_the_password(home: Path) -> None:
    with running_server(home) as server, Peer(server.port) as alice:
        token = alice.login("alice")["token"]
        alice.send({"type": "password", "old": PASSWORD, "new": "a quite new password"})
        assert alice.expect("changed", "error")["type"] == "changed"
    with running_server(home) as server, Peer(server.port) as again:
        assert _resume(again, token)["type"] == "welcome"


def test_a_disabled_account_cannot_come_back_with_its_token(home: Path) -> None:
    with running_server(home) as server, Peer(server.port) as alice:
        token = alice.login("alice")["token"]
        CredentialFile(home / "credentials").set_state("alice", "disabled")
        alice.ends()
        with Peer(server.port) as again:
            assert _resume(again, token)["code"] == "bad-credentials"
