"""One SQLite file of ours: made for its owner alone, opened, and its failures in plain words for who runs the server.

It knows no table.
"""

import os
import sqlite3
from pathlib import Path
from typing import Final, Literal
from urllib.parse import quote

from securechat.errors import StorageFailed

BUSY_SECONDS: Final = 5.0
"""For another process, such as a backup, to let go of the file."""

_OWNERSHIP: Final = "Look at the owner and the permissions of the file and of its folder."
FAILURES: Final = {
    sqlite3.SQLITE_NOTADB: ("is no chat database", "Restore it from a backup, or move it away to begin anew."),
    sqlite3.SQLITE_CORRUPT: ("is damaged", "Restore it from a backup."),
    sqlite3.SQLITE_CANTOPEN: ("cannot be opened", _OWNERSHIP),
    sqlite3.SQLITE_READONLY: ("cannot be written", _OWNERSHIP),
    sqlite3.SQLITE_BUSY: ("is held by another program", "End that program, then try again."),
    sqlite3.SQLITE_FULL: ("cannot be written: the disk is full", "Free some space, then try again."),
}
"""By SQLite's primary result code: what is the matter with a file, and what helps."""


def create_file(path: Path) -> None:
    """Make an empty file that only its owner can read, where there is none; SQLite makes its other files like it."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return
    except FileNotFoundError:
        raise StorageFailed(f"There is no folder {path.parent}.", hint="Make it, or name another home.") from None
    except OSError as error:
        raise StorageFailed(f"{path} cannot be made: {os.strerror(error.errno or 0)}.", hint=_OWNERSHIP) from None
    try:
        os.fchmod(descriptor, 0o600)  # whatever the umask took away
    finally:
        os.close(descriptor)


def connect(path: Path, mode: Literal["rw", "ro"]) -> sqlite3.Connection:
    """Open a file that is there. Raises StorageFailed."""
    # As a URI, for its mode; quoted as bytes, because a path may hold any. Made by one thread, used by another.
    uri = f"file://{quote(os.fsencode(path.absolute()))}?mode={mode}"
    try:
        return sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    except sqlite3.Error as error:
        raise failure(path, error) from error


def code(error: sqlite3.Error) -> int:
    """SQLite's primary result code, in the low byte of the extended one (sqlite.org/rescode.html)."""
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF


def failure(path: Path, error: sqlite3.Error) -> StorageFailed:
    """What went wrong with this file, and what to do about it."""
    what, hint = FAILURES.get(
        code(error), (f"cannot be used: {str(error)!a}", "Look at the system's log for disk errors.")
    )
    return StorageFailed(f"{path} {what}.", hint=hint)
