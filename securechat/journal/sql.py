"""The statements with which the store writes and looks records up, and the columns of their rows.

Where a statement says `{rows}`, it takes several rows at once. It must not know what is written together, nor when.
"""

from collections.abc import Sequence
from itertools import chain
from typing import Final, Protocol

from securechat.chat.model import Invitation, Record, Room

# CROSS JOIN keeps this order: each asked pair is looked up in the index, which nearly always says that there is none.
RECORDED: Final = """
    SELECT rooms.name, seq, kind, sender, records.id, records.time, text, target, about, salt, erased, records.hash
    FROM json_each(?) AS asked CROSS JOIN records CROSS JOIN rooms ON number = room
    WHERE sender = json_extract(value, '$[0]') AND records.id = json_extract(value, '$[1]') AND records.id <> ''"""
NAMED: Final = """
    SELECT rooms.name, seq, kind, sender, records.id, records.time, text, target, about, salt, erased, records.hash
    FROM json_each(?) AS asked CROSS JOIN rooms CROSS JOIN records ON room = number
    WHERE name = json_extract(value, '$[0]') AND seq = json_extract(value, '$[1]')"""
SAVE_ROOM: Final = """
    INSERT INTO rooms (number, name, owner, topic, private, head, time, archived, hash, base, base_hash)
    VALUES {rows}
    ON CONFLICT (number) DO UPDATE SET
        owner = excluded.owner, topic = excluded.topic, private = excluded.private,
        head = excluded.head, time = excluded.time, archived = excluded.archived,
        hash = excluded.hash, base = excluded.base, base_hash = excluded.base_hash"""
SAVE_RECORD: Final = """
    INSERT INTO records (room, seq, kind, sender, id, time, text, target, about, salt, erased, hash)
    VALUES {rows}"""
# By the index: left to itself, SQLite looks for the edits through all records of the room.
ERASE: Final = """
    UPDATE records SET erased = commitment(salt, text), text = '', salt = x''
    WHERE room = ?1 AND erased = x''
    AND seq IN (
        SELECT ?2 UNION ALL SELECT seq FROM records INDEXED BY edits WHERE room = ?1 AND about = ?2 AND kind = 'edit'
    )"""
EXPIRE: Final = "DELETE FROM records WHERE room = ? AND seq <= ?"
SAVE_MEMBER: Final = "INSERT INTO members (room, account) VALUES {rows} ON CONFLICT DO NOTHING"
DROP_MEMBER: Final = "DELETE FROM members WHERE room = ? AND account = ?"
SAVE_MARK: Final = """
    INSERT INTO marks (account, room, seq) VALUES {rows}
    ON CONFLICT (account, room) DO UPDATE SET seq = excluded.seq"""
SAVE_CURSOR: Final = """
    INSERT INTO cursors (account, consumer, room, seq) VALUES {rows}
    ON CONFLICT (account, consumer, room) DO UPDATE SET seq = excluded.seq"""
FORGET_CURSOR: Final = "DELETE FROM cursors WHERE account = ? AND consumer = ? AND room = ?"
GRANT: Final = """
    INSERT INTO tokens (hash, account, device, created, fingerprint) VALUES {rows}
    ON CONFLICT (hash) DO UPDATE SET
        account = excluded.account, device = excluded.device, created = excluded.created,
        fingerprint = excluded.fingerprint"""
REVOKE: Final = "DELETE FROM tokens WHERE hash = ?"
SAVE_INVITATION: Final = """
    INSERT INTO invitations (hash, account, role, rooms, created, expires, state) VALUES {rows}
    ON CONFLICT (hash) DO UPDATE SET state = excluded.state"""
FORGET_INVITATION: Final = "DELETE FROM invitations WHERE hash = ?"

SANCTION: Final = "INSERT OR REPLACE INTO sanctions (account, kind, until, since, author, room) VALUES {rows}"
LIFT: Final = "DELETE FROM sanctions WHERE account = ? AND kind = ? AND room = ?"

FOLLOW: Final = "INSERT OR REPLACE INTO followed (one, entry, proposals) VALUES (1, ?, ?)"

_ROWS_AT_ONCE: Final = (64, 8, 1)
"""Rows in one INSERT. SQLite lets other Python threads run at each statement: with one for each row, the journal waited
for its turn again after each, a hundred times longer in all where another thread was busy (measured)."""


class Connection(Protocol):
    """What is asked of the store's connection. Both raise sqlite3.Error."""

    def execute(self, sql: str, parameters: Sequence[object], /) -> object: ...
    def executemany(self, sql: str, parameters: Sequence[Sequence[object]], /) -> object: ...


def execute(connection: Connection, statement: str, rows: Sequence[tuple[object, ...]]) -> None:
    """Execute a statement for these rows, of which there is one at least."""
    if "{rows}" not in statement:
        connection.executemany(statement, rows)
        return
    row = f"({', '.join('?' * len(rows[0]))})"
    at = 0
    for size in _ROWS_AT_ONCE:
        several = statement.format(rows=", ".join([row] * size))
        while len(rows) - at >= size:
            connection.execute(several, tuple(chain.from_iterable(rows[at : at + size])))
            at += size


def record_row(number: int, r: Record) -> tuple[object, ...]:
    """A record's, with the number of its room."""
    # As bytearrays, which sqlite3 takes as they are; for bytes it looks for an adapter each time.
    blobs = bytearray(r.salt), bytearray(r.erased), bytearray(r.hash)
    return number, r.seq, r.kind, r.sender, r.id, r.time, r.text, r.target, r.about, *blobs


def invitation_columns(one: Invitation) -> tuple[object, ...]:
    """An invitation's, but for its secret's hash."""
    return one.account, one.role, " ".join(one.rooms), one.created, one.expires, one.state


def room_columns(r: Room) -> tuple[object, ...]:
    """A room's, but for its number."""
    return r.name, r.owner, r.topic, r.private, r.head, r.time, r.archived, r.hash, r.base, r.base_hash
