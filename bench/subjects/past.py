"""Stores in which much was said already, made once for all runs: a room `past` with so many messages of one author."""

import atexit
import os
import random
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

from msgspec.structs import replace

from bench.load.hearing import text_of
from securechat.chat import chain
from securechat.chat.model import Record, Room
from securechat.journal.search import Index
from securechat.journal.store import Store

ROOM: Final = "past"
AUTHOR: Final = "past"
BATCH: Final = 10_000
BEGAN: Final = 1_760_000_000_000
"""When the first of them was said, in milliseconds since 1970; the others follow second by second."""

WORDS: Final = """\
about after again bread could coffee dinner every first found garden great house kitchen later lemon letter light
little market morning music never night often paper people place river school second should small street summer
table thing think three train under water where which while window winter without world would write yellow"""


class Past(NamedTuple):
    """A store, and its search index."""

    folder: Path


@cache
def filled(records: int, *, indexed: bool = False) -> Past:
    """A store with so many records; the folder is removed when this process ends.

    Only `indexed` ones can be found by search. The others have an index that takes itself for level: making one takes
    longer than all else, and a server that makes it is not idle.
    """
    folder = Path(tempfile.mkdtemp(prefix="securechat-bench-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    with closing(Store(folder / "chat.db", "normal")) as store:
        store.load()
        room = Room(ROOM, hash=chain.start(ROOM), base_hash=chain.start(ROOM))
        for batch in _batches(records, room):
            last = batch[-1]
            room = replace(room, head=last.seq, time=last.time, hash=last.hash)
            store.commit([room], batch, {})
        with closing(Index(folder / "search.db")) as index, closing(store.reader()) as reader:
            rooms = {known.name: known for known in store.load()}
            if not indexed:
                rooms = {name: replace(known, head=0) for name, known in rooms.items()}
            while index.follow(reader, rooms):
                pass
    if not indexed:
        with closing(sqlite3.connect(folder / "search.db")) as connection, connection:
            at = len(rooms)
            connection.execute(
                "INSERT INTO rooms (name, number, cursor, base) VALUES (?, ?, ?, 0)", (ROOM, at, records)
            )
    return Past(folder)


def _batches(records: int, room: Room) -> Iterator[list[Record]]:
    # The same words in each run.
    chosen, words = random.Random(1), WORDS.split()  # noqa: S311 - no secret
    link = room.hash
    for begin in range(0, records, BATCH):
        batch = []
        for number in range(begin, min(begin + BATCH, records)):
            text = text_of(AUTHOR, number, " ".join(chosen.choices(words, k=16)))
            record = Record(
                ROOM,
                number + 1,
                "say",
                AUTHOR,
                f"{AUTHOR}-{number:08}",
                BEGAN + number * 1000,
                text,
                salt=os.urandom(chain.SALT_BYTES),
            )
            link = chain.link_record(link, record)
            batch.append(replace(record, hash=link))
        yield batch
