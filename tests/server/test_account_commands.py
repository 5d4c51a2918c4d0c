"""What commands do to accounts while a server runs is in force when they return, whatever the keeper looks at."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from securechat import audit
from securechat.server import keeper
from securechat.server.server import Server
from tests.cli.calling import Done, call
from tests.server.support import Peer, peer, running_server

OTHER = "canary bird over nine hills"


@pytest.fixture
def server(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server that never looks at the credential file by itself."""
    monkeypatch.setattr(keeper, "SECONDS", 1_000.0)
    with running_server(home, reactors=2) as running:
        yield running


def command(home: Path, *words: str) -> Done:
    return call(*words, "--home", str(home))


def acts(home: Path) -> list[tuple[str, str, str]]:
    rows = [json.loads(line) for line in (home / audit.FILE).read_text().splitlines()]
    assert {row["source"] for row in rows if row["who"] == "@operator"} == {f"user {os.getuid()}"}
    return [(row["act"], row["what"], row["result"]) for row in rows if row["who"] == "@operator"]


def test_who_is_kept_out_is_out_when_the_command_returns(home: Path, server: Server, tmp_path: Path) -> None:
    given = tmp_path / "given"
    given.write_text(OTHER)
    given.chmod(0o600)
    for words, name in (
        (("user", "passwd", "alice", "--password-file", str(given)), "alice"),
        (("user", "disable", "bob"), "bob"),
        (("user", "remove", "carol", "--yes"), "carol"),
    ):
        with Peer(server.port) as one, Peer(server.port) as again:
            token = one.login(name)["token"]
            done = command(home, *words)
            assert (done.code, done.err.count("its sessions are over")) == (0, 1), done
            assert not server.services.view.tokens_of[name]
            assert one.ends()[-1]["code"] in ("account-changed", "revoked")
            again.receive()
            again.send({"type": "resume", "token": token})
            assert again.receive()["code"] == "bad-credentials"
    with Peer(server.port) as alice:
        alice.login("alice", OTHER)
    server.stop()
    assert acts(home) == [("user passwd", "alice", "ok"), ("user disable", "bob", "ok"), ("user remove", "carol", "ok")]
    assert b"canary" not in b"".join(path.read_bytes() for path in home.iterdir() if path.is_file())


def test_who_is_let_in_is_in_at_once_and_with_the_role_of_now(home: Path, server: Server) -> None:
    made = command(home, "adduser", "frank", "--generate")
    with Peer(server.port) as frank, peer(server, "dave") as dave:
        assert frank.login("frank", made.out.strip())["role"] == "member"
        assert command(home, "user", "enable", "erin").code == 0
        assert command(home, "user", "promote", "erin").code == 0
        with Peer(server.port) as erin:
            assert erin.login("erin")["role"] == "admin"
        assert command(home, "user", "demote", "dave").code == 0
        for one in (frank, dave):  # nobody else was disturbed
            one.send({"type": "ping"})
            assert one.expect("pong")


def test_what_the_server_refuses_is_told_as_it_would_be_without_one(home: Path, server: Server) -> None:
    refused = command(home, "user", "demote", "dave")
    assert refused.code == 1
    assert "without an active admin. Make another one first" in refused.err
    assert command(home, "adduser", "alice", "--generate").code == 7
    assert command(home, "user", "disable", "nobody").code == 6
    server.stop()
    assert acts(home) == [("user member", "dave", "That would leave the server without an active admin.")]


def test_tokens_that_could_not_be_ended_are_told(home: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server.services.journal, "submit", lambda _: False)
    done = command(home, "user", "disable", "alice")
    assert done.code == 1
    assert "It is done, but tokens are still in force" in done.err
    monkeypatch.setattr(server, "answers", lambda _: False)
    assert "a thread of the server is stuck" in command(home, "user", "disable", "bob").err
