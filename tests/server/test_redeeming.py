"""Coming in by an invitation: the account is made once, for whoever is first, and each other try is told why not."""

import json
from pathlib import Path
from typing import Any

import pytest

from securechat import audit
from securechat.accounts.credentials import CredentialFile
from securechat.accounts.tokens import hash_token
from securechat.chat.model import Issue, Proposal, RevokeInvitation
from securechat.errors import CredentialError
from securechat.server.control import submit
from securechat.server.server import Server
from tests.server.support import PASSWORD, Peer, in_parallel, peer, running_server

SECRET = "Zr8mYc0qVw2dP5sT1uX4oKaLhNfEbGiJ7lQtRvSyU3A"
OWN = "a sentence of frank's own"
WEEK = 7 * 86_400_000


def redeem(username: str = "frank", secret: str = SECRET, password: str = OWN, **more: Any) -> dict[str, Any]:
    return {"type": "redeem", "username": username, "secret": secret, "password": password, **more}


def issue(server: Server, account: str = "frank", secret: str = SECRET, lifetime: int = WEEK, **more: Any) -> None:
    assert not submit(server.services.journal, Issue(account, hash_token(secret), lifetime, **more)).code


def tried(server: Server, frame: dict[str, Any]) -> dict[str, Any]:
    """What a stranger is answered who sends this first."""
    with Peer(server.port) as stranger:
        stranger.receive()
        stranger.send(frame)
        return stranger.receive()


def test_an_invitation_makes_an_account_with_its_role_and_rooms_and_a_session(server: Server, home: Path) -> None:
    for room in ("ops", "vault"):
        create = Proposal("create", "dave", room, private=room == "vault")
        assert not submit(server.services.journal, create).code
    issue(server, role="admin", rooms=("ops", "vault", "gone"))
    with Peer(server.port) as frank, peer(server, "dave") as dave:
        frank.receive()
        dave.send({"type": "subscribe", "room": "ops"})
        dave.expect("subscribed")
        frank.send(redeem(ref="r", device="laptop"), {"type": "ping", "ref": "behind"})
        welcome = frank.receive()
        assert (welcome["type"], welcome["ref"], welcome["role"]) == ("welcome", "r", "admin")
        assert [room["room"] for room in welcome["rooms"]] == ["ops", "vault"]
        assert frank.receive() == {"type": "pong", "ref": "behind"}
        assert dave.expect("invite")["target"] == "frank"
        assert [token.device for _, token in server.services.tokens_of("frank")] == ["laptop"]
        frank.send(redeem())
        assert frank.receive()["code"] == "already-logged-in"
    assert CredentialFile(home / "credentials").get("frank").role == "admin"
    with Peer(server.port) as again:
        again.receive()
        again.send({"type": "resume", "token": welcome["token"]})
        assert again.receive()["type"] == "welcome"
    with Peer(server.port) as again:
        again.login("frank", OWN)
    server.stop()
    noted = [json.loads(line) for line in (home / audit.FILE).read_text().splitlines()]
    assert [row["who"] for row in noted if (row["act"], row["result"]) == ("redeem", "ok")] == ["frank"]


def test_an_invitation_that_was_used_is_told_so(server: Server) -> None:
    issue(server)
    with Peer(server.port) as frank:
        frank.receive()
        frank.send(redeem())
        assert frank.receive()["type"] == "welcome"
    used = tried(server, redeem(password="another long password"))
    assert (used["code"], used["message"]) == (
        "bad-invitation",
        "This invitation was used already; ask for another.",
    )


def test_of_two_at_once_one_is_in(server: Server) -> None:
    issue(server)
    with Peer(server.port) as one, Peer(server.port) as other:
        both = (one, other)
        for each in both:
            each.receive()
        answers: list[str] = []

        def take(each: Peer, password: str) -> None:
            each.send(redeem(password=password))
            answer = each.receive()
            answers.append(answer.get("code", answer["type"]))

        in_parallel(
            lambda: take(one, "the first long password"),
            lambda: take(other, "the other long password"),
        )
    assert sorted(answers) == ["bad-invitation", "welcome"]
    assert len(server.services.tokens_of("frank")) == 1


