"""The audit log: who did what to what, from where, when, and what came of it. Lines of JSON in a file that only grows,
each with a hash over the line before it, so that a line that is changed or taken out is found.

Never a text, a password or a token. How far the log has got is noted beside it, in its head: so a cut end is found.
A file that has grown large is put aside under a number; the next one begins with a line that says where it goes on.
Whoever can write all of these files can write them anew: keep a head elsewhere against that. This file knows nobody who
writes to it; servers and commands may do so at once.
"""

import hashlib
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from securechat.errors import AuditBroken, NotFound
from securechat.files import locked, replace_file
from securechat.limits import AUDIT_FIELD_LENGTH, AUDIT_FILE_BYTES, AUDIT_LINE_BYTES

FILE: Final = "audit.log"
"""Its name in the home."""

HEAD: Final = "audit.head"
"""The head's name in the home."""

START: Final = "0" * 64
"""What the first line follows."""

CONTINUED: Final = "continued"
"""The act in the first line of a file that goes on from another: what it goes on from are a number and a hash."""

_LINE: Final = re.compile(rb"(.*),\"hash\":\"([0-9a-f]{64})\"\}\n", re.DOTALL)
_GOES_ON: Final = re.compile(r"([0-9]{1,15}) ([0-9a-f]{64})")


class Entry(msgspec.Struct, frozen=True):
    """One act: `act` is a word (`login`, `ban`, `reload`), `who` an account or the operator, `what` whom or what it is
    done to, `source` an address or a user of the machine, `result` a code, or `ok`; `time` is UTC, as in ISO 8601."""

    time: str
    act: str
    who: str
    what: str = ""
    source: str = ""
    result: str = "ok"


class Head(msgspec.Struct, frozen=True):
    """How far the log has got: so many lines since it began, and the hash of the newest."""

    lines: int = 0
    hash: str = START


class Verified(NamedTuple):
    """What a log was found to be: from which line on it is there (1: all of it), where it ends, and whether that is
    known to be its end."""

    first: int
    head: Head
    is_end_known: bool


def entry(act: str, who: str, what: str = "", source: str = "", result: str = "ok") -> Entry:
    """An entry for what happens now."""
    fields = (field[:AUDIT_FIELD_LENGTH] for field in (act, who, what, source, result))
    return Entry(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}Z", *fields)


def append(path: Path, entries: Sequence[Entry]) -> None:
    """Add lines to the file, which is made if need be (mode 0600), on the disk when it returns. Raises OSError."""
    with locked(path):
        head, size = _end(path)
        if size >= AUDIT_FILE_BYTES:
            path.rename(path.with_name(f"{path.name}.{max(map(_number, _aside(path)), default=0) + 1}"))
            size = 0
        if not size and head.lines:
            entries = [entry(CONTINUED, "", f"{head.lines} {head.hash}"), *entries]
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "ab") as file:
            for one in entries:
                body = msgspec.json.encode(one)[:-1]
                head = Head(head.lines + 1, _hash(head.hash, body))
                file.write(body + b',"hash":"' + head.hash.encode() + b'"}\n')
            file.flush()
            os.fsync(file.fileno())
        replace_file(path.with_name(HEAD), msgspec.json.encode(head), 0o600)  # and the folder with it


def verify(path: Path) -> Verified:
    """Check every line of the log, those in files that were put aside too, and that it ends where its head says.

    Raises NotFound where there is no file, AuditBroken at the first line that is not as it was written.
    """
    with held(path):
        known, files = _noted(path), files_of(path)
        at, first = _beginning(files[0]), 0
        for file in files:
            for number, line in enumerate(_lines(file), start=1):
                parts = _LINE.fullmatch(line)
                if parts is None or _hash(at.hash, parts[1]) != parts[2].decode():
                    raise _broken(f"Line {number} of {file} is not what was written, or one before it is gone.")
                at = Head(at.lines + 1, parts[2].decode())
                first = first or at.lines
                if known is not None and at.lines == known.lines and at != known:
                    raise _broken(f"Line {number} of {file} is not the one that {HEAD} knows.")
        if known is not None and at.lines < known.lines:
            raise _broken(f"{known.lines - at.lines} lines are missing at the end of {files[-1]}.")
    return Verified(first or at.lines + 1, at, known is not None)


