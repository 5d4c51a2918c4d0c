"""The file of the search index: its tables, how it is opened, and what its failures mean. It must not know the log.

Trigrams find words of three characters and more; shorter ones, the rule in Chinese, are found by a second table, of
single characters and pairs. Reading all texts instead would need no table, and took 100 to 200 ms for a rare word in
100,000 messages, where the table takes 1 to 2 (medians, measured). Both only narrow down which texts are looked at, so
neither keeps positions, which would make the file a fifth larger (measured).
"""

import os
import sqlite3
from pathlib import Path
from typing import Final, Literal, NamedTuple
from urllib.parse import quote

from securechat.errors import StorageFailed
from securechat.journal.database import BUSY_SECONDS
from securechat.journal.search.matching import UNICODE, grams

APPLICATION: Final = 0x53436853
"""SQLite's application_id of the file: "SChS"."""

FORMAT: Final = 2
"""SQLite's user_version: the tables below, and what `matching` puts into them."""

SEQ_BITS: Final = 40
"""A document's number is its room's number and its `seq`: a room's documents lie together, in order, and one room is
searched without a look at the others. A million million records a room, eight million rooms."""

# What a power cut takes is read from the log again, so no commit waits for the disk.
_SETTINGS: Final = (
    "journal_mode = WAL",
    "synchronous = NORMAL",
    "journal_size_limit = 4194304",
    "secure_delete = ON",
)
# `unmerged` says that FTS5 may still hold what was removed: it only marks it, and drops it when it merges.
# Of the view, FTS5 itself reads when it checks `short`; nothing else does.
_SCHEMA: Final = (
    "CREATE TABLE state (unicode TEXT NOT NULL, unmerged INTEGER NOT NULL)",
    """CREATE TABLE rooms (
        number INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        cursor INTEGER NOT NULL,
        base INTEGER NOT NULL
    )""",
    """CREATE TABLE documents (
        id INTEGER PRIMARY KEY,
        sender TEXT NOT NULL,
        time INTEGER NOT NULL,
        text TEXT NOT NULL
    )""",
    f"CREATE INDEX documents_by_time ON documents (id >> {SEQ_BITS}, time)",
    "CREATE VIEW shorts AS SELECT id, grams(text) AS grams FROM documents",
    """CREATE VIRTUAL TABLE words USING fts5 (
        text, content = 'documents', content_rowid = 'id', tokenize = 'trigram case_sensitive 1',
        detail = none, columnsize = 0)""",
    """CREATE VIRTUAL TABLE short USING fts5 (
        grams, content = 'shorts', content_rowid = 'id', tokenize = 'ascii', detail = none, columnsize = 0)""",
    f"PRAGMA application_id = {APPLICATION}",
    f"PRAGMA user_version = {FORMAT}",
)
_MARKS: Final = "SELECT application_id, user_version, unicode FROM pragma_application_id, pragma_user_version, state"

DAMAGE: Final = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR}
"""What SQLite says of a file that is not, or no longer, ours; of the rest (a full disk) the file is innocent."""


class Position(NamedTuple):
    """How far a room is indexed: its number in the file, the last `seq` read, and up to where expired ones are out."""

    number: int
    cursor: int
    base: int


def document_id(room: int, seq: int) -> int:
    """The number of a document, by the number of its room."""
    return room << SEQ_BITS | seq


def room_of(id: int) -> int:
    """The number of the room in the number of a document."""
    return id >> SEQ_BITS


def seq_of(id: int) -> int:
    """The `seq` in the number of a document."""
    return id & (1 << SEQ_BITS) - 1


def connect(path: Path, mode: Literal["rwc", "rw", "ro"]) -> sqlite3.Connection:
    """Open the file; "rwc" makes it where it is missing, for its owner alone. Raises StorageFailed."""
    try:
        if mode == "rwc":
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        # As a URI, for its mode; quoted as bytes, because a path may hold any. Made by one thread, used by another.
        uri = f"file://{quote(os.fsencode(path.absolute()))}?mode={mode}"
        connection = sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    except (OSError, sqlite3.Error) as error:
        raise failure(path, error) from error
    return connection


def prepare(connection: sqlite3.Connection) -> None:
    """Make a connection ready to write, and the tables where there are none. Raises sqlite3.Error."""
    for setting in _SETTINGS:
        connection.execute(f"PRAGMA {setting}").fetchall()
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        if connection.execute("PRAGMA schema_version").fetchone()[0] == 0:
            for statement in _SCHEMA:
                connection.execute(statement)
            connection.execute("INSERT INTO state VALUES (?, FALSE)", (UNICODE,))


def is_ours(connection: sqlite3.Connection) -> bool:
    """Whether this version, on this version of Unicode, wrote the file. Raises sqlite3.Error."""
    marks: tuple[int, int, str] = connection.execute(_MARKS).fetchone()
    return marks == (APPLICATION, FORMAT, UNICODE)


def positions(connection: sqlite3.Connection) -> dict[str, Position]:
    """How far each room is indexed. Raises sqlite3.Error."""
    return {name: Position(*at) for name, *at in connection.execute("SELECT name, number, cursor, base FROM rooms")}


def check_tables(connection: sqlite3.Connection) -> None:
    """Compare both tables with the documents, in a transaction that the caller began.

    Raises sqlite3.Error (its code is in DAMAGE where they differ).
    """
    connection.create_function("grams", 1, grams)
    for table in ("words", "short"):
        connection.execute(f"INSERT INTO {table} ({table}, rank) VALUES ('integrity-check', 1)")  # noqa: S608 - no input


def inode(path: Path) -> int:
    """Which file is at the path now, to notice another one in its place; 0: none."""
    try:
        return path.stat().st_ino
    except OSError:
        return 0


def is_damage(error: sqlite3.Error) -> bool:
    """Whether making the file again would help."""
    # SQLite's primary result code is in the low byte of the extended one (sqlite.org/rescode.html).
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF in DAMAGE


def failure(path: Path, error: Exception) -> StorageFailed:
    """What a failure means for the person at this machine."""
    return StorageFailed(
        f"The search index {path} cannot be used: {error}.",
        hint="Look at the space on the disk, and at the owner and the permissions of the file and its folder.",
    )
