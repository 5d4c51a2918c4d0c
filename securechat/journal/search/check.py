"""Whether the search index says what the log says: for `securechat verify`. It changes nothing."""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from itertools import zip_longest
from pathlib import Path

from securechat.chat.model import Record, Room
from securechat.journal.search import tables
from securechat.journal.search.index import STEP_BYTES, Log
from securechat.journal.search.matching import fold
from securechat.journal.search.tables import document_id, seq_of
from securechat.limits import PAGE_RECORDS


def check(path: Path, source: Log, rooms: Mapping[str, Room]) -> str | None:
    """Say where the index first differs from the log; None: nowhere. `rooms` are all rooms of the log.

    An index that is missing, of another version or merely behind differs in nothing. It is not written to meanwhile.
    Raises StorageFailed where it cannot be read.
    """
    if not path.exists():
        return None
    try:
        with closing(tables.connect(path, "rw")) as connection:
            connection.execute("BEGIN IMMEDIATE")
            if not _is_level(connection, rooms):
                return None
            difference = _difference(connection, source)
            if difference is None:
                tables.check_tables(connection)
            return difference
    except sqlite3.Error as error:
        if not tables.is_damage(error):
            raise tables.failure(path, error) from error
        return f"The search index {path} is damaged ({str(error)!a}); delete it, and the server makes it again."


def _is_level(connection: sqlite3.Connection, rooms: Mapping[str, Room]) -> bool:
    if not tables.is_ours(connection):
        return False
    reached = {name: (at.cursor, at.base) for name, at in tables.positions(connection).items()}
    return reached == {name: (room.head, room.base) for name, room in rooms.items() if room.head}


def _difference(connection: sqlite3.Connection, source: Log) -> str | None:
    query = "SELECT id, sender, time, text FROM documents WHERE id > ? AND id < ? ORDER BY id"
    for room, at in tables.positions(connection).items():
        rows = connection.execute(query, (document_id(at.number, 0), document_id(at.number + 1, 0)))
        documents = ((seq_of(id), *rest) for id, *rest in rows)
        for pair in zip_longest(_said(source, room), documents):
            if pair[0] != pair[1]:
                # The log went on, and may have erased something by now.
                if source.page(room, after=at.cursor, limit=1, max_bytes=1).records:
                    break
                seq = min(document[0] for document in pair if document)
                return f"The search index does not have {room} {seq} as the log has it."
    return None


def _said(source: Log, room: str) -> Iterator[tuple[int, str, int, str]]:
    """What is to be found in a room, in order: number, sender, time and folded text."""
    texts = {record.about: record.text for record in _records(source, room) if record.kind in ("edit", "delete")}
    for record in _records(source, room):
        text = texts.get(record.seq, record.text)
        if record.kind == "say" and text:
            yield record.seq, record.sender, record.time, fold(text)


def _records(source: Log, room: str) -> Iterator[Record]:
    seq, more = 0, True
    while more:
        page = source.page(room, after=seq, limit=PAGE_RECORDS, max_bytes=STEP_BYTES)
        yield from page.records
        seq, more = page.records[-1].seq if page.records else seq, page.more
