"""The README's transcripts happen: each command is run, and what it says is what stands there, but for what differs
from one run to the next (names of machines, dates, fingerprints, passwords, ports).
"""

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.client.screens import OnScreen
from tests.server.support import DEADLINE

README = (Path(__file__).parents[2] / "README.md").read_text()
PASSWORD = re.compile(r"[0-9a-z]{4}(?:-[0-9a-z]{4}){4}")


def _blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def _the_same(text: str) -> str:
    """The text with one word for whatever differs from run to run."""
    for pattern, word in (
        (r"(?:[0-9A-F]{2}:){31}[0-9A-F]{2}", "FINGERPRINT"),
        (r"\d{4}-\d\d-\d\d(?: \d\d:\d\d UTC)?", "DATE"),
        (PASSWORD.pattern, "PASSWORD"),
        (r"(?m)^(names +localhost, 127\.0\.0\.1, ::1).*$", r"\1"),
        (r"(?m)^\d\d:\d\d ", "TIME "),
        (r"-- \d\d:\d\d ", "-- TIME "),
        (r"sc1\.[A-Za-z0-9_-]+", "CODE"),
        (r"(localhost|127\.0\.0\.1):\d+", r"\1:PORT"),
    ):
        text = re.sub(pattern, word, text)
    return text


def _environment(folder: Path) -> dict[str, str]:
    """An empty home, and the command `securechat` found where it is installed."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "HOME": str(folder), "TZ": "UTC", "TERM": "xterm-256color"}


@contextlib.contextmanager
def _set_up(folder: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Run the README's first transcript; give the server's port and the passwords that were shown."""
    environment = _environment(folder)
    passwords: dict[str, str] = {}
    for step in _blocks("console")[0].split("$ ")[1:]:
        command, _, expected = step.partition("\n")
        if command == "securechat serve":
            break
        done = subprocess.run(
            command.split(), cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            timeout=DEADLINE, check=True,
        )  # fmt: skip
        assert _the_same(done.stdout) == _the_same(expected)
        if shown := PASSWORD.search(done.stdout):
            passwords[command.split()[2]] = shown[0]
    else:
        pytest.fail("the transcript does not end with serve")
    with subprocess.Popen(
        [*command.split(), "--port", "0"], cwd=folder, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    ) as server:  # fmt: skip
        try:
            assert server.stdout is not None
            line = server.stdout.readline()
            assert _the_same(line) == _the_same(expected)
            yield line.strip().rpartition(":")[2], passwords
        finally:
            server.send_signal(signal.SIGTERM)
            assert server.wait(DEADLINE) == 0


def _talkers(text: str) -> tuple[str, list[str], list[str]]:
    """Of one side of the conversation: whom to connect as, what is typed, and what the screen shows besides."""
    command, *lines = text.splitlines()
    typed = [line.partition("> ")[2] for line in lines if line.startswith("lobby> ")]
    return command.split()[-1], typed, [line for line in lines if not line.startswith("lobby> ")]


def test_two_people_can_follow_the_readme_and_talk_and_so_can_a_script(tmp_path: Path) -> None:
    (alice_at, alice_says, alice_sees), (bob_at, bob_says, bob_sees) = map(_talkers, _blocks("talk"))
    with _set_up(tmp_path) as (port, passwords), contextlib.ExitStack() as stack:

        def sit_down(where: str, name: str) -> OnScreen:
            place = OnScreen("connect", "--plain", f"{where}:{port}", "--home", str(tmp_path))
            screen = stack.enter_context(place)
            screen.wait_for("Password of")
            screen.enter(passwords[name])
            screen.wait_for(f"{name} joined.", "lobby>")
            return screen

        alice = sit_down(alice_at, "alice")
        bob = sit_down(bob_at, "bob")
        alice.wait_for("bob joined.")
        for speaker, texts in ((alice, alice_says), (bob, bob_says)):
            for text in texts:
                speaker.enter(text)
                for screen in (alice, bob):
                    screen.wait_for(f": {text}")
        for screen, expected in ((alice, alice_sees), (bob, bob_sees)):
            screen.wait(lambda lines: lines[-1].startswith("lobby>"))
            shown = "\n".join(screen.lines[:-1])
            assert _the_same(shown) == _the_same("\n".join(expected))
            screen.enter("/quit")
            assert screen.end() == 0
        _let_a_script_speak(tmp_path, port, passwords["alice"])


def _let_a_script_speak(folder: Path, port: str, password: str) -> None:
    command, stored = _blocks("console")[1].splitlines()
    password_file = folder / "alice.txt"
    password_file.touch(0o600)
    password_file.write_text(password + "\n")
    shell = command.removeprefix("$ ").replace("@localhost", f"@localhost:{port}")
    done = subprocess.run(
        ["sh", "-c", shell], cwd=folder, env=_environment(folder), capture_output=True, text=True,
        timeout=DEADLINE, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    number = r"\d+"  # what stands there is numbered for one who says nothing else
    assert re.sub(number, "N", done.stdout) == re.sub(number, "N", stored + "\n")
