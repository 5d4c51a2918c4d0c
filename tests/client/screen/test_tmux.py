"""A whole evening in tmux: two people, a server in a process of its own that is killed and started again, and at the
end both screens say the same.
"""

import os
import re
import select
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest

from securechat.protocols.frames import Ack, Create, Created, Invite, Join, Joined
from tests.client.screen.support import connect
from tests.server.support import PASSWORD, make_home, running_server

DEADLINE = 40.0
"""Seconds until a screen that does not show what is waited for has failed the test."""

RECORDS = 5_000


class Tmux:
    """A terminal multiplexer of the test's own."""

    def __init__(self, folder: Path) -> None:
        self._environment = {**os.environ, "TMUX_TMPDIR": str(folder), "TERM": "xterm-256color", "TZ": "UTC"}
        self._environment.pop("TMUX", None)

    def __call__(self, *arguments: str) -> str:
        command = ["tmux", "-L", "t", "-f", "/dev/null", *arguments]
        return subprocess.run(command, env=self._environment, check=True, stdout=subprocess.PIPE, text=True).stdout


class Seat:
    """One person's terminal in it."""

    def __init__(self, tmux: Tmux, name: str, home: Path, port: int) -> None:
        self._tmux = tmux
        self._name = name
        drawn = home / f"{name}.drawn"
        os.mkfifo(drawn)
        self._drawn = os.open(drawn, os.O_RDWR | os.O_NONBLOCK)
        command = [sys.executable, "-m", "securechat", "connect", f"{name}@localhost:{port}", "--home", str(home)]
        tmux("new-session", "-d", "-s", name, "-x", "90", "-y", "24", *command, "--password-file", str(home / "word"))
        tmux("pipe-pane", "-t", name, f"exec cat > {shlex.quote(str(drawn))}")

    def close(self) -> None:
        os.close(self._drawn)

    def keys(self, *keys: str) -> None:
        self._tmux("send-keys", "-t", self._name, *keys)

    def enter(self, line: str) -> None:
        self._tmux("send-keys", "-t", self._name, "-l", line)
        self.wait(lambda lines: line[-8:] in lines[-1])
        self.keys("Enter")

    @property
    def lines(self) -> list[str]:
        return self._tmux("capture-pane", "-p", "-t", self._name).rstrip("\n").split("\n")

    def wait(self, seen: Callable[[list[str]], object]) -> list[str]:
        deadline = time.monotonic() + DEADLINE
        while not seen(lines := self.lines):
            ready, _, _ = select.select([self._drawn], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, "\n".join(lines)
            os.read(self._drawn, 1 << 20)
        return lines

    def wait_for(self, *patterns: str) -> list[str]:
        return self.wait(lambda lines: all(any(re.search(one, line) for line in lines) for one in patterns))

    def said(self) -> list[str]:
        """The messages that have a number, as they stand on the screen."""
        return [line.partition("│ ")[2].rstrip() for line in self.lines if re.search(r"│ .* #\d+$", line)]


@contextmanager
def serving(home: Path, port: int) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "securechat", "serve", "--home", str(home), "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        try:
            assert server.stdout
            assert "listening" in server.stdout.readline()
            yield server
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(DEADLINE)


@pytest.fixture
def tmux(tmp_path: Path) -> Iterator[Tmux]:
    if shutil.which("tmux") is None:
        pytest.skip("tmux is not installed: two whole terminals are not tried")
    run = Tmux(tmp_path)
    yield run
    run("kill-server")


def prepared(folder: Path) -> tuple[Path, int]:
    """A home whose room `long` has thousands of records, and the port of its server."""
    home = make_home(folder / "home")
    (home / "word").touch(0o600)
    (home / "word").write_text(PASSWORD + "\n")
    with running_server(home) as server:
        with connect(server.port, home, "alice") as alice, connect(server.port, home, "bob") as bob:
            for one in (alice, bob):
                one.request(Join(room="lobby"), Joined)
            alice.request(Create(room="long"), Created)
            for line in [alice.send("long", f"line {number:04}") for number in range(1, RECORDS)]:
                line.wait(DEADLINE)
            alice.request(Invite(room="long", username="bob"), Ack)
        return home, server.port


@pytest.mark.timeout(150)  # two clients and two servers in processes of their own, on a machine that may be busy
def test_an_evening(tmp_path: Path, tmux: Tmux) -> None:
    home, port = prepared(tmp_path)
    with ExitStack() as seats:
        with serving(home, port) as server:
            alice, bob = (seats.enter_context(closing(Seat(tmux, name, home, port))) for name in ("alice", "bob"))
            alice.wait_for("^lobby>", r"alice joined")
            bob.wait_for("^lobby>", r"^ 2 long +[45]\d\d|^ 2 long +999\+")
            alice.enter("hello bob")
            bob.wait_for(r"alice │ hello bob +#\d+")
            number = re.search(r"#(\d+)$", next(line for line in bob.lines if "hello bob" in line))
            assert number
            bob.enter(f"/reply {number[1]} hello yourself")
            alice.wait_for("╭ alice: hello bob", "bob │ hello yourself")
            alice.enter(f"/edit {number[1]} hello Bob")
            bob.wait_for(r"alice │ hello Bob +edited #", "╭ alice: hello Bob")
            bob.keys("M-2")
            bob.wait_for(f"line {RECORDS - 1:04}")
            alice.enter("do you see this?")
            bob.wait_for(r"^ 1 lobby +1")
            while "alice made the room" not in "".join(was := bob.lines):
                bob.keys("-N", "8", "PPage")
                bob.wait(lambda lines, was=was: lines != was)  # type: ignore[misc]
            bob.wait_for("alice made the room", "line 0001", r"-MORE \d{4}-")
            bob.keys("M-1")
            bob.wait_for("do you see this")
            server.kill()
            server.wait(DEADLINE)
            for seat in (alice, bob):
                seat.wait_for("not connected")
            for turn in range(3):
                alice.enter(f"alice in the dark {turn}")
                bob.enter(f"bob in the dark {turn}")
            alice.wait_for("3 lines wait")
        with serving(home, port):
            for seat in (alice, bob):
                dark = [
                    rf"\d\d:\d\d +{name} │ {name} in the dark {turn} +#\d+"
                    for name in ("alice", "bob")
                    for turn in range(3)
                ]
                seat.wait_for(*dark)
            alice.enter("the end")
            for seat in (alice, bob):  # an own line has its number before it comes back with the time of the record
                seat.wait_for(r"\d\d:\d\d +alice │ the end +#\d+")
            said = alice.said()
            assert said == bob.said()
            assert len(said) == len(set(said)) >= 10
