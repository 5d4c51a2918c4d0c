"""The newest records in memory: what is there is given whole, in order; what was erased is gone; it is bounded."""

import threading
from pathlib import Path

import pytest

from securechat.chat.model import Record
from securechat.journal.reader import Reader
from securechat.server.recent import RECORD_OVERHEAD, Recent
from tests.server.support import peer, running_server


def _records(room: str, first: int, last: int) -> list[Record]:
    return [Record(room, seq, "say", "alice", f"n{seq}", 1, "x" * 100) for seq in range(first, last + 1)]


SIZE = RECORD_OVERHEAD + 100


def test_what_follows_a_cursor_is_given_when_all_of_it_is_here() -> None:
    recent = Recent(100 * SIZE)
    recent.add({"lobby": _records("lobby", 10, 20)})
    assert recent.after("lobby", 8, 500, 1 << 20) is None
    assert recent.after("elsewhere", 9, 500, 1 << 20) is None
    assert recent.after("lobby", 20, 500, 1 << 20) is None
    assert recent.after("lobby", 9, 500, 1 << 20) == _records("lobby", 10, 20)
    assert recent.after("lobby", 15, 3, 1 << 20) == _records("lobby", 16, 18)
    assert recent.after("lobby", 15, 500, 2 * SIZE) == _records("lobby", 16, 17)
    assert recent.after("lobby", 15, 500, 1) == _records("lobby", 16, 16)


def test_the_quietest_room_goes_first_and_then_the_oldest_records() -> None:
    recent = Recent(10 * SIZE)
    recent.add({"quiet": _records("quiet", 1, 5)})
    recent.add({"busy": _records("busy", 1, 8)})
    assert recent.after("quiet", 0, 500, 1 << 20) is None
    recent.add({"busy": _records("busy", 9, 14)})
    assert recent.after("busy", 3, 500, 1 << 20) is None
    assert recent.after("busy", 4, 500, 1 << 20) == _records("busy", 5, 14)


def test_a_room_in_which_something_was_erased_is_forgotten() -> None:
    recent = Recent(100 * SIZE)
    recent.add({"lobby": _records("lobby", 1, 5)})
    recent.add({"lobby": [Record("lobby", 6, "delete", "alice", "", 1, about=2)]})
    assert recent.after("lobby", 0, 500, 1 << 20) is None
    recent.add({"lobby": _records("lobby", 7, 8)})
    recent.forget("lobby")
    assert recent.after("lobby", 6, 500, 1 << 20) is None


def test_many_who_come_back_at_once_read_no_disk(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pages: list[str] = []
    page = Reader.page

    def counted(self: Reader, room: str, **bounds: int) -> object:
        if threading.current_thread().name.startswith("reading"):  # and not the search index, which reads for itself
            pages.append(room)
        return page(self, room, **bounds)

    with running_server(home) as server, peer(server, "alice", room="lobby") as alice:
        alice.say("hello", id="one")
        monkeypatch.setattr(Reader, "page", counted)
        for _ in range(5):
            with peer(server, "alice") as back:
                back.send({"type": "sync", "after": {"lobby": 0}})
                assert back.expect("message")["text"] == "hello"
    assert "lobby" not in pages
