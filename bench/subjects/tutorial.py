"""The tutorials' server: a thread a client, blocking sockets, lines of text."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from bench.baselines import tutorial
from bench.subjects import Serving
from bench.subjects.certificates import made_certificates
from bench.subjects.programs import free_port, running
from bench.talkers.lines import Lines

PASSWORD: Final = "correct-horse-battery-staple"  # noqa: S105 - of a server that lives for one run
SALT: Final = "salt"

SETTINGS: Final = """\
TCP_NODELAY, a listen backlog of 4096: as the others have it
no session tickets: the same handshake for all
passwords as one round of salted SHA-256: the tutorials' way, cheaper than any server should have it
select.poll before each read, and a lock around each read: two threads may not be in one TLS connection at once"""


class Tutorial:
    """The program in bench/baselines, as a process of its own."""

    name = "tutorial"
    durable = False
    settings = SETTINGS

    def missing(self) -> str:
        """Empty: it needs nothing but Python."""
        return ""

    @contextmanager
    def serve(self, folder: Path, rooms: Mapping[str, Sequence[str]], accounts: Sequence[str]) -> Iterator[Serving]:
        """Run it in `folder` for these accounts; a room needs no making."""
        port, certificates = free_port(), made_certificates()
        digest = tutorial.hashed(SALT, PASSWORD)
        (folder / "accounts").write_text("".join(f"{account}:{SALT}:{digest}\n" for account in accounts))
        command: list[str | Path] = [
            sys.executable,
            tutorial.__file__,
            "--port",
            str(port),
            "--accounts",
            folder / "accounts",
        ]
        command += ["--certificate", certificates.server_certificate, "--key", certificates.server_key]
        with running(command, port, folder) as pid:
            yield Serving(pid, port, certificates.authority, "localhost", partial(Lines, password=PASSWORD))
