"""The rules: each cell of the table of who may do what, and what comes of a proposal besides."""

from typing import cast, get_args

import pytest

from securechat.chat import rules
from securechat.chat.model import Kind, Proposal, Record, Recorded, Rejected, Room, Unchanged
from securechat.chat.names import ID_RULE, LOBBY, ROOM_RULE
from securechat.chat.rules import Standing
from securechat.errors import Code
from tests.chat.past import Past

KINDS: tuple[Kind, ...] = get_args(Kind)

EXPECTED: dict[tuple[Standing, Kind], str] = {
    (Standing.NOWHERE, "create"): "recorded",
    (Standing.NOWHERE, "join"): "no-such-room",
    (Standing.NOWHERE, "leave"): "no-such-room",
    (Standing.NOWHERE, "say"): "no-such-room",
    (Standing.STRANGER, "create"): "room-exists",
    (Standing.STRANGER, "join"): "recorded",
    (Standing.STRANGER, "leave"): "not-member",
    (Standing.STRANGER, "say"): "not-member",
    (Standing.ADMIN, "create"): "room-exists",
    (Standing.ADMIN, "join"): "recorded",
    (Standing.ADMIN, "leave"): "not-member",
    (Standing.ADMIN, "say"): "not-member",
    (Standing.MEMBER, "create"): "room-exists",
    (Standing.MEMBER, "join"): "unchanged",
    (Standing.MEMBER, "leave"): "recorded",
    (Standing.MEMBER, "say"): "recorded",
    (Standing.OWNER, "create"): "room-exists",
    (Standing.OWNER, "join"): "unchanged",
    (Standing.OWNER, "leave"): "recorded",
    (Standing.OWNER, "say"): "recorded",
    (Standing.PARTY, "create"): "forbidden",
    (Standing.PARTY, "join"): "forbidden",
    (Standing.PARTY, "leave"): "forbidden",
    (Standing.PARTY, "say"): "recorded",
    (Standing.THIRD, "create"): "no-such-room",
    (Standing.THIRD, "join"): "no-such-room",
    (Standing.THIRD, "leave"): "no-such-room",
    (Standing.THIRD, "say"): "no-such-room",
}

KITCHEN = Room("kitchen", owner="olga", members=frozenset({"olga", "mia", "ada"}), head=7, time=500)
DIRECT = Room("@mia:olga", members=frozenset({"mia", "olga"}), head=1, time=500)

