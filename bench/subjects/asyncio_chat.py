"""A server on asyncio streams that speaks a part of the native protocol."""

import hashlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bench.baselines import asyncio_chat
from bench.subjects import Serving
from bench.subjects.certificates import made_certificates
from bench.subjects.programs import free_port, running
from bench.talkers.native import Native

SETTINGS: Final = """\
TCP_NODELAY, as asyncio has it by itself; a listen backlog of 4096
no session tickets: the same handshake for all
tokens as one round of SHA-256, as securechat has them
JSON by msgspec, each message encoded once for all its readers
Nothing limits what waits for a slow reader: asyncio's own buffers grow."""


class AsyncioChat:
    """The program in bench/baselines, as a process of its own."""

    name = "asyncio"
    durable = False
    settings = SETTINGS

    def missing(self) -> str:
        """Empty: it needs nothing but Python and msgspec."""
        return ""

    @contextmanager
    def serve(self, folder: Path, rooms: Mapping[str, Sequence[str]], accounts: Sequence[str]) -> Iterator[Serving]:
        """Run it in `folder` for these accounts; a room needs no making."""
        port, certificates = free_port(), made_certificates()
        lines = [f"{account}:::{hashlib.sha256(_token(account).encode()).hexdigest()}\n" for account in accounts]
        (folder / "accounts").write_text("".join(lines))
        command: list[str | Path] = [
            sys.executable,
            asyncio_chat.__file__,
            "--port",
            str(port),
            "--accounts",
            folder / "accounts",
        ]
        command += ["--certificate", certificates.server_certificate, "--key", certificates.server_key]
        with running(command, port, folder) as pid:
            yield Serving(pid, port, certificates.authority, "localhost", _talker)


def _token(account: str) -> str:
    """A token that nobody has to be told: this server lives for one run, on the loopback."""
    return f"token-of-{account}"


def _talker(account: str, rooms: Sequence[str]) -> Native:
    return Native(account, rooms, token=_token(account))
