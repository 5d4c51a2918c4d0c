"""Answers from the search index, for one thread: read-only, and not held up by the writer.

It must not know who asks: it looks in the rooms that it is given, and in no other.
"""

import sqlite3
import threading
from collections.abc import Collection
from pathlib import Path
from typing import Any, Final

import msgspec

from securechat.journal.search import tables
from securechat.journal.search.matching import question
from securechat.journal.search.tables import SEQ_BITS, seq_of
from securechat.limits import SAFE_INTEGER

# The plus takes the column's type from the number, with which SQLite would not use the index.
ROOMS: Final = f"""
    SELECT number, name, (
        SELECT time FROM documents WHERE id >> {SEQ_BITS} = +number AND time < :before ORDER BY time DESC LIMIT 1
    ) AS newest
    FROM json_each(:rooms) CROSS JOIN rooms ON name = value WHERE newest > :after ORDER BY newest DESC"""  # noqa: S608 - a number
# CROSS JOIN keeps the order: FTS5 gives the matches between two numbers, newest first, until there are enough.
# Time never goes backwards within a room, so bounds in time are bounds of numbers.
_HITS: Final = f"""
    SELECT time, id FROM {{table}} CROSS JOIN documents ON id = {{table}}.rowid
    WHERE {{table}} MATCH :match
    AND {{table}}.rowid BETWEEN (
        SELECT id FROM documents WHERE id >> {SEQ_BITS} = :room AND time > :after ORDER BY time, id LIMIT 1
    ) AND (
        SELECT id FROM documents WHERE id >> {SEQ_BITS} = :room AND time < :before ORDER BY time DESC, id DESC LIMIT 1
    )
    AND sender = coalesce(:sender, sender)
    AND NOT EXISTS (SELECT 1 FROM json_each(:words) WHERE instr(documents.text, value) = 0)
    ORDER BY {{table}}.rowid DESC LIMIT :limit"""  # noqa: S608 - names of tables and a number
LONG_HITS: Final = _HITS.format(table="words")
SHORT_HITS: Final = _HITS.format(table="short")


class Hit(msgspec.Struct, frozen=True):
    """A message that was found, by its room's key and its number. The log may have erased it a moment ago."""

    room: str
    seq: int


class Searcher:
    """The file as one searching thread sees it; `Index.searcher` makes it."""

    def __init__(self, path: Path, damaged: threading.Event) -> None:
        """`damaged` tells the writer what is found out here."""
        self._path = path
        self._damaged = damaged
        self._connection: sqlite3.Connection | None = None
        self._inode = 0

    def search(
        self,
        text: str,
        rooms: Collection[str],
        *,
        sender: str | None = None,
        before: int | None = None,
        after: int | None = None,
        limit: int,
    ) -> list[Hit]:
        """Find the newest messages in these rooms that hold every word of `text`, newest first.

        `sender` is who said it; `before` and `after` are times in milliseconds since 1970 UTC, both exclusive.
        Raises StorageFailed: the file is damaged and will be made again, or is just being made.
        """
        asked = question(text)
        if asked is None:
            return []
        values: dict[str, Any] = {
            "match": asked.match,
            "words": _as_json(asked.words),
            "rooms": _as_json(rooms),
            "sender": sender,
            "after": -1 if after is None else after,
            "before": SAFE_INTEGER if before is None else before,
            "limit": limit,
        }
        hits = LONG_HITS if asked.long else SHORT_HITS
        found: list[tuple[int, str, int]] = []
        try:
            connection = self._connected()
            for number, room, newest in connection.execute(ROOMS, values).fetchall():
                if newest <= values["after"]:
                    break
                rows = connection.execute(hits, {**values, "room": number})
                found = sorted([*found, *((-time, room, -seq_of(id)) for time, id in rows)])[:limit]
                if len(found) == limit:
                    # With as many as were asked for, what is older than all of them need not be read.
                    values["after"] = max(values["after"], -found[-1][0] - 1)
        except sqlite3.Error as error:
            if tables.is_damage(error):
                self._damaged.set()
            raise tables.failure(self._path, error) from error
        return [Hit(room, -seq) for _, room, seq in found]

    def close(self) -> None:
        """Let go of the file."""
        if self._connection:
            self._connection.close()

    def _connected(self) -> sqlite3.Connection:
        """The connection to the file that is there now: the writer may have made another."""
        inode = tables.inode(self._path)
        if self._connection is None or inode != self._inode:
            self.close()
            self._connection = tables.connect(self._path, "ro")
            self._inode = inode
        return self._connection


def _as_json(values: Collection[str]) -> str:
    return msgspec.json.encode(list(values)).decode()
