"""The audit log: who did what to what, from where, when, and what came of it. Lines of JSON in a file that only grows,
each with a hash over the line before it, so that a line that is changed or taken out is found.

Never a text, a password or a token. Lines taken from the end leave no trace: keep the newest hash elsewhere for that.
It knows nobody who writes to it; servers and commands may do so at once.
"""

import fcntl
import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Final

import msgspec

from securechat.errors import AuditBroken, NotFound
from securechat.limits import AUDIT_FIELD_LENGTH, AUDIT_LINE_BYTES

FILE: Final = "audit.log"
"""Its name in the home."""

START: Final = "0" * 64
"""What the first line follows."""

_LINE: Final = re.compile(rb"(.*),\"hash\":\"([0-9a-f]{64})\"\}\n", re.DOTALL)


class Entry(msgspec.Struct, frozen=True):
    """One act: `act` is a word (`login`, `ban`, `reload`), `who` an account or the operator, `what` whom or what it is
    done to, `source` an address or a user of the machine, `result` a code, or `ok`; `time` is UTC, as in ISO 8601."""

    time: str
    act: str
    who: str
    what: str = ""
    source: str = ""
    result: str = "ok"


def entry(act: str, who: str, what: str = "", source: str = "", result: str = "ok") -> Entry:
    """An entry for what happens now."""
    fields = (field[:AUDIT_FIELD_LENGTH] for field in (act, who, what, source, result))
    return Entry(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}Z", *fields)


def append(path: Path, entries: Sequence[Entry]) -> None:
    """Add lines to the file, which is made if need be (mode 0600), on the disk when it returns. Raises OSError."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "rb+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        previous = _newest(file)
        for one in entries:
            body = msgspec.json.encode(one)[:-1]
            previous = _hash(previous, body)
            file.write(body + b',"hash":"' + previous.encode() + b'"}\n')
        file.flush()
        os.fsync(file.fileno())


def verify(path: Path) -> tuple[int, str]:
    """Check every line; gives how many there are, and the hash of the newest.

    Raises NotFound where there is no file, AuditBroken at the first line that is not as it was written.
    """
    count, previous = 0, START
    for count, line in enumerate(_lines(path), start=1):
        parts = _LINE.fullmatch(line)
        if parts is None or _hash(previous, parts[1]) != parts[2].decode():
            raise AuditBroken(
                f"Line {count} of {path} is not what was written, or one before it is gone.",
                hint="Keep the file, and compare it with a copy.",
            )
        previous = parts[2].decode()
    return count, previous


@contextmanager
def reading(path: Path) -> Iterator[IO[bytes]]:
    """The file, to read whole lines from. Raises NotFound."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        raise NotFound(f"There is no {path} yet.", hint="The first act that is worth a line makes it.") from None
    with file:
        yield file


def _lines(path: Path) -> Iterator[bytes]:
    with reading(path) as file:
        while line := file.readline(AUDIT_LINE_BYTES):
            yield line


def _newest(file: IO[bytes]) -> str:
    """The hash of the newest whole line, with the file at its end; a line that was cut off by a crash is taken away."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - 2 * AUDIT_LINE_BYTES))
    tail = file.read()
    whole = tail[: tail.rfind(b"\n") + 1]
    if len(whole) < len(tail):
        file.truncate(size - len(tail) + len(whole))
    file.seek(0, os.SEEK_END)
    found = _LINE.fullmatch(whole[whole.rfind(b"\n", 0, -1) + 1 :])
    return found[2].decode() if found else START


def _hash(previous: str, body: bytes) -> str:
    return hashlib.sha256(previous.encode() + body).hexdigest()
