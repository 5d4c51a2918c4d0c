"""The tables of the store, and the marks by which its file is known. Text only: what uses it is `journal.store`.

Rooms are numbered, so that a record does not repeat its room's name. `head`, `time` and `hash` of a room are those of
its newest record: kept here too, so that a start reads no record. Whatever changes a table is one more of STEPS: those
that were released are never changed.
"""

from typing import Final

APPLICATION: Final = 0x53436854
"""SQLite's application_id of our files: "SChT"."""

FIRST: Final = (
    """CREATE TABLE rooms (
        number INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        owner TEXT NOT NULL,
        topic TEXT NOT NULL,
        private INTEGER NOT NULL,
        head INTEGER NOT NULL,
        time INTEGER NOT NULL,
        archived INTEGER NOT NULL,
        hash BLOB NOT NULL,
        base INTEGER NOT NULL,
        base_hash BLOB NOT NULL
    )""",
    """CREATE TABLE members (
        room INTEGER NOT NULL REFERENCES rooms (number),
        account TEXT NOT NULL,
        PRIMARY KEY (room, account)
    ) WITHOUT ROWID""",
    """CREATE TABLE records (
        room INTEGER NOT NULL REFERENCES rooms (number),
        seq INTEGER NOT NULL,
        kind TEXT NOT NULL,
        sender TEXT NOT NULL,
        id TEXT NOT NULL,
        time INTEGER NOT NULL,
        text TEXT NOT NULL,
        target TEXT NOT NULL,
        about INTEGER NOT NULL,
        salt BLOB NOT NULL,
        erased BLOB NOT NULL,
        hash BLOB NOT NULL,
        PRIMARY KEY (room, seq)
    ) WITHOUT ROWID""",
    "CREATE UNIQUE INDEX records_by_id ON records (sender, id) WHERE id <> ''",
    "CREATE INDEX edits ON records (room, about) WHERE kind = 'edit'",
    """CREATE TABLE marks (
        account TEXT NOT NULL,
        room INTEGER NOT NULL REFERENCES rooms (number),
        seq INTEGER NOT NULL,
        PRIMARY KEY (account, room)
    ) WITHOUT ROWID""",
    # With a rowid, which keeps them in the order in which they were granted.
    """CREATE TABLE tokens (
        hash BLOB NOT NULL PRIMARY KEY,
        account TEXT NOT NULL,
        device TEXT NOT NULL,
        created INTEGER NOT NULL
    )""",
)

SECOND: Final = (
    "ALTER TABLE tokens ADD COLUMN fingerprint BLOB NOT NULL DEFAULT x''",
    # The columns of the key come first: of other tables without a rowid SQLite 3.40 says that they are damaged.
    """CREATE TABLE sanctions (
        account TEXT NOT NULL,
        kind TEXT NOT NULL,
        room TEXT NOT NULL,
        until INTEGER NOT NULL,
        since INTEGER NOT NULL,
        author TEXT NOT NULL,
        PRIMARY KEY (account, kind, room)
    ) WITHOUT ROWID""",
    # With a rowid, which keeps them in the order in which they were issued.
    """CREATE TABLE invitations (
        hash BLOB NOT NULL PRIMARY KEY,
        account TEXT NOT NULL,
        role TEXT NOT NULL,
        rooms TEXT NOT NULL,
        created INTEGER NOT NULL,
        expires INTEGER NOT NULL,
        state TEXT NOT NULL
    )""",
    """CREATE TABLE cursors (
        account TEXT NOT NULL,
        consumer TEXT NOT NULL,
        room INTEGER NOT NULL REFERENCES rooms (number),
        seq INTEGER NOT NULL,
        PRIMARY KEY (account, consumer, room)
    ) WITHOUT ROWID""",
    # In a cluster, how far its stream was followed: the last entry, and how many of its proposals. One row, or none.
    """CREATE TABLE followed (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        entry INTEGER NOT NULL,
        proposals INTEGER NOT NULL
    )""",
)

THIRD: Final = (
    # What the nodes of a cluster share of what the files of a single server say: none there.
    """CREATE TABLE accounts (
        name TEXT NOT NULL PRIMARY KEY,
        role TEXT NOT NULL,
        state TEXT NOT NULL,
        password TEXT NOT NULL
    ) WITHOUT ROWID""",
    """CREATE TABLE hooks (
        name TEXT NOT NULL PRIMARY KEY,
        room TEXT NOT NULL,
        token BLOB NOT NULL
    ) WITHOUT ROWID""",
)

STEPS: Final = (FIRST, SECOND, THIRD)
"""What makes a file of one format from one of the format before; the first makes it from an empty file."""

FORMAT: Final = len(STEPS)
"""SQLite's user_version: how many of the steps the file has behind it."""
