"""What the screen is told, and what follows from it: unread and mention counts, the bell, drafts, own lines, rooms."""

import pytest

from securechat.client.hearing import Back, Lost
from securechat.client.screen.drafts import ENTERED, Draft
from securechat.client.screen.model import BACKGROUND, BELL_SECONDS, SCROLLBACK
from securechat.client.screen.rooms import SPEAKERS, Anchor, OwnLine, mentions
from securechat.client.screen.scrollback import Notice
from securechat.protocols.frames import Broadcast, KickRecord, LeaveRecord, ReadMarker
from tests.client.screen.records import NOON, message, model, state, welcome


@pytest.mark.parametrize(
    ("text", "is_meant"),
    [
        ("alice: hello", True),
        ("hello @alice!", True),
        ("ask Alice.", True),
        ("malice", False),
        ("alice2", False),
        ("alice-x", False),
        ("x.alice", False),
        ("alice.x", False),
    ],
)
def test_a_mention_is_the_name_as_a_word(text: str, is_meant: bool) -> None:
    assert mentions(text, "alice") is is_meant


def test_what_is_not_in_sight_is_counted_and_what_is_looked_at_is_read() -> None:
    screen = model(state("lobby"), state("ops"))
    ops = screen.rooms["ops"]
    for seq, text in enumerate(["one", "two", "alice?"], 1):
        screen.hear(message(seq, text, room="ops"), 0)
    screen.hear(message(4, "mine", room="ops", sender="alice"), 0)
    assert (ops.unread, ops.mentions, ops.new_after) == (3, 1, 0)
    assert screen.next_unread() is ops
    screen.go_to(ops)
    assert (screen.seen(), ops.read, ops.unread, ops.mentions) == (4, 4, 0, 0)
    assert screen.seen() == 0
    assert ops.new_after == 0, "the line stays while the room is in sight"
    screen.go_to(screen.rooms["lobby"])
    assert ops.new_after is None


def test_who_scrolled_up_or_is_away_has_not_read_what_comes() -> None:
    screen = model()
    lobby = screen.rooms["lobby"]
    screen.hear(message(1), 0)
    lobby.anchor = Anchor((1, 0), 0)
    screen.hear(message(2), 0)
    assert screen.seen() == 0
    lobby.anchor = None
    for screen.is_away, seen, unread in ((True, 0, 2), (False, 2, 0)):
        assert (screen.seen(), lobby.unread) == (seen, unread)


def test_another_device_that_has_read_a_room_takes_its_count_away() -> None:
    screen = model(state("lobby"), state("ops", head=5, read=3))
    ops = screen.rooms["ops"]
    assert (ops.unread, ops.is_exact) == (2, False)
    screen.hear(ReadMarker(room="ops", seq=5), 0)
    assert (ops.unread, ops.is_exact) == (0, True)
    screen.hear(ReadMarker(room="nowhere", seq=5), 0)


def test_what_was_unread_before_is_counted_when_it_is_known() -> None:
    screen = model(state("lobby"), state("ops", head=5, read=1))
    ops = screen.rooms["ops"]
    screen.hear(message(6, room="ops"), 0)
    past = [message(2, "hi alice", room="ops"), message(3, room="ops", sender="alice")]
    later = [message(4, room="ops", sender="eve"), message(5, room="ops"), message(6, room="ops")]
    ops.count_past([*past, *later], 5, "alice", frozenset({"eve"}), is_all=True)
    assert (ops.unread, ops.mentions, ops.is_exact) == (3, 1, True)
    ops.count_past([*past, *later], 5, "alice", frozenset(), is_all=True)
    assert ops.unread == 3


def test_what_the_operator_says_stands_in_the_room_in_sight() -> None:
    screen = model(state("lobby"))
    assert not screen.hear(Broadcast(text="noon\x1b"), 0)
    assert screen.current.scrollback.items == [Notice("The operator says: noon\\u{1B}")]


def test_the_bell_rings_for_what_is_meant_for_one_and_not_too_often() -> None:
    ignored: set[str] = set()
    screen = model(state("lobby"), state("ops"), ignored=ignored)
    assert not screen.hear(message(1, "nothing"), 0)
    assert not screen.hear(message(2, "alice", replay=True), 0)
    assert screen.hear(message(3, "alice"), 10)
    assert not screen.hear(message(4, "alice"), 10 + BELL_SECONDS - 0.1)
    assert screen.hear(message(1, "psst", room="@bob"), 10 + BELL_SECONDS)
    ignored.add("bob")
    assert not screen.hear(message(5, "alice"), 100)
    assert not screen.hear(message(6, "I am alice", sender="alice"), 100)