def files_of(path: Path) -> list[Path]:
    """The files of the log that are there, the oldest first. Raises NotFound."""
    files = [*_aside(path), *([path] if path.exists() else [])]
    if not files:
        raise NotFound(f"There is no {path} yet.", hint="The first act that is worth a line makes it.")
    return files


def held(path: Path) -> AbstractContextManager[None]:
    """Nobody writes to the log meanwhile. Where nobody ever did, nothing is made either."""
    return locked(path) if path.with_name(f"{path.name}.lock").exists() else nullcontext()


def rows(path: Path, wait: Callable[[], None] | None = None) -> Iterator[bytes]:
    """Every line of the log, the oldest first. With `wait`, which is called where there is none yet, it goes on for
    ever, also into the files that follow one which is put aside. Raises NotFound."""
    files = files_of(path)
    while files:
        with files.pop(0).open("rb") as file:
            inode = os.fstat(file.fileno()).st_ino
            while True:
                is_old = bool(files) or path.stat().st_ino != inode  # asked first: what came before that is read yet
                row = file.readline()
                if row.endswith(b"\n"):
                    yield row
                elif wait is None or is_old:
                    break
                else:
                    file.seek(-len(row), os.SEEK_CUR)  # it is being written
                    wait()
        if wait is not None and not files:
            with held(path):
                all_files = files_of(path)
                files = all_files[[one.stat().st_ino for one in all_files].index(inode) + 1 :]


def _aside(path: Path) -> list[Path]:
    """The files that were put aside, the oldest first."""
    return sorted((one for one in path.parent.glob(f"{path.name}.*") if one.suffix[1:].isdecimal()), key=_number)


def _number(aside: Path) -> int:
    return int(aside.suffix[1:])


def _lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while line := file.readline(AUDIT_LINE_BYTES):
            yield line


def _noted(path: Path) -> Head | None:
    """The head that was noted; None where there is none that can be read."""
    try:
        return msgspec.json.decode(path.with_name(HEAD).read_bytes(), type=Head)
    except (FileNotFoundError, msgspec.MsgspecError, UnicodeDecodeError):
        return None


def _beginning(path: Path) -> Head:
    """What the first line of this file goes on from, as it says itself."""
    first = next(_lines(path), b"")
    try:
        said = msgspec.json.decode(first, type=Entry)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return Head()
    goes_on = _GOES_ON.fullmatch(said.what) if said.act == CONTINUED else None
    return Head(int(goes_on[1]), goes_on[2]) if goes_on else Head()


def _end(path: Path) -> tuple[Head, int]:
    """What the next line goes on from, and the bytes of the file; a line that was cut off by a crash is taken away."""
    known, newest, size = _noted(path), "", 0
    if path.exists():
        newest, size = _newest(path)
    if known is not None and (not size or newest == known.hash):
        return known, size
    if not size:
        return Head(), 0
    # A writer was killed before it noted the head, or lines are gone. In the second case the log goes on from what is
    # missing, so that it is missed for ever.
    heads = [_beginning(path)]
    for line in _lines(path):
        parts = _LINE.fullmatch(line)
        heads.append(Head(heads[-1].lines + 1, parts[2].decode() if parts else ""))
    return (heads[-1] if known is None or known in heads else known), size


def _newest(path: Path) -> tuple[str, int]:
    """The hash of the newest whole line, and the bytes up to its end, which is the file's then."""
    with path.open("rb+") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 2 * AUDIT_LINE_BYTES))
        tail = file.read()
        whole = tail[: tail.rfind(b"\n") + 1]
        if len(whole) < len(tail):
            size -= len(tail) - len(whole)
            file.truncate(size)
    found = _LINE.fullmatch(whole[whole.rfind(b"\n", 0, -1) + 1 :])
    return found[2].decode() if found else "", size


def _broken(what: str) -> AuditBroken:
    return AuditBroken(what, hint="Keep the files, and compare them with a copy.")


def _hash(previous: str, body: bytes) -> str:
    return hashlib.sha256(previous.encode() + body).hexdigest()
