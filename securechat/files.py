"""Files that matter: replaced whole, one writer at a time, read by their owner alone.

This file knows nothing of what is in them.
"""

import fcntl
import glob
import os
import secrets
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

from securechat.errors import SecurechatError

Stamp: TypeAlias = tuple[int, int, int, int]
"""What changes when a file does."""


def stamp(path: Path) -> Stamp | None:
    """The file's stamp now; None when there is none to be seen."""
    try:
        status = path.stat()
    except OSError:
        return None
    # The change time tells of a new mode or owner, which the modification time does not.
    return status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_size


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of the file at `path` against other processes and other threads; wait for it if it is taken.

    The lock is a file beside it, `NAME.lock`, which stays: the file itself is renamed over, with its lock.
    Not reentrant. Raises OSError.
    """
    descriptor = os.open(path.with_name(f"{path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def replace_file(path: Path, data: bytes, mode: int) -> None:
    """Put `data` in the place of the file at `path`: whatever happens, the old file is there or the new one, whole.

    The caller holds `locked`, for this file or for the set it belongs to. `mode` holds from the first byte, under any
    umask. When this returns, a power cut takes nothing back. Raises OSError.
    """
    for leftover in path.parent.glob(f"{glob.escape(path.name)}.new-*"):
        leftover.unlink(missing_ok=True)  # A writer was killed; what it wrote may be a secret.
    new = path.with_name(f"{path.name}.new-{secrets.token_hex(4)}")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make what was created or renamed in `folder` outlast a power cut. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def refuse_if_others_can_read(path: Path, error: type[SecurechatError]) -> None:
    """Raise `error` if the file at `path` belongs to somebody else, or if anybody but its owner may read or change it.

    Raises OSError if it cannot be looked at.
    """
    if str(path.parent) == os.environ.get("CREDENTIALS_DIRECTORY"):
        # systemd shows that folder to this service alone, and its files may be root's, with an access list for us
        # (systemd.exec(5), LoadCredential).
        return
    status = path.stat()
    if status.st_uid != os.geteuid():
        raise error(
            f"{path} belongs to another user (id {status.st_uid}).",
            hint=f"Run this as that user, or change it: chown {os.geteuid()} {shlex.quote(str(path))}",
        )
    if status.st_mode & 0o077:
        raise error(
            f"{path} is open to other users (mode {status.st_mode & 0o777:04o}).",
            hint=f"Close it: chmod go= {shlex.quote(str(path))}",
        )
