"""Pages that were read once and serve many: what is there is given whole and in order, what was erased is gone, and
they are bounded."""

import threading
from pathlib import Path

import pytest

from securechat.journal.reader import Reader
from securechat.limits import SAFE_INTEGER
from securechat.server.shared_pages import RUN_OVERHEAD, Look, Run, SharedPages, run_of
from tests.server.support import peer, running_server

LOBBY = Look("lobby", "", replay=True)
ALL = SAFE_INTEGER


def _run(first: int, last: int, *, start: int | None = None, look: Look = LOBBY) -> Run:
    return run_of(
        look, first - 1 if start is None else start, first, [b"%3d\n" % seq for seq in range(first, last + 1)]
    )


def _lines(first: int, last: int) -> tuple[bytes, int]:
    return b"".join(b"%3d\n" % seq for seq in range(first, last + 1)), last


def test_what_follows_a_cursor_is_given_as_far_as_it_is_here_and_wanted() -> None:
    pages = SharedPages(1 << 20)
    for run in (_run(21, 30), _run(10, 20), _run(41, 50)):
        pages.add(run, 0)
    assert pages.after(LOBBY, 8, ALL) is None
    assert pages.after(LOBBY, 9, ALL) == _lines(10, 20)
    assert pages.after(LOBBY, 9, 15) == _lines(10, 15)
    assert pages.after(LOBBY, 17, ALL) == _lines(18, 20)
    assert pages.after(LOBBY, 17, 18) == _lines(18, 18)
    assert pages.after(LOBBY, 20, ALL) == _lines(21, 30)
    assert pages.after(LOBBY, 30, ALL) is None
    assert pages.after(LOBBY, 50, ALL) is None
    for other in (Look("lobby", "", replay=False), Look("lobby", "bob", replay=True), Look("ops", "", replay=True)):
        assert pages.after(other, 9, ALL) is None


def test_a_gap_is_filled_up_to_the_next_run() -> None:
    pages = SharedPages(1 << 20)
    assert pages.next_start(LOBBY, 0) is None
    pages.add(_run(10, 20), 0)
    assert pages.next_start(LOBBY, 0) == 9
    assert pages.next_start(LOBBY, 9) is None


def test_where_records_are_gone_with_their_time_the_next_is_given() -> None:
    pages = SharedPages(1 << 20)
    pages.add(_run(10, 20, start=3), 0)
    assert pages.after(LOBBY, 3, ALL) == pages.after(LOBBY, 6, ALL) == pages.after(LOBBY, 9, ALL) == _lines(10, 20)
    assert pages.after(LOBBY, 10, ALL) == _lines(11, 20)
    assert pages.after(LOBBY, 5, 9) is None


def test_what_nobody_asked_for_in_the_longest_time_goes_first() -> None:
    size = _run(11, 20).size
    assert size > RUN_OVERHEAD + 40
    pages = SharedPages(2 * size)
    pages.add(_run(11, 20), 0)
    pages.add(_run(21, 30), 0)
    pages.add(_run(21, 25), 0)  # it is there
    assert pages.after(LOBBY, 10, ALL)
    pages.add(_run(31, 40), 0)
    assert pages.after(LOBBY, 20, ALL) is None
    assert pages.after(LOBBY, 10, ALL) == _lines(11, 20)
    assert pages.after(LOBBY, 30, ALL) == _lines(31, 40)
    pages.add(_run(51, 60, look=Look("ops", "", replay=True)), 0)
    pages.add(_run(61, 70, look=Look("ops", "", replay=True)), 0)
    assert pages.after(LOBBY, 30, ALL) is None


def test_a_room_in_which_something_was_erased_is_forgotten_also_what_was_read_before() -> None:
    pages = SharedPages(1 << 20)
    ops = Look("ops", "", replay=False)
    pages.add(_run(1, 5), 0)
    pages.add(_run(1, 5, look=Look("lobby", "", replay=False)), 0)
    pages.add(_run(1, 5, look=ops), 0)
    before = pages.forgotten
    pages.forget("lobby")
    pages.add(_run(1, 5), before)
    assert pages.after(LOBBY, 0, ALL) is pages.after(Look("lobby", "", replay=False), 0, ALL) is None
    assert pages.after(ops, 0, ALL) == _lines(1, 5)
    pages.add(_run(1, 5), pages.forgotten)
    assert pages.after(LOBBY, 0, ALL) == _lines(1, 5)


def test_many_who_come_back_at_once_read_a_page_once(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pages: list[str] = []
    page = Reader.page

    def counted(self: Reader, room: str, **bounds: int) -> object:
        if threading.current_thread().name.startswith("reading"):  # and not the search index, which reads for itself
            pages.append(room)
        return page(self, room, **bounds)

    with running_server(home) as server, peer(server, "alice", room="lobby") as alice:
        first = alice.say("hello", id="one")["seq"]
        alice.say("again", id="two")
        monkeypatch.setattr(Reader, "page", counted)
        for cursor in (0, 0, 0, first, first, 0):
            with peer(server, "alice") as back:
                back.send({"type": "sync", "after": {"lobby": cursor}})
                assert [back.expect("message")["text"] for _ in range(first + 1 - cursor if cursor else 2)][
                    -1
                ] == "again"
        assert pages == ["lobby"]
        alice.send({"type": "delete", "id": "gone", "room": "lobby", "seq": first})
        alice.expect("ack")
        with peer(server, "alice") as back:
            back.send({"type": "sync", "after": {"lobby": 0}})
            assert [back.expect("message").get("text") for _ in range(2)] == ["", "again"]
        assert pages == ["lobby", "lobby"]
