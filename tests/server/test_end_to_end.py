"""The whole way: three people in processes of their own talk through `securechat serve`, one of them by typing JSON."""

import contextlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import IO

from tests.client.screens import OnScreen
from tests.server.support import PASSWORD
from tests.server.test_stopping import serving


def _open(stack: contextlib.ExitStack, *command: str) -> tuple[IO[str], IO[str]]:
    """Start a process, and give its stdin and stdout; it is ended with the stack."""
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, bufsize=1
    )
    stack.enter_context(process)
    stack.callback(process.kill)
    assert process.stdin is not None
    assert process.stdout is not None
    return process.stdin, process.stdout


def _until(lines: IO[str], wanted: str) -> list[str]:
    """The lines up to the first that holds this."""
    seen: list[str] = []
    for line in lines:
        seen.append(line)
        if wanted in line:
            return seen
    raise AssertionError(f"{wanted!r} never came, but: {seen}")


def test_three_clients_in_processes_of_their_own_talk_through_serve(home: Path) -> None:
    openssl = shutil.which("openssl")
    assert openssl, "this test needs the openssl command"
    secret = home / "bob.txt"
    secret.touch(0o600)
    secret.write_text(PASSWORD)
    with contextlib.ExitStack() as stack:
        _, port = stack.enter_context(serving(home))
        alice = stack.enter_context(OnScreen("connect", "--plain", f"alice@localhost:{port}", "--home", str(home)))
        alice.wait_for("Password of")
        alice.enter(PASSWORD)
        alice.wait_for("lobby>", "alice joined.")
        connect = (sys.executable, "-m", "securechat", "connect", f"bob@localhost:{port}", "--jsonl")
        bob_says, bob_hears = _open(stack, *connect, "--home", str(home), "--password-file", str(secret))
        alice.wait_for("bob joined.")
        ca = str(home / "certs" / "ca.pem")
        by_hand = (openssl, "s_client", "-quiet", "-alpn", "securechat/1", "-verify_return_error", "-CAfile", ca)
        carol_types, carol_reads = _open(stack, *by_hand, "-connect", f"localhost:{port}")
        for frame in (
            {"type": "login", "username": "carol", "password": PASSWORD},
            {"type": "join", "room": "lobby"},
            {"type": "say", "id": "by-hand", "room": "lobby", "text": "typed JSON"},
        ):
            carol_types.write(json.dumps(frame) + "\n")
        _until(bob_hears, "typed JSON")
        bob_says.write("through a pipe\n")
        _until(carol_reads, "through a pipe")
        alice.wait_for("carol: typed JSON", "bob: through a pipe")
        alice.enter("on a screen")
        heard_by_bob = json.loads(_until(bob_hears, "on a screen")[-1])
        heard_by_carol = json.loads(_until(carol_reads, "on a screen")[-1])
        assert heard_by_bob == heard_by_carol
        alice.wait_for(f"alice #{heard_by_carol['seq']}: on a screen")
