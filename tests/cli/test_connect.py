"""`securechat connect` from scripts, against a real server: what is printed where, and the exit code of every end."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest
import trustme

from securechat.certificates import client_context
from securechat.cli import main
from securechat.client.client import Client
from securechat.protocols.frames import Join, Joined, Message, Sync, Synced
from securechat.server.server import Server
from tests.server.support import DEADLINE, PASSWORD, make_home, running_server

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return make_home(tmp_path / "home")


@pytest.fixture
def server(home: Path) -> Iterator[Server]:
    with running_server(home) as running:
        yield running


class Run:
    """The command in this process, with a file as its stdin."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: Captured) -> None:
        self._input = folder / "input"
        self._monkeypatch = monkeypatch
        self._capfd = capfd

    def __call__(self, *arguments: str | Path, typed: bytes = b"") -> tuple[int, str, str]:
        """Run `securechat connect …`; its exit code, stdout and stderr."""
        self._input.write_bytes(typed)
        with self._input.open(encoding="utf-8") as stdin:
            self._monkeypatch.setattr(sys, "stdin", stdin)
            self._monkeypatch.setattr(sys, "argv", ["securechat", "connect", *map(str, arguments)])
            with pytest.raises(SystemExit) as ended:
                main()
        out, err = self._capfd.readouterr()
        assert PASSWORD not in out + err
        return int(ended.value.code or 0), out, err


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Captured) -> Run:
    return Run(tmp_path, monkeypatch, capfd)


@pytest.fixture
def password_file(tmp_path: Path) -> Path:
    path = tmp_path / "password"
    path.touch(0o600)
    path.write_text(PASSWORD + "\n")
    return path


def test_lines_are_stored_and_the_exit_code_says_so(server: Server, home: Path, run: Run) -> None:
    at = f"alice@localhost:{server.port}"
    code, out, err = run(at, "--home", home, "--password-stdin", typed=f"{PASSWORD}\nhello\n\nzwei ü\n".encode())
    assert (code, out, err) == (0, "", "")
    code, out, err = run(at, "--home", home, "--password-stdin", "--jsonl", typed=f"{PASSWORD}\nthree".encode())
    assert (code, err) == (0, "")
    ack, message = map(json.loads, out.splitlines())
    assert (ack["type"], message["type"], message["text"]) == ("ack", "message", "three")
    assert ack["seq"] == message["seq"] > 3


def test_a_line_that_the_server_refuses_is_told_and_makes_the_exit_code(server: Server, home: Path, run: Run) -> None:
    typed = b"\n".join([PASSWORD.encode(), b"x" * 20_000, b"bad \xff", b"good", b"y" * 70_000])
    code, out, err = run(f"alice@localhost:{server.port}", "--home", home, "--password-stdin", typed=typed)
    assert (code, out) == (4, "")
    assert sorted(err.splitlines()) == [
        "securechat: 3 of 4 lines are not acknowledged.",
        "securechat: Line 2 was not stored: The text has 20000 bytes; 16384 are allowed.",
        "securechat: Line 3 was not stored: Its byte 5 is not UTF-8.",
        "securechat: Line 5 was not stored: It has 65536 bytes or more.",
    ]


def test_a_wrong_password_is_refused(server: Server, home: Path, run: Run) -> None:
    at = f"alice@localhost:{server.port}"
    code, out, err = run(at, "--home", home, "--password-stdin", typed=b"wrong\n")
    assert (code, out) == (4, "")
    assert err == f"securechat: localhost:{server.port} did not let alice in: the username or the password is wrong.\n"


def test_a_server_of_another_ca_is_not_talked_to(server: Server, tmp_path: Path, password_file: Path, run: Run) -> None:
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(str(other))
    at = f"alice@localhost:{server.port}"
    code, out, err = run(at, "--ca", other, "--password-file", password_file)
    assert (code, out) == (5, "")
    assert err.startswith(f"securechat: The certificate of localhost is not from the CA in {other}:")
    # Without a CA of its own it falls back to the system's, and is not content either.
    code, _, err = run(at, "--home", tmp_path, "--password-file", password_file)
    assert code == 5
    assert "--ca" in err


def test_a_room_that_is_not_there_is_refused(server: Server, home: Path, password_file: Path, run: Run) -> None:
    at = f"alice@localhost:{server.port}"
    code, out, err = run(at, "--home", home, "--password-file", password_file, "--room", "ops", typed=b"hello\n")
    assert (code, out) == (4, "")
    assert "ops" in err


def start(server: Server, home: Path, *arguments: str | Path) -> subprocess.Popen[bytes]:
    """The command in a process of its own, which finds its server's CA by the environment."""
    return subprocess.Popen(
        [sys.executable, "-m", "securechat", "connect", f"bob@localhost:{server.port}", *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"SECURECHAT_HOME": str(home)},
    )


