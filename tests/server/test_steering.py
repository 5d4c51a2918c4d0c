"""A running server, seen and steered from beside it."""

import contextlib
import json
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from securechat.accounts.credentials import CredentialFile
from securechat.config import Config, load_config
from securechat.limits import Limits
from securechat.server.server import Server
from tests.cli.calling import Done, call
from tests.server.support import DEADLINE, Peer, authority, peer, running_server, write_accounts, write_roomy_limits
from tests.server.test_stopping import serving

TALKERS = 20


def command(home: Path, *words: str) -> Done:
    return call(*words, "--home", str(home))


def status(home: Path) -> dict[str, Any]:
    facts = json.loads(command(home, "server", "status", "--json").out)
    assert isinstance(facts, dict)
    return facts


@contextlib.contextmanager
def serving_its_file(home: Path) -> Iterator[Server]:
    """A server in this process that reads its settings from its home, as `serve` does."""
    write_roomy_limits(home)

    def read() -> Config:
        return load_config(home, {}, {})

    server = Server(home, read(), read)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def test_status_and_connections_tell_who_is_there_and_how_it_goes(home: Path) -> None:
    with running_server(home) as server, peer(server, "alice", room="lobby") as alice, Peer(server.port) as stranger:
        stranger.receive()
        alice.say("hello", id="one")
        facts = status(home)
        assert (facts["sessions"], facts["strangers"], facts["connections"], facts["rooms"]) == (1, 1, 2, 1)
        assert (facts["messages"], facts["behind"], facts["draining"]) == (1, [], False)
        assert facts["commits"] >= 3
        assert facts["disk_free"] > 0 < facts["certificate_seconds_left"]
        text = command(home, "server", "status")
        assert f"on {server.address}" in text.out
        assert "behind       nobody" in text.out
        rows = json.loads(command(home, "server", "connections", "--json").out)
        assert sorted(row["account"] for row in rows) == ["", "alice"]
        assert "alice " in command(home, "server", "connections").out


def test_without_a_server_it_is_said(home: Path) -> None:
    done = command(home, "server", "status")
    assert (done.code, done.out) == (3, "")
    assert "No server runs on this home." in done.err


def test_a_reload_takes_what_is_new_and_says_it(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("securechat.server.keeper.SECONDS", 3_600.0)  # else it may be the first to see the new accounts
    with serving_its_file(home) as server, peer(server, "alice", room="lobby") as alice, peer(server, "bob") as bob:
        assert "Nothing is new." in command(home, "server", "reload").err
        text = (home / "securechat.toml").read_text()
        (home / "securechat.toml").write_text("retention_days = 9\nreactors = 2\n" + text + "text_bytes = 10\n")
        write_accounts(home, "alice dave:admin")
        told = command(home, "server", "reload").err
        assert "retention_days is 9, and was 0." in told
        assert "reactors is 2, and was 1; it takes a restart." in told
        assert "limits.text_bytes is 10, and was 16384." in told
        assert "log in again: bob" in told
        assert [frame["code"] for frame in bob.ends()] == ["account-changed"]
        assert alice.say("short", id="one")["type"] == "ack"
        assert alice.say("longer than ten", id="two")["code"] == "bad-text"
        with Peer(server.port) as new:
            assert new.receive()["limits"]["text"] == 10


def test_a_reload_tells_who_is_in_that_the_chat_has_other_addresses(home: Path) -> None:
    with serving_its_file(home) as server, peer(server, "alice") as alice, Peer(server.port) as stranger:
        assert stranger.receive()["type"] == "hello"
        text = (home / "securechat.toml").read_text()
        (home / "securechat.toml").write_text(text + '[cluster]\nnodes = ["a.example:7443", "b.example:7443"]\n')
        command(home, "server", "reload")
        assert alice.expect("nodes") == {"type": "nodes", "nodes": ["a.example:7443", "b.example:7443"]}
        command(home, "server", "reload")  # nothing is new: nothing is said
        alice.send({"type": "ping", "ref": "1"})
        assert alice.receive()["type"] == "pong"
        stranger.send({"type": "ping", "ref": "1"})
        assert stranger.receive()["type"] == "pong"


def _bad_settings(home: Path) -> None:
    (home / "securechat.toml").write_text("prot = 1\n")


def _bad_accounts(home: Path) -> None:
    (home / "credentials").write_text("alice:member\n")


def _bad_certificate(home: Path) -> None:
    # With settings and accounts that are new and good: nothing of them may be taken either.
    leaf = authority().issue_cert("localhost")
    (home / "certs" / "server.pem").write_bytes(leaf.cert_chain_pems[0].bytes())
    (home / "securechat.toml").write_text("port = 0\nretention_days = 5\n")
    write_accounts(home, "dave:admin")


def test_a_bad_reload_of_each_file_changes_nothing_and_leaves_everybody_talking(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("securechat.server.keeper.SECONDS", 3_600.0)  # only what is asked for reads the files
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(serving_its_file(home))
        token = stack.enter_context(Peer(server.port)).login("alice")["token"]
        talkers = [stack.enter_context(Peer(server.port)) for _ in range(TALKERS)]
        for one in talkers:
            one.send({"type": "resume", "token": token})
            one.expect("welcome")
            one.join()
        good = {path: path.read_bytes() for path in home.rglob("*") if path.suffix in (".toml", ".pem", "")
                and path.is_file()}  # fmt: skip
        for spoil in (_bad_settings, _bad_accounts, _bad_certificate):
            before = (
                server.services.config,
                server.services.authenticator.accounts,
                server.services.certificate.context,
            )
            spoil(home)
            done = command(home, "server", "reload")
            assert done.code == 1, done
            assert "securechat: " in done.err
            now = (server.services.config, server.services.authenticator.accounts, server.services.certificate.context)
            assert all(one is other for one, other in zip(before, now, strict=True)), spoil
            for number, one in enumerate(talkers):
                assert one.say("still here", id=f"{spoil.__name__}-{number}")["type"] == "ack"
            for path, data in good.items():
                path.write_bytes(data)


def test_sighup_reloads_and_drain_ends_it_when_the_last_one_has_left(home: Path) -> None:
    with serving(home) as (process, port), Peer(port) as alice:
        alice.login("alice")
        CredentialFile(home / "credentials").remove("carol")
        (home / "securechat.toml").write_text("retention_days = 7\n")
        process.send_signal(signal.SIGHUP)
        assert process.stderr is not None
        line = ""
        while "reloaded: " not in line:
            line = process.stderr.readline()
        assert "retention_days is 7" in line
        alice.join()
        assert "no new connections" in command(home, "server", "drain", "--within", "3600").err
        assert status(home)["draining"]
        with pytest.raises(OSError), socket.create_connection(("127.0.0.1", port), DEADLINE):
            pass
        assert alice.say("still here", id="one")["type"] == "ack"
        alice.send({"type": "logout"})
        alice.ends()
        assert process.wait(20) == 0


def test_who_has_not_left_in_time_is_told_goodbye(home: Path) -> None:
    with serving(home) as (process, port), Peer(port) as alice:
        alice.login("alice")
        command(home, "server", "drain", "--within", "0")
        assert alice.ends()[-1]["code"] == "shutdown"
        assert process.wait(20) == 0


def test_limits_are_those_of_the_new_settings_at_once(home: Path) -> None:
    with serving_its_file(home) as server:
        server.services.change(Config(limits=Limits(connections=5, strangers=6, login_waits=(1.0,))))
        services = server.services
        assert (services.throttle.waits, services.strangers.limit, services.journal.limits.connections) == (
            (1.0,),
            6,
            5,
        )
