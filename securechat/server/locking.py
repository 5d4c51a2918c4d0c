"""One writer a home: the lock that a server, or a command that writes where none runs, holds on it."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from securechat.errors import SecurechatError


@contextlib.contextmanager
def only_server(home: Path) -> Iterator[None]:
    """Hold the home's lock: two servers on one store would give two orders. Raises SecurechatError when it is held."""
    path = home / "server.lock"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise SecurechatError(f"{path} cannot be opened: {os.strerror(error.errno or 0)}.") from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            process = os.read(descriptor, 20).decode("ascii", "replace").strip()
            raise SecurechatError(
                f"Another server (process {process or 'unknown'}) runs on {home.resolve()}.",
                hint="Stop it, or use another --home.",
            ) from None
        os.truncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode("ascii"))
        yield
    finally:
        os.close(descriptor)


def is_held(home: Path) -> bool:
    """Whether a server, or a command that writes, is at work on this home; changes nothing. Raises OSError."""
    try:
        descriptor = os.open(home / "server.lock", os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(descriptor)