def test_an_own_line_is_pending_until_its_record_comes_or_it_fails() -> None:
    screen = model()
    lobby = screen.rooms["lobby"]
    lobby.anchor = Anchor((1, 0), 0)
    for id in ("a", "b"):
        screen.say(OwnLine(id, "lobby", id, at=1.0))
    assert not lobby.anchor, "whoever says something looks at the end again"
    screen.stored("a", 3, 1.5)
    assert [(line.state, line.seq) for line in screen.own] == [("stored", 3), ("pending", 0)]
    assert screen.lag == 0.5
    screen.hear(message(3, "a", sender="alice", id="a"), 0)
    screen.failed("b", "It is too long.")
    assert [(line.id, line.state, line.reason) for line in screen.own] == [("b", "failed", "It is too long.")]
    screen.say(OwnLine("c", "lobby", "c"))
    screen.hear(message(4, "c", sender="alice", id="c"), 0)
    screen.stored("c", 4, 2.0)
    assert [line.id for line in screen.own] == ["b"]


def test_a_line_that_waited_for_a_connection_says_nothing_of_the_lag() -> None:
    screen = model()
    screen.hear(Lost("It was cut."), 1)
    screen.say(OwnLine("a", "lobby", "a", at=2.0))
    screen.hear(Back(), 20)
    screen.stored("a", 3, 21)
    assert screen.lag is None
    screen.say(OwnLine("b", "lobby", "b", at=22))
    screen.stored("b", 4, 22.5)
    assert screen.lag == 0.5


def test_rooms_come_and_go() -> None:
    screen = model(state("lobby"), state("ops"))
    assert [room.name for room in screen.listed] == ["lobby", "ops"]
    screen.hear(message(1, room="@bob"), 0)
    screen.hear(message(1, room="kitchen"), 0)
    assert [room.name for room in screen.listed] == ["kitchen", "lobby", "ops", "@bob"]
    assert screen.neighbour(1).name == "ops"
    assert screen.neighbour(-2).name == "@bob"
    screen.hear(KickRecord(room="lobby", seq=1, sender="eve", time=NOON, target="alice"), 0)
    assert screen.current.name == "kitchen"
    screen.hear(LeaveRecord(room="kitchen", seq=2, sender="alice", time=NOON), 0)
    for event, is_connected in ((Lost("It was cut."), False), (Back(), True)):
        screen.hear(event, 0)
        assert screen.is_connected is is_connected
    screen.come_back(welcome(state("new", head=3)))
    assert [room.name for room in screen.listed] == ["new", "@bob"]
    screen.forget_room("new")
    screen.forget_room("@bob")
    assert screen.current is screen.nowhere
    assert screen.neighbour(1) is screen.nowhere


def test_a_flood_leaves_a_bounded_model() -> None:
    screen = model(state("lobby"), state("ops"))
    lobby, ops = screen.rooms["lobby"], screen.rooms["ops"]
    for seq in range(1, 2 * BACKGROUND):
        screen.hear(message(seq, room="ops", sender=f"u{seq}"), 0)
    assert len(ops.scrollback.items) == BACKGROUND
    assert ops.scrollback.has_older
    assert len(ops.speakers) == SPEAKERS
    for seq in range(1, SCROLLBACK + 10):
        screen.hear(message(seq, "x"), 0)
    assert len(lobby.scrollback.items) == SCROLLBACK
    screen.go_to(ops)
    assert len(lobby.scrollback.items) == BACKGROUND


def test_up_and_down_go_through_what_was_entered_and_back_to_what_was_typed() -> None:
    draft = Draft()
    assert draft.older("typed") is None
    assert draft.newer() is None
    for line in ("one", "two", "two", " "):
        draft.enter(line)
    assert [draft.older("typed"), draft.older("two"), draft.older("one")] == ["two", "one", None]
    assert [draft.newer(), draft.newer(), draft.newer()] == ["two", "typed", None]
    for number in range(2 * ENTERED):
        draft.enter(str(number))
    kept = 0
    while draft.older("") is not None:
        kept += 1
    assert kept == ENTERED