# Who asks about which room, for each standing; all who are in it are in the same state.
PEOPLE: dict[Standing, list[tuple[str, bool, str]]] = {
    Standing.NOWHERE: [("mia", False, "cellar"), ("ada", True, "cellar")],
    Standing.STRANGER: [("sam", False, "kitchen")],
    Standing.ADMIN: [("adam", True, "kitchen")],
    Standing.MEMBER: [("mia", False, "kitchen")],
    Standing.OWNER: [("olga", False, "kitchen"), ("ada", True, "kitchen"), ("olga", True, "kitchen")],
    Standing.PARTY: [("mia", False, "@mia:olga"), ("olga", True, "@mia:olga"), ("mia", False, "@mia:zoe")],
    Standing.THIRD: [("sam", False, "@mia:olga"), ("adam", True, "@mia:olga"), ("sam", False, "@mia:zoe")],
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("standing", Standing)
def test_each_cell_of_the_table_is_what_the_author_gets(standing: Standing, kind: Kind) -> None:
    for author, admin, room in PEOPLE[standing]:
        past = Past(KITCHEN, DIRECT)
        text = "hello" if kind == "say" else ""
        proposal = Proposal(kind, author, room, id="1", text=text, admin=admin)
        assert rules.standing(past.room(room), proposal) is standing
        outcome = past.ask(proposal)
        if isinstance(outcome, Rejected):
            assert outcome.code == EXPECTED[standing, kind]
        else:
            assert type(outcome).__name__.lower() == EXPECTED[standing, kind]


def test_the_table_has_every_cell_once() -> None:
    assert set(EXPECTED) == {(standing, kind) for standing in rules.MAY for kind in rules.MAY[standing]}
    assert set(rules.MAY) == set(Standing)


def test_a_record_follows_the_head_of_its_room_and_carries_what_was_proposed() -> None:
    outcome = Past(KITCHEN).ask(Proposal("say", "mia", "kitchen", id="a1", text="tea?"), now=1_234)
    assert outcome == Recorded(Record("kitchen", 8, "say", "mia", "a1", 1_234, "tea?"))


def test_whoever_creates_a_room_owns_it_and_is_in_it() -> None:
    past = Past()
    assert past.ask(Proposal("create", "mia", "cellar"), now=9) == Recorded(
        Record("cellar", 1, "create", "mia", "", time=9)
    )
    assert past.rooms["cellar"] == Room("cellar", owner="mia", members=frozenset({"mia"}), head=1, time=9)


def test_members_come_and_go_and_the_owner_stays_the_owner() -> None:
    past = Past(KITCHEN)
    past.ask(Proposal("join", "sam", "kitchen"))
    past.ask(Proposal("leave", "olga", "kitchen"))
    room = past.rooms["kitchen"]
    assert room.members == {"mia", "ada", "sam"}
    assert (room.owner, room.head) == ("olga", 9)
    assert rules.standing(room, Proposal("say", "olga", "kitchen")) is Standing.STRANGER


def test_saying_something_changes_nobodys_membership() -> None:
    past = Past(KITCHEN)
    past.ask(Proposal("say", "mia", "kitchen", id="1", text="tea?"))
    assert past.rooms["kitchen"].members is KITCHEN.members


def test_the_first_message_makes_a_direct_room_with_both_in_it_and_hides_it() -> None:
    past = Past()
    outcome = past.ask(Proposal("say", "zoe", "@mia:zoe", id="1", text="hi"), now=5)
    assert outcome == Recorded(Record("@mia:zoe", 1, "say", "zoe", "1", 5, "hi"))
    assert past.rooms["@mia:zoe"] == Room("@mia:zoe", private=True, members=frozenset({"mia", "zoe"}), head=1, time=5)
    assert past.ask(Proposal("say", "mia", "@mia:zoe", id="1", text="hello"), now=6) == Recorded(
        Record("@mia:zoe", 2, "say", "mia", "1", 6, "hello")
    )


def test_one_can_write_to_oneself() -> None:
    past = Past()
    past.ask(Proposal("say", "mia", "@mia:mia", id="1", text="buy tea"))
    assert past.rooms["@mia:mia"].members == {"mia"}


def test_a_message_that_cannot_be_said_makes_no_direct_room() -> None:
    past = Past()
    assert isinstance(past.ask(Proposal("say", "zoe", "@mia:zoe", id="1", text="")), Rejected)
    assert not past.rooms


def test_gained_and_lost_name_those_whose_membership_a_record_began_or_ended() -> None:
    def record(kind: Kind, room: str = "kitchen", seq: int = 5) -> Record:
        return Record(room, seq, kind, "mia", "", 0)

    assert rules.gained(record("create", seq=1)) == {"mia"}
    assert rules.gained(record("join")) == {"mia"}
    assert rules.gained(record("say", "@mia:zoe", 1)) == {"mia", "zoe"}
    assert rules.gained(record("say", "@mia:zoe", 2)) == frozenset()
    assert rules.gained(record("leave")) == frozenset()
    assert rules.lost(record("leave")) == {"mia"}
    assert rules.lost(record("join")) == frozenset()


def test_a_repeat_gets_the_first_answer() -> None:
    past = Past(KITCHEN)
    proposal = Proposal("say", "mia", "kitchen", id="a1", text="tea?")
    first = past.ask(proposal, now=1_000)
    assert isinstance(first, Recorded)
    assert past.ask(proposal, now=2_000) == Recorded(first.record, duplicate=True)


def test_a_repeat_gets_the_first_answer_even_after_leaving() -> None:
    past = Past(KITCHEN)
    proposal = Proposal("say", "mia", "kitchen", id="a1", text="tea?")
    first = past.ask(proposal)
    assert isinstance(first, Recorded)
    past.ask(Proposal("leave", "mia", "kitchen"))
    assert past.ask(proposal) == Recorded(first.record, duplicate=True)


def test_any_kind_with_an_id_can_be_repeated() -> None:
    past = Past()
    proposal = Proposal("create", "mia", "cellar", id="a1")
    past.ask(proposal)
    outcome = past.ask(proposal)
    assert isinstance(outcome, Recorded)
    assert outcome.duplicate


@pytest.mark.parametrize(
    "other",
    [
        Proposal("say", "mia", "kitchen", id="a1", text="coffee?"),
        Proposal("say", "mia", "cellar", id="a1", text="tea?"),
        Proposal("leave", "mia", "kitchen", id="a1"),
    ],
    ids=["text", "room", "kind"],
)
def test_an_id_used_again_for_something_else_is_refused(other: Proposal) -> None:
    past = Past(KITCHEN)
    past.ask(Proposal("say", "mia", "kitchen", id="a1", text="tea?"))
    assert past.ask(other) == Rejected(Code.ID_REUSED, "The id a1 is taken by something else that you sent.")


def test_the_same_id_of_two_authors_is_two_messages() -> None:
    past = Past(KITCHEN)
    for author in ("mia", "olga"):
        outcome = past.ask(Proposal("say", author, "kitchen", id="a1", text="tea?"))
        assert isinstance(outcome, Recorded)
        assert not outcome.duplicate


def test_times_never_go_backwards_in_a_room() -> None:
    past = Past(KITCHEN)
    times = []
    for number, now in enumerate((900, 100, 901)):
        outcome = past.ask(Proposal("say", "mia", "kitchen", id=str(number), text="tea?"), now=now)
        assert isinstance(outcome, Recorded)
        times.append(outcome.record.time)
    assert times == [900, 900, 901]


@pytest.mark.parametrize("id", ["", "two words", "x" * 65, "né", "a\n"])
def test_a_bad_id_is_refused(id: str) -> None:
    outcome = Past(KITCHEN).ask(Proposal("say", "mia", "kitchen", id=id, text="tea?"))
    assert outcome == Rejected(Code.BAD_ID, f"An id has {ID_RULE}.")


def test_only_a_message_needs_an_id() -> None:
    past = Past(KITCHEN)
    assert isinstance(past.ask(Proposal("join", "sam", "kitchen", id="not this")), Rejected)
    assert isinstance(past.ask(Proposal("join", "sam", "kitchen")), Recorded)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["", "Kitchen", "a\nb", "a\x1b[31m", "@", "@mia", "@zoe:mia", "@Mia:zoe", "@a:b:c"])
