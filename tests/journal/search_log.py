"""A log in memory, as the search index reads it, and an index that is level with it."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec

from securechat.chat.model import Kind, Record, Room
from securechat.journal.reader import Page
from securechat.journal.search import Index, Searcher


class MemoryLog:
    """What the store gives its readers, with what it erases erased; times go up by `tick` a record."""

    def __init__(self) -> None:
        self.records: dict[str, list[Record]] = {}
        self.bases: dict[str, int] = {}
        self.now = 1_000
        self.tick = 1
        self.pages: list[tuple[str, int, int]] = []
        """Room, `after` and number of records of each page that was read."""
        self.on_page: Callable[[], object] = lambda: None
        """Called before a page is read."""

    @property
    def rooms(self) -> dict[str, Room]:
        return {
            name: Room(name, head=len(records), base=self.bases.get(name, 0)) for name, records in self.records.items()
        }

    def page(self, room: str, *, after: int, limit: int, max_bytes: int) -> Page:
        self.on_page()
        start = max(after, self.bases.get(room, 0))
        records = self.records[room][start : start + limit]
        self.pages.append((room, after, len(records)))
        return Page(records, start + len(records) < len(self.records[room]))

    def add(self, kind: Kind, room: str, sender: str = "alice", text: str = "", about: int = 0) -> int:
        log = self.records.setdefault(room, [])
        self.now += self.tick
        log.append(Record(room, len(log) + 1, kind, sender, "", self.now, text, about=about))
        return len(log)

    def say(self, text: str, room: str = "lobby", sender: str = "alice") -> int:
        return self.add("say", room, sender, text)

    def edit(self, about: int, text: str, room: str = "lobby") -> int:
        return self.add("edit", room, text=text, about=about)

    def delete(self, about: int, room: str = "lobby") -> int:
        log = self.records[room]
        for place, record in enumerate(log):
            if record.seq == about or (record.kind == "edit" and record.about == about):
                log[place] = msgspec.structs.replace(record, text="", erased=b"*" * 32)
        return self.add("delete", room, about=about)

    def expire(self, upto: int, room: str = "lobby") -> None:
        self.bases[room] = upto


def level(index: Index, log: MemoryLog) -> int:
    """Let the index follow until nothing is left; give how many steps that took."""
    steps = 0
    while index.follow(log, log.rooms):
        steps += 1
        assert steps < 1_000
    return steps


@contextmanager
def followed(path: Path, log: MemoryLog) -> Iterator[tuple[Index, Searcher]]:
    """An index that is level with the log, and a way to search it."""
    with closing(Index(path)) as index, closing(index.searcher()) as searcher:
        level(index, log)
        yield index, searcher


def found(searcher: Searcher, text: str, room: str = "lobby") -> list[int]:
    """The numbers of the messages of one room that are found, newest first."""
    return [hit.seq for hit in searcher.search(text, [room], limit=1_000)]
