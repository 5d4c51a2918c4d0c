"""Moderation from beside a running server: who is banned is out, who is muted is silent, and both are told."""

import json
from pathlib import Path

from tests.cli.calling import call
from tests.server.support import PASSWORD, Peer, peer, running_server

LOGIN = {"type": "login", "username": "alice", "password": PASSWORD}


def command(home: Path, *words: str) -> str:
    done = call(*words, "--home", str(home))
    assert done.code == 0, done
    return done.out + done.err


def test_who_is_banned_is_out_until_it_is_lifted_and_learns_it_with_its_password_only(home: Path) -> None:
    with running_server(home) as server, Peer(server.port) as alice, peer(server, "bob") as bob:
        token = alice.login("alice")["token"]
        assert "alice is banned for 7d." in command(home, "ban", "alice", "--for", "7d")
        assert alice.ends()[-1]["code"] in ("revoked", "banned")
        (row,) = json.loads(command(home, "sanctions", "--json"))
        assert (row["account"], row["kind"], row["by"]) == ("alice", "ban", "@operator")
        assert f"until {row['until']}" in command(home, "sanctions")
        with Peer(server.port) as again:
            again.receive()
            again.send(LOGIN)
            assert again.receive() | {"message": ""} == {"type": "error", "code": "banned", "message": ""}
            again.send(LOGIN | {"password": "wrong password"}, {"type": "ping"})
            assert again.receive()["code"] == "bad-credentials"
            again.send({"type": "resume", "token": token})
            assert again.receive()["code"] == "bad-credentials"
        bob.send({"type": "ping"})
        assert bob.receive()["type"] == "pong"
        assert "alice is not banned any more." in command(home, "unban", "alice")
        assert "alice is not banned." in command(home, "unban", "alice")
        with peer(server, "alice"):
            pass


def test_who_is_muted_reads_and_who_is_kicked_may_come_back(home: Path) -> None:
    command(home, "mute", "alice")  # without a server
    assert "It is so already." in command(home, "mute", "alice")
    with running_server(home) as server, peer(server, "alice", room="lobby") as alice:
        with peer(server, "bob", room="lobby") as bob:
            bob.say("hello", id="b1")
            assert alice.expect("message")["text"] == "hello"
            assert alice.say("hi", id="a1")["code"] == "muted"
            command(home, "unmute", "alice")
            assert alice.say("hi", id="a1")["type"] == "ack"
        assert "The sessions of alice are over." in command(home, "kick", "alice")
        assert alice.ends()[-1]["code"] == "revoked"
        with peer(server, "alice"):
            pass
    assert "alice has no session." in command(home, "kick", "carol").replace("carol", "alice")


def test_what_the_operator_says_is_told_to_all_who_are_in_and_kept_nowhere(home: Path) -> None:
    with running_server(home, reactors=2) as server, peer(server, "alice") as alice, peer(server, "bob") as bob:
        with Peer(server.port) as stranger:
            assert stranger.receive()["type"] == "hello"
            assert "Told in 2 sessions." in command(home, "broadcast", "The server restarts at noon.")
            for one in (alice, bob):
                assert one.receive() == {"type": "broadcast", "text": "The server restarts at noon."}
            stranger.send({"type": "ping"})
            assert stranger.receive()["type"] == "pong"
        assert call("broadcast", "bad \x1b[2J", "--home", str(home)).code == 1
    assert b"restarts" not in b"".join(path.read_bytes() for path in home.iterdir() if path.is_file())
    assert call("broadcast", "hello", "--home", str(home)).code == 3


def test_a_name_or_a_time_that_is_none_is_refused(home: Path) -> None:
    assert call("ban", "nobody", "--home", str(home)).code == 6
    assert call("ban", "alice", "--for", "soon", "--home", str(home)).code == 2
    for listing in (("sanctions",), ("sessions", "list")):  # no server has run yet
        assert call(*listing, "--home", str(home)).code == 6


def test_sessions_are_listed_and_ended_one_or_all(home: Path) -> None:
    with running_server(home) as server, Peer(server.port) as laptop, Peer(server.port) as phone, peer(server, "bob"):
        first = laptop.login("alice")["session"]
        phone.receive()
        phone.send(LOGIN | {"device": "my \u202ephone"})
        second = phone.expect("welcome")["session"]
        rows = json.loads(command(home, "sessions", "list", "alice", "--json"))
        assert [(row["session"], row["device"]) for row in rows] == [(first, ""), (second, "my \u202ephone")]
        shown = command(home, "sessions", "list")
        assert "bob " in shown
        assert "\u202e" not in shown
        assert call("sessions", "revoke", "alice", "none", "--home", str(home)).code == 6
        command(home, "sessions", "revoke", "alice", second)
        assert phone.ends()[-1]["code"] == "revoked"
        laptop.send({"type": "ping"})
        assert laptop.receive()["type"] == "pong"
        command(home, "sessions", "revoke", "alice")
        assert laptop.ends()[-1]["code"] == "revoked"
    assert "alice has no session." in command(home, "sessions", "revoke", "alice")
