"""Bringing a store to today's format: all steps that it lacks, within the transaction of whoever opens it.

A file that holds something is copied first. It knows no table, and never goes back: that is what the copy is for.
"""

import logging
import os
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from securechat.errors import StorageFailed
from securechat.files import sync_folder
from securechat.journal.reader import Reader
from securechat.journal.schema import APPLICATION, FORMAT, STEPS

if TYPE_CHECKING:
    from sqlite3 import Connection

log = logging.getLogger(__name__)


def bring_forward(connection: "Connection", path: Path, version: int) -> None:
    """Take the steps from this format (0: an empty file) to today's; the caller has begun a transaction.

    The transaction keeps every other writer away, so that the copy is exactly what was there before.
    Raises StorageFailed when the copy cannot be made, and sqlite3.Error.
    """
    if version:
        copy = keep_copy(path, version)
        log.warning(
            "%s goes from format %d to %d; as it was, it is kept as %s: delete that when the new one has proved "
            "itself, for what is erased from now on stays in it",
            path, version, FORMAT, copy.name,
        )  # fmt: skip
    for step in STEPS[version:]:
        for statement in step:
            connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION}")
    connection.execute(f"PRAGMA user_version = {FORMAT}")


def is_behind(path: Path) -> bool:
    """Whether this is a file of ours of an older format, which a start would change. Raises StorageFailed."""
    if not path.exists():
        return False
    with closing(Reader(path)) as reader, reader.snapshot() as connection:
        ((application,),) = connection.execute("PRAGMA application_id")
        ((version,),) = connection.execute("PRAGMA user_version")
    return bool(application == APPLICATION and 0 < version < FORMAT)


def kept_copies(path: Path) -> list[Path]:
    """The copies beside the store of what it was in older formats."""
    return sorted(path.parent.glob(f"{path.name}.format-*[0-9]"))


def keep_copy(path: Path, version: int) -> Path:
    """Copy the store beside itself, whole and on the disk when this returns; an older copy of its name is replaced.

    Raises StorageFailed.
    """
    kept = path.with_name(f"{path.name}.format-{version}")
    new = kept.with_name(f"{kept.name}.new")
    try:
        new.unlink(missing_ok=True)  # a try before this one may have been cut off
        with closing(Reader(path)) as reader:
            reader.copy_to(new)
        with new.open("rb+") as file:
            os.fsync(file.fileno())
        new.replace(kept)
        sync_folder(kept.parent)
    except OSError as error:
        raise StorageFailed(
            f"{path} cannot be copied before it is changed: {os.strerror(error.errno or 0)}.",
            hint="It was left as it was; look at the disk.",
        ) from None
    finally:
        new.unlink(missing_ok=True)
    return kept
