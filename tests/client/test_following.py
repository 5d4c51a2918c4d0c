"""`messages(room)`: each message once and in order, from any cursor, over reconnects, however slow its reader is."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from securechat.client.client import Client
from securechat.errors import ChainBroken, Refused, Unreachable
from securechat.limits import CLIENT_EVENTS
from securechat.protocols.frames import Message
from tests.client.chained import Chained
from tests.client.scripted import DEADLINE, Peer, Script, message, scripted
from tests.client.test_coming_back import TOKEN, connect


@contextmanager
def following(tmp_path: Path, first: Script, *later: Script, **options: Any) -> Iterator[Client]:
    def begin(peer: Peer) -> None:
        peer.let_in(token=TOKEN)
        first(peer)

    with scripted(begin, *later) as server, connect(server, tmp_path, **options) as client:
        yield client


def subscribe(peer: Peer, room: Chained, head: int) -> None:
    request = peer.answer(type="subscribed", room=room.room, head=head, hash=room.hashes[head])
    assert request["type"] == "subscribe"


def page(peer: Peer, room: Chained, head: int, limit: int = 3) -> None:
    """Answer a question for history with a page, as if the room had this head."""
    request = peer.expect("history")
    after = request["after"]
    answer = room.page(after, min(limit, head - after))
    peer.send({**answer, "more": after + limit < head, "ref": request["ref"]})


def take(messages: Iterator[Message], count: int) -> list[tuple[int, bool]]:
    return [(one.seq, one.replay) for one in (next(messages) for _ in range(count))]


def test_the_past_comes_by_pages_and_then_what_is_new(tmp_path: Path) -> None:
    room = Chained(9)

    def script(peer: Peer) -> None:
        subscribe(peer, room, 7)
        peer.send(room.records[7])  # it comes while the past is being read
        for _ in range(3):
            page(peer, room, 7)
        peer.send(room.records[8])
        peer.leave()

    with following(tmp_path, script) as client:
        heard = take(client.messages("lobby", after=0), 9)
    assert heard == [(seq, seq <= 7) for seq in range(1, 10)]


def test_without_a_cursor_it_begins_with_what_is_new(tmp_path: Path) -> None:
    room = Chained(6)

    def script(peer: Peer) -> None:
        subscribe(peer, room, 5)
        peer.send(room.records[4], {"type": "join", "room": "lobby", "seq": 7, "sender": "carol", "time": 0})
        # 6 did not come, so it is asked for.
        subscribe(peer, room, 6)
        page(peer, room, 6)
        peer.leave()

    with following(tmp_path, script) as client:
        assert take(client.messages("lobby"), 1) == [(6, True)]
        assert client.counts.gaps == 1


def test_a_cut_anywhere_is_neither_gap_nor_repeat(tmp_path: Path) -> None:
    room = Chained(9)

    def first(peer: Peer) -> None:
        subscribe(peer, room, 4)
        page(peer, room, 4)
        peer.expect("history")
        peer.cut()

    def second(peer: Peer) -> None:
        peer.let_in(rooms=[room.state(5)])
        history = peer.expect("history")  # the question that had no answer
        peer.send({**room.page(3, 1), "ref": history["ref"]})
        subscribe(peer, room, 5)
        page(peer, room, 5)
        peer.send(room.records[5])
        peer.cut()

    def third(peer: Peer) -> None:
        peer.let_in(rooms=[room.state(8)])
        subscribe(peer, room, 8)
        page(peer, room, 8)
        peer.send(room.records[7], room.records[8])
        peer.leave()

    with following(tmp_path, first, second, third) as client:
        heard = [seq for seq, _ in take(client.messages("lobby", after=0), 9)]
    assert heard == list(range(1, 10))


def test_a_reader_that_says_something_in_a_flood_gets_its_receipt_and_every_message(tmp_path: Path) -> None:
    count = 3 * CLIENT_EVENTS
    room = Chained(count)

    def script(peer: Peer) -> None:
        subscribe(peer, room, 0)
        peer.send(*room.records)
        say = peer.expect("say")
        same = {key: say[key] for key in ("ref", "id", "room")}
        peer.send({"type": "ack", "seq": 1, "time": 0, **same})
        while True:
            request = peer.expect("subscribe", "history", "logout")
            if request["type"] == "logout":
                break
            if request["type"] == "subscribe":
                answer = {"type": "subscribed", "room": "lobby", "head": count, "hash": room.hashes[count]}
            else:
                answer = room.page(request["after"])
            peer.send({**answer, "ref": request["ref"]})

    with following(tmp_path, script) as client:
        messages = client.messages("lobby", after=0)
        assert next(messages).seq == 1
        assert client.say("@bob", "wait a moment").seq == 1
        assert [seq for seq, _ in take(messages, count - 1)] == list(range(2, count + 1))


def test_a_changed_record_is_an_error_with_room_and_number(tmp_path: Path) -> None:
    room, other = Chained(3), Chained(3)
    other.records[1]["text"] = "changed"

    def script(peer: Peer) -> None:
        subscribe(peer, room, 3)
        page(peer, other, 3)
        peer.leave()

    with following(tmp_path, script) as client:
        messages = client.messages("lobby", after=0)
        assert take(messages, 2) == [(1, True), (2, True)]
        with pytest.raises(ChainBroken) as broken:
            next(messages)
        assert (broken.value.room, broken.value.seq) == ("lobby", 3)


def test_what_is_erased_by_age_is_passed_over_and_counted(tmp_path: Path) -> None:
    room = Chained(6)

    def script(peer: Peer) -> None:
        subscribe(peer, room, 6)
        history = peer.expect("history")
        peer.send({**room.page(4), "ref": history["ref"]})
        peer.leave()

    with following(tmp_path, script) as client:
        assert take(client.messages("lobby", after=1), 2) == [(5, True), (6, True)]
        assert client.counts.skipped == 3


def test_a_server_that_never_gets_on_is_no_endless_loop(tmp_path: Path) -> None:
    room = Chained(4)

    def script(peer: Peer) -> None:
        subscribe(peer, room, 4)
        history = peer.expect("history")
        peer.send({**room.page(0, 2), "ref": history["ref"]})
        peer.leave()

    with following(tmp_path, script) as client, pytest.raises(Unreachable, match="another kind"):
        next(client.messages("lobby", after=2))


def test_a_room_that_one_may_not_read_is_refused_and_leaving_ends_the_reading(tmp_path: Path) -> None:
    room = Chained(1)

    def script(peer: Peer) -> None:
        peer.answer(type="error", code="not-member", message="Join lobby first.")
        subscribe(peer, room, 1)
        peer.send({"type": "leave", "room": "lobby", "seq": 2, "sender": "alice", "time": 0})
        peer.leave()

    with following(tmp_path, script) as client:
        with pytest.raises(Refused):
            next(client.messages("lobby"))
        assert list(client.messages("lobby")) == []


def test_closing_ends_the_reading(tmp_path: Path) -> None:
    room = Chained(1)
    reading = threading.Event()

    def script(peer: Peer) -> None:
        subscribe(peer, room, 1)
        reading.set()
        peer.leave()

    heard: list[Message] = []
    with following(tmp_path, script) as client:
        reader = threading.Thread(target=lambda: heard.extend(client.messages("lobby")))
        reader.start()
        assert reading.wait(DEADLINE)
        client.close()
        reader.join(DEADLINE)
        assert not reader.is_alive()
    assert heard == []


def test_the_reads_have_names_of_their_own(tmp_path: Path) -> None:
    room = Chained(3)

    def script(peer: Peer) -> None:
        page(peer, room, 3)
        history = peer.expect("history")
        peer.send({**room.page(1), "base": room.hashes[0], "ref": history["ref"]})
        found = {"type": "found", "hits": [{"room": "lobby", "record": message(2, "tea?")}], "more": False}
        asked.append(peer.answer(**found))
        peer.answer(type="rooms", rooms=[room.state(3)])
        peer.leave()

    asked: list[dict[str, Any]] = []
    with following(tmp_path, script) as client:
        assert [record.seq for record in client.history("lobby", after=0).records] == [1, 2, 3]
        with pytest.raises(ChainBroken):
            client.history("lobby", after=1)
        assert [hit.record.seq for hit in client.search("tea", sender="bob", room="lobby").hits] == [2]
        assert [state.head for state in client.rooms()] == [3]
    assert {"text": "tea", "from": "bob", "room": "lobby"}.items() <= asked[0].items()
