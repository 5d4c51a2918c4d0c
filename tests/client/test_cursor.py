"""A reader's place in a room: what comes next, what came before, and whether the chain goes on from what was read."""

from typing import Any

import msgspec
import pytest

from securechat.chat import chain
from securechat.chat.model import Record
from securechat.client.cursor import Cursor, Step, check_page
from securechat.errors import ChainBroken
from securechat.protocols.frames import AnyRecord, Message, Page, TopicRecord
from tests.client.chained import SALT, Chained, encoded


def record(frame: dict[str, Any], **changes: Any) -> AnyRecord:
    return msgspec.convert({**frame, **changes}, Message)


def read(cursor: Cursor, frames: list[dict[str, Any]]) -> None:
    for frame in frames:
        assert cursor.take(record(frame)) is Step.NEXT


def test_a_record_is_the_next_a_repeat_or_behind_a_gap() -> None:
    room = Chained(5)
    cursor = Cursor("lobby", "alice", 2)
    assert cursor.take(record(room.records[1])) is Step.REPEAT
    assert cursor.take(record(room.records[3])) is Step.GAP
    assert cursor.take(record(room.records[2])) is Step.NEXT
    assert cursor.seq == 3


@pytest.mark.parametrize(("room", "key"), [("lobby", "lobby"), ("@bob", "@alice:bob")])
def test_a_chain_that_goes_on_is_followed_from_the_start_or_from_a_named_hash(room: str, key: str) -> None:
    chained = Chained(6, room=room, key=key)
    for first in (0, 3):
        cursor = Cursor(room, "alice", first, chained.hashes[first])
        cursor.head(6, chained.hashes[6])
        read(cursor, chained.records[first:])
        cursor.name(6, chained.hashes[6])
        assert cursor.seq == 6
        with pytest.raises(ChainBroken):
            cursor.name(6, chained.hashes[5])


@pytest.mark.parametrize(
    "change",
    [
        {"text": "lime 2"},
        {"sender": "eve"},
        {"time": 1},
        {"id": "other"},
        {"reply_to": 1},
        {"salt": encoded(b"x" * 16)},
    ],
)
def test_a_changed_record_breaks_the_chain_at_the_next_named_hash(change: dict[str, Any]) -> None:
    room = Chained(3)
    cursor = Cursor("lobby", "alice", 0)
    cursor.head(3, room.hashes[3])
    read(cursor, room.records[:1])
    assert cursor.take(record(room.records[1], **change)) is Step.NEXT
    with pytest.raises(ChainBroken) as broken:
        cursor.take(record(room.records[2]))
    assert (broken.value.room, broken.value.seq, broken.value.exit_code) == ("lobby", 3, 8)


def test_a_head_that_was_named_before_it_is_read_is_compared_when_it_is() -> None:
    room = Chained(4)
    cursor = Cursor("lobby", "alice", 2, room.hashes[2])
    cursor.name(4, room.hashes[3])
    read(cursor, room.records[2:3])
    with pytest.raises(ChainBroken):
        cursor.take(record(room.records[3]))


def test_a_head_below_what_was_read_says_that_records_are_gone() -> None:
    cursor = Cursor("lobby", "alice", 43)
    with pytest.raises(ChainBroken, match="43"):
        cursor.head(42, "")


def test_an_erased_text_is_no_break_and_another_commitment_is() -> None:
    room = Chained(2)
    for commitment, is_right in ((chain.commitment(SALT, "line 1"), True), (b"x" * 32, False)):
        cursor = Cursor("lobby", "alice", 0, room.hashes[0])
        assert cursor.take(record(room.records[0], text="", salt="", erased=encoded(commitment))) is Step.NEXT
        if is_right:
            cursor.name(1, room.hashes[1])
        else:
            with pytest.raises(ChainBroken):
                cursor.name(1, room.hashes[1])


@pytest.mark.parametrize(
    "change",
    [
        {"salt": ""},
        {"salt": encoded(b"x" * 15)},
        {"salt": "no base64!"},
        {"erased": encoded(b"x" * 31)},
        {"erased": encoded(b"x" * 32)},
    ],
)
def test_a_record_that_hides_what_its_link_is_made_of_breaks_the_chain(change: dict[str, Any]) -> None:
    room = Chained(1)
    cursor = Cursor("lobby", "alice", 0, room.hashes[0])
    with pytest.raises(ChainBroken):
        cursor.take(record(room.records[0], **change))


def test_an_emptied_topic_has_no_salt_and_is_no_break() -> None:
    cursor = Cursor("lobby", "alice", 0, encoded(chain.start("lobby")))
    emptied = Record("lobby", 1, "topic", "bob", "id-1", 60_000)
    assert cursor.take(TopicRecord(room="lobby", seq=1, sender="bob", time=60_000, id="id-1", text="")) is Step.NEXT
    cursor.name(1, encoded(chain.link_record(chain.start("lobby"), emptied)))
    with pytest.raises(ChainBroken):
        cursor.take(TopicRecord(room="lobby", seq=2, sender="bob", time=60_000, text="", salt=encoded(b"x" * 16)))


def test_a_named_hash_that_is_none_breaks_the_chain() -> None:
    for nonsense in ("AAAA", "?" * 43, "é"):
        with pytest.raises(ChainBroken):
            Cursor("lobby", "alice", 5).name(5, nonsense)


def test_without_hashes_the_numbers_alone_are_checked() -> None:
    cursor = Cursor("lobby", "alice", 0)
    assert cursor.take(Message(room="lobby", seq=1, sender="bob", time=0, text="no salt")) is Step.NEXT


def test_behind_what_was_skipped_the_chain_begins_anew() -> None:
    room = Chained(6)
    cursor = Cursor("lobby", "alice", 1, room.hashes[1])
    cursor.skip_to(3, room.hashes[3])
    read(cursor, room.records[3:])
    cursor.name(6, room.hashes[6])
    with pytest.raises(ChainBroken):
        cursor.name(6, room.hashes[5])


def test_a_page_is_checked_within_itself() -> None:
    room = Chained(6)
    page = msgspec.convert(room.page(2), Page)
    check_page(page, "lobby", "alice")
    with pytest.raises(ChainBroken):
        check_page(msgspec.structs.replace(page, hash=room.hashes[1]), "lobby", "alice")
    # A record of a later server's kind was left out by the protocol: nothing can be said of the rest.
    holed = (*page.records[:1], *page.records[2:])
    check_page(msgspec.structs.replace(page, records=holed), "lobby", "alice")