def test_what_another_client_says_is_printed(server: Server, home: Path, password_file: Path) -> None:
    context = client_context(home / "certs" / "ca.pem")
    with (
        start(server, home, "--password-file", password_file) as process,
        Client.connect("localhost", server.port, context, "alice", PASSWORD) as alice,
    ):
        assert process.stdin
        assert process.stdout
        heard_by_alice = alice.events()
        alice.request(Join(room="lobby"), Joined)
        alice.request(Sync(), Synced)
        process.stdin.write(b"I am here\n")
        process.stdin.flush()
        heard = next(event for event in heard_by_alice if isinstance(event, Message))
        assert (heard.sender, heard.text) == ("bob", "I am here")
        alice.say("lobby", "hello bob\nhow are you?")
        assert process.stdout.readline() == b"[lobby] alice: hello bob\\u{A}how are you?\n"
        alice.say("@bob", "psst")
        assert process.stdout.readline() == b"[@alice] alice: psst\n"
        out, err = process.communicate(timeout=DEADLINE)
        assert (process.returncode, out, err) == (0, b"", b"")


def test_a_server_that_stops_is_told(home: Path, password_file: Path) -> None:
    with (
        running_server(home) as server,
        start(server, home, "--password-file", password_file, "--jsonl", "--retry-seconds", "0") as process,
    ):
        assert process.stdin
        assert process.stdout
        process.stdin.write(b"I am here\n")
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["type"] == "ack"
        server.stop()
        frames = [json.loads(line)["type"] for line in process.stdout]
        assert frames == ["message", "bye"]
        assert process.wait(DEADLINE) == 3  # though its input has not ended
        assert process.stderr
        assert process.stderr.read() == (
            b"securechat: The server ended the connection: The server stops. Try again in 2 s.\n"
        )


def test_ctrl_c_ends_it_without_a_traceback(server: Server, home: Path, password_file: Path) -> None:
    with start(server, home, "--password-file", password_file, "--jsonl") as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(b"I am here\n")
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["type"] == "ack"
        process.send_signal(signal.SIGINT)
        assert process.wait(DEADLINE) == 130
        assert process.stderr
        assert process.stderr.read() == b""


def test_a_reader_that_has_left_ends_it_without_a_traceback(server: Server, home: Path, password_file: Path) -> None:
    with start(server, home, "--password-file", password_file, "--jsonl") as process:
        assert process.stdin
        assert process.stdout
        process.stdout.close()
        process.stdin.write(b"I am here\n")
        process.stdin.flush()
        assert process.wait(DEADLINE) == 1
        assert process.stderr
        assert process.stderr.read() == b""


def nobody() -> NoReturn:
    raise KeyError("getpwuid(): uid not found: 4711")


def test_the_login_name_is_the_default_account(
    server: Server, home: Path, password_file: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGNAME", "alice")
    at = f"localhost:{server.port}"
    assert run(at, "--home", home, "--password-file", password_file) == (0, "", "")
    monkeypatch.setenv("LOGNAME", "Alice Smith")
    code, _, err = run(at, "--home", home, "--password-file", password_file)
    assert code == 2
    assert "'Alice Smith' cannot be a username. Type USER@HOST" in err
    monkeypatch.setattr("getpass.getuser", nobody)
    code, _, err = run(at, "--home", home, "--password-file", password_file)
    assert code == 2
    assert "no name to connect with" in err


@pytest.mark.parametrize(
    ("arguments", "typed", "code", "told"),
    [
        (["alice@localhost"], b"", 2, "There is no terminal to ask for the password of alice@localhost:7443. Give "),
        (["alice@localhost", "--password-stdin"], b"", 2, "The first line of stdin is to be the password"),
        (["alice@localhost", "--password-stdin"], b"\n", 2, "The first line of stdin is to be the password"),
        (["alice@localhost", "--password-stdin"], b"\xff\n", 2, "the password, is not UTF-8"),
        (["alice@localhost", "--password-stdin", "--password-file", "x"], b"x\n", 2, "--password-stdin is for scripts"),
        (["alice@localhost", "--password-file", "/nonexistent"], b"", 6, "/nonexistent does not exist"),
        (["alice@localhost", "--ca", "/nonexistent"], b"", 1, "/nonexistent"),
        (["alice@localhost:0", "--password-stdin"], b"x\n", 2, "'0' is not a port"),
        (["Alice@localhost", "--password-stdin"], b"x\n", 2, "'Alice' cannot be a username"),
        (["alice@127.0.0.1:1", "--password-stdin"], b"x\n", 3, "Nothing listens at 127.0.0.1:1."),
    ],
)
def test_what_cannot_work_is_told_in_one_line(
    tmp_path: Path, run: Run, arguments: list[str], typed: bytes, code: int, told: str
) -> None:
    ended, out, err = run(*arguments, "--home", tmp_path, typed=typed)
    assert (ended, out) == (code, "")
    assert told in err
    assert err.count("\n") == 1


def test_no_option_turns_the_verification_off(run: Run) -> None:
    code, out, _ = run("--help")
    assert code == 0
    options = {word for word in out.split() if word.startswith("--")}
    assert options == {
        "--ca",
        "--cert",
        "--key",
        "--profile",
        "--room",
        "--plain",
        "--password-stdin",
        "--password-file",
        "--jsonl",
        "--retry-seconds",
        "--home",
        "--help",
    }
