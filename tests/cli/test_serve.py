"""`securechat serve` as a person runs it: what it prints, what it refuses and why, and how others can talk to it."""

import json
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.calling import Done, call
from tests.server.support import DEADLINE, PASSWORD, Peer, make_home
from tests.server.test_stopping import serving


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return make_home(tmp_path / "home")


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    """Give back the handlers that a start in this process has set."""
    kept = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


def _serve(home: Path, *flags: str) -> Done:
    """Call `serve` where it has to end by itself."""
    return call("serve", "--home", str(home), "--port", "0", *flags)


def test_check_says_that_all_is_well_and_leaves(home: Path) -> None:
    done = _serve(home, "--check")
    assert (done.code, done.out) == (0, "")
    assert done.err == "Everything that a start needs is in order.\n"


def _no_certificate(home: Path) -> None:
    (home / "certs" / "server.pem").unlink()


def _open_key(home: Path) -> None:
    (home / "certs" / "server.key").chmod(0o644)


def _foreign_key(home: Path) -> None:
    (home / "certs" / "server.key").write_text("no key\n")


def _no_accounts(home: Path) -> None:
    (home / "credentials").unlink()


def _bad_account(home: Path) -> None:
    with (home / "credentials").open("a") as file:
        file.write("mallory:admin:active:\n")


def _open_accounts(home: Path) -> None:
    (home / "credentials").chmod(0o640)


def _unknown_key(home: Path) -> None:
    (home / "securechat.toml").write_text("prot = 7443\n")


def _bad_value(home: Path) -> None:
    (home / "securechat.toml").write_text("reactors = 'many'\n")


def _no_toml(home: Path) -> None:
    (home / "securechat.toml").write_text("port : 7443\n")


def _no_store(home: Path) -> None:
    (home / "chat.db").write_bytes(b"something else entirely, and long enough to be looked at" * 100)


@pytest.mark.parametrize("check", [True, False], ids=["check", "start"])
@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_no_certificate, ["server.pem", "gen-certs"]),
        (_open_key, ["server.key", "chmod"]),
        (_foreign_key, ["server.key"]),
        (_no_accounts, ["credentials", "adduser"]),
        (_bad_account, ["credentials", "line 6"]),
        (_open_accounts, ["credentials", "chmod"]),
        (_unknown_key, ["securechat.toml", "prot", "Did you mean port?"]),
        (_bad_value, ["securechat.toml", "reactors"]),
        (_no_toml, ["securechat.toml", "TOML"]),
        (_no_store, ["chat.db"]),
    ],
)
def test_a_start_refuses_what_is_not_right_in_one_line(
    home: Path, spoil: object, words: list[str], check: bool
) -> None:
    assert callable(spoil)
    spoil(home)
    done = _serve(home, *(["--check"] if check else []))
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("securechat: ")
    assert done.err.count("\n") == 1, done.err
    assert all(word in done.err for word in words), done.err


def test_a_port_that_is_taken_is_named(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = _serve(home, "--port", str(port))
    assert done.code == 1
    assert f"127.0.0.1:{port}" in done.err
    assert "--port" in done.err


def test_an_address_of_another_machine_is_refused(home: Path) -> None:
    done = _serve(home, "--host", "192.0.2.1")  # TEST-NET-1, RFC 5737: nobody's
    assert done.code == 1
    assert "no address of this machine" in done.err


def test_the_environment_sets_what_no_flag_sets(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECURECHAT_DURABILITY", "sometimes")
    done = _serve(home, "--check")
    assert done.code == 1
    assert "durability" in done.err


def test_a_second_server_on_the_same_home_is_refused(home: Path) -> None:
    with serving(home) as (process, _):
        done = _serve(home)
        assert done.code == 1
        assert f"(process {process.pid})" in done.err


def test_the_log_is_json_with_utc_times_and_holds_no_secret(home: Path) -> None:
    canary = "canary-text-7b2a"
    with serving(home) as (process, port):
        with Peer(port) as alice:
            alice.login("alice")
            alice.join("lobby")
            alice.say(canary, id="one")
        with Peer(port) as mallory:
            mallory.receive()
            mallory.send({"type": "login", "username": "x\nforged \u001b[2J", "password": canary})
            mallory.receive()
        process.terminate()
        _, err = process.communicate(timeout=DEADLINE)
    rows = [json.loads(line) for line in err.splitlines()]
    assert all(row["time"].endswith("Z") for row in rows)
    assert any(row["message"] == "logged in" and row["account"] == "alice" for row in rows)
    assert any(row["message"].startswith("login failed") for row in rows)
    assert canary not in err
    assert PASSWORD not in err
    assert "\u001b" not in err


def test_wide_listening_is_asked_for_by_name(home: Path) -> None:
    command = [sys.executable, "-m", "securechat", "serve", "--home", str(home), "--port", "0", "--host", ""]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            port = int(line.rpartition(":")[2])
            with Peer(port) as alice:
                alice.login("alice")
        finally:
            process.terminate()
            process.communicate(timeout=DEADLINE)


def test_one_can_talk_by_hand_with_openssl(home: Path) -> None:
    openssl = shutil.which("openssl")
    assert openssl, "this test needs the openssl command"
    frames = [
        {"type": "login", "username": "alice", "password": PASSWORD},
        {"type": "join", "room": "lobby"},
        {"type": "say", "id": "by-hand", "room": "lobby", "text": "typed JSON"},
        {"type": "logout"},
    ]
    with serving(home) as (_, port), Peer(port) as bob:
        bob.login("bob")
        bob.join("lobby")
        command = [openssl, "s_client", "-quiet", "-alpn", "securechat/1", "-verify_return_error"]
        command += ["-CAfile", str(home / "certs" / "ca.pem"), "-connect", f"localhost:{port}"]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as hand:
            assert hand.stdin is not None
            assert hand.stdout is not None
            for frame in frames:
                hand.stdin.write(json.dumps(frame).encode() + b"\n")
            hand.stdin.flush()
            told = [json.loads(hand.stdout.readline())["type"] for _ in range(5)]
            assert told == ["hello", "welcome", "joined", "ack", "bye"]
            assert bob.expect("message")["text"] == "typed JSON"