def test_what_is_no_open_invitation_is_told_apart_only_to_who_has_its_secret(server: Server) -> None:
    issue(server)
    unknown = "There is no such invitation; ask for another."
    assert tried(server, redeem("grace"))["message"] == unknown
    assert tried(server, redeem(secret=SECRET[:-1]))["message"] == unknown
    assert tried(server, redeem("Not\na name"))["message"] == unknown
    assert not submit(server.services.journal, RevokeInvitation("frank")).code
    assert tried(server, redeem())["message"] == "This invitation was revoked; ask for another."
    issue(server, "grace", "late", lifetime=0)
    assert tried(server, redeem("grace", "late"))["message"] == "This invitation has expired; ask for another."


def test_three_tries_close_the_connection_and_what_came_behind_is_dropped(server: Server) -> None:
    with Peer(server.port) as stranger:
        stranger.receive()
        stranger.send(redeem(secret="one"), {"type": "ping", "ref": "dropped"})
        assert stranger.receive()["code"] == "bad-invitation"
        stranger.send(redeem(secret="two"))
        assert stranger.receive()["code"] == "bad-invitation"
        stranger.send(redeem(secret="three"))
        assert [(frame["type"], frame["code"]) for frame in stranger.ends()] == [
            ("error", "bad-invitation"),
            ("bye", "bad-credentials"),
        ]


def test_who_guesses_has_to_wait_and_so_do_the_logins_of_that_address(home: Path) -> None:
    with running_server(home, login_waits=(60.0,)) as server, Peer(server.port) as stranger:
        issue(server)
        stranger.receive()
        stranger.send(redeem(secret="one"))
        assert stranger.receive()["code"] == "bad-invitation"
        for frame in (redeem(), {"type": "login", "username": "alice", "password": PASSWORD}):
            stranger.send(frame)
            waits = stranger.receive()
            assert waits["code"] == "throttled"
            assert 0 < waits["retry_after"] <= 60.0


def test_who_has_the_secret_of_a_used_invitation_need_not_wait_to_log_in(home: Path) -> None:
    with running_server(home, login_waits=(60.0,)) as server:
        issue(server)
        assert tried(server, redeem())["type"] == "welcome"
        with Peer(server.port) as frank:
            frank.receive()
            frank.send(redeem())
            assert "used already" in frank.receive()["message"]
            frank.send({"type": "login", "username": "frank", "password": OWN})
            assert frank.receive()["type"] == "welcome"


def test_a_weak_password_leaves_the_invitation_open(server: Server) -> None:
    issue(server)
    with Peer(server.port) as frank:
        frank.receive()
        frank.send(redeem(password="short"))
        assert frank.receive()["code"] == "weak-password"
        frank.send(redeem())
        assert frank.receive()["type"] == "welcome"


def test_an_account_that_was_made_meanwhile_is_left_as_it_is(server: Server, home: Path) -> None:
    issue(server, "alice", role="admin")
    refused = tried(server, redeem("alice", password="another long password"))
    assert refused["code"] == "bad-invitation"
    assert "There is an account alice already." in refused["message"]
    assert CredentialFile(home / "credentials").get("alice").role == "member"
    with peer(server, "alice"):
        pass


def test_an_account_that_cannot_be_made_is_told(
    server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: object) -> None:
        raise CredentialError("The file cannot be written.")

    issue(server)
    monkeypatch.setattr(server.services.authenticator.roll, "add", fail)
    assert tried(server, redeem())["code"] == "storage"
    assert "an invitation of frank came to nothing: The file cannot be written." in caplog.text
    assert SECRET not in caplog.text
    assert OWN not in caplog.text


def test_the_ca_is_told_to_whoever_asks(server: Server, home: Path) -> None:
    told = tried(server, {"type": "authority", "ref": "a"})
    assert told == {"type": "authority", "ref": "a", "certificate": (home / "certs" / "ca.pem").read_text()}
    with peer(server, "alice") as alice:
        alice.send({"type": "authority"})
        assert alice.receive()["certificate"] == told["certificate"]


def test_a_server_without_a_ca_of_its_own_says_so(home: Path) -> None:
    (home / "certs" / "ca.pem").unlink()
    with running_server(home) as server:
        assert tried(server, {"type": "authority"})["code"] == "forbidden"