def test_a_bad_room_name_is_refused_and_not_repeated(kind: Kind, name: str) -> None:
    outcome = Past().ask(Proposal(kind, "mia", name, id="1", text="hi"))
    assert outcome == Rejected(Code.BAD_NAME, f"A room's name has {ROOM_RULE}.")


def test_a_text_with_a_flaw_is_refused_with_the_reason() -> None:
    past = Past(KITCHEN, text_bytes=3)
    outcome = past.ask(Proposal("say", "mia", "kitchen", id="1", text="four"))
    assert outcome == Rejected(Code.BAD_TEXT, "The text has 4 bytes; 3 are allowed.")
    assert isinstance(past.ask(Proposal("say", "mia", "kitchen", id="1", text="tea")), Recorded)


def test_a_refusal_says_what_to_do_in_plain_words() -> None:
    past = Past(Room(LOBBY))
    said = [
        past.ask(Proposal("say", "mia", LOBBY, id="1", text="hi")),
        past.ask(Proposal("leave", "mia", LOBBY)),
        past.ask(Proposal("create", "mia", LOBBY)),
        past.ask(Proposal("join", "mia", "attic")),
        past.ask(Proposal("join", "mia", "@mia:zoe")),
    ]
    assert [cast(Rejected, outcome).message for outcome in said] == [
        "Join lobby first.",
        "You are not in lobby.",
        "There is a room lobby already.",
        "There is no room attic.",
        "A direct room is made by its first message, and has the same two members for ever.",
    ]


def test_a_third_person_cannot_tell_whether_two_others_have_spoken() -> None:
    before, after = Past(), Past(DIRECT)
    for kind in KINDS:
        proposal = Proposal(kind, "sam", "@mia:olga", id="1", text="hi", admin=True)
        assert before.ask(proposal) == after.ask(proposal)


def test_deciding_changes_nothing() -> None:
    past = Past(KITCHEN)
    for kind in KINDS:
        rules.decide(past, Proposal(kind, "mia", "kitchen", id="1", text="hi"), 1)
    assert past.rooms == {"kitchen": KITCHEN}


def test_joining_twice_leaves_everything_as_it_is() -> None:
    assert Past(KITCHEN).ask(Proposal("join", "mia", "kitchen")) == Unchanged("kitchen")
