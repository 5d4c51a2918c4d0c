"""The operator of the server that is soaked: good reloads and certificates, and bad ones, which must change nothing."""

import itertools
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from securechat.files import replace_file
from securechat.server.control import Reload, Status, ask
from tests.project.tree import ROOT, environment
from tests.server.support import DEADLINE, authority, trusting

LOOK_SECONDS: Final = 0.05
"""Between two looks into the log of the server."""


class Operator:
    """Acts in turn: reloads by the command and by SIGHUP."""

    def __init__(self, home: Path, process: int, port: int, settings: str) -> None:
        """`settings` is what securechat.toml says."""
        self.done: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.most_behind: Counter[str] = Counter()
        """Readers that were behind, and by how many records at most, each at the worst moment that was seen."""
        self.rounds = 0
        """How often everything was done."""
        self._home = home
        self._process = process
        self._port = port
        self._settings = settings
        by_signal = ("SIGHUP", self._by_signal)
        self._ways = itertools.cycle((by_signal, ("command", self._by_command), by_signal))
        self._turn = 0
        self._never = threading.Event()

    def acts(self) -> Iterator[Callable[[], None]]:
        """What is done, for ever."""
        certs = self._home / "certs"
        other = authority().issue_cert("localhost").private_key_pem.bytes()
        while True:
            yield self._new_settings
            yield lambda: self._bad("a bad configuration", self._home / "securechat.toml", b"colour = 'red'\n")
            yield self._new_certificate
            yield lambda: self._bad("bad credentials", self._home / "credentials", b"who is this\n")
            yield lambda: self._bad("a bad certificate", certs / "server.key", other)
            self.rounds += 1

    def look(self) -> None:
        """See who is behind."""
        answer = ask(self._home, Status())
        behind: list[dict[str, Any]] = answer.value["behind"] if answer else []
        self.most_behind["readers"] = max(self.most_behind["readers"], len(behind))
        most = max((row["records"] for row in behind), default=0)
        self.most_behind["records"] = max(self.most_behind["records"], most)

    def _new_settings(self) -> None:
        self._turn += 1
        text = self._settings + f"idle_seconds = {150 + self._turn}\n"
        replace_file(self._home / "securechat.toml", text.encode(), 0o600)
        self._expect("new settings", taken=True)

    def _new_certificate(self) -> None:
        leaf = authority().issue_cert("localhost", "127.0.0.1")
        chain = b"".join(blob.bytes() for blob in leaf.cert_chain_pems)
        before = self._served()
        replace_file(self._home / "certs" / "server.key", leaf.private_key_pem.bytes(), 0o600)
        replace_file(self._home / "certs" / "server.pem", chain, 0o600)
        self._expect("a new certificate", taken=True)
        if self._served() == before:
            self.wrong.append("a new certificate is not served")

    def _bad(self, what: str, path: Path, data: bytes) -> None:
        good, before = path.read_bytes(), self._served()
        replace_file(path, data, 0o600)
        self._expect(what, taken=False)
        if self._served() != before:
            self.wrong.append(f"{what} changed the certificate")
        replace_file(path, good, 0o600)
        answer = ask(self._home, Reload())
        if answer is None or not answer.unchanged:
            self.wrong.append(f"{what} changed something: {answer}")

    def _expect(self, what: str, *, taken: bool) -> None:
        name, reload = next(self._ways)
        if reload() != taken:
            self.wrong.append(f"{what} {'was refused' if taken else 'was taken'}, by {name}")
        self.done[f"{what}, by {name}"] += 1

    def _by_command(self) -> bool:
        command = [sys.executable, "-m", "securechat", "server", "reload", "--home", str(self._home)]
        return subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, check=False).returncode == 0

    def _by_signal(self) -> bool:
        log = self._home / "stderr"
        deadline = time.monotonic() + DEADLINE
        with log.open() as file:
            file.seek(0, os.SEEK_END)
            os.kill(self._process, signal.SIGHUP)
            told = ""
            while "reloaded: " not in told or not told.endswith("\n"):
                assert time.monotonic() < deadline, "the server does not hear SIGHUP"
                self._never.wait(LOOK_SECONDS)
                told += file.read()
        return "nothing was reloaded: " not in told

    def _served(self) -> bytes | None:
        with (
            socket.create_connection(("127.0.0.1", self._port), DEADLINE, ("127.0.3.1", 0)) as raw,
            trusting().wrap_socket(raw, server_hostname="localhost") as one,
        ):
            return one.getpeercert(binary_form=True)


@contextmanager
def operating(operator: Operator, pause: float) -> Iterator[None]:
    """Let the operator act until the end, again after each pause."""
    over = threading.Event()

    def work() -> None:
        for act in operator.acts():
            try:
                act()
                operator.look()
            except Exception as error:  # noqa: BLE001 - what the report tells
                operator.wrong.append(f"{type(error).__name__}: {error}")
            if over.wait(pause):
                return

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
