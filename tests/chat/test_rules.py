"""The rules: what comes of a proposal by whoever may make it, and what a room is after its records."""

from typing import cast

import pytest

from securechat.chat import chain, rules
from securechat.chat.model import Kind, Proposal, Record, Recorded, Rejected, Room, Unchanged
from securechat.chat.names import ID_RULE, LOBBY, ROOM_RULE
from securechat.chat.standing import KINDS, Standing, standing
from securechat.errors import Code
from tests.chat.past import Past

KITCHEN = Room("kitchen", owner="olga", members=frozenset({"olga", "mia", "ada"}), head=7, time=500)
DIRECT = Room("@mia:olga", private=True, members=frozenset({"mia", "olga"}), head=1, time=500)


def test_a_record_follows_the_head_of_its_room_and_carries_what_was_proposed() -> None:
    outcome = Past(KITCHEN).ask(Proposal("say", "mia", "kitchen", id="a1", text="tea?"), now=1_234)
    assert outcome == Recorded(Record("kitchen", 8, "say", "mia", "a1", 1_234, "tea?"))


def test_whoever_creates_a_room_owns_it_and_is_in_it() -> None:
    past = Past()
    assert past.ask(Proposal("create", "mia", "cellar"), now=9) == Recorded(
        Record("cellar", 1, "create", "mia", "", time=9)
    )
    room = past.rooms["cellar"]
    assert (room.owner, room.members, room.private, room.head, room.time) == ("mia", frozenset({"mia"}), False, 1, 9)


def test_members_come_and_go_and_the_owner_stays_the_owner() -> None:
    past = Past(KITCHEN)
    past.ask(Proposal("join", "sam", "kitchen"))
    past.ask(Proposal("leave", "olga", "kitchen"))
    room = past.rooms["kitchen"]
    assert room.members == {"mia", "ada", "sam"}
    assert (room.owner, room.head) == ("olga", 9)
    assert standing(room, Proposal("say", "olga", "kitchen")) is Standing.STRANGER


def test_saying_something_changes_nobodys_membership() -> None:
    past = Past(KITCHEN)
    past.ask(Proposal("say", "mia", "kitchen", id="1", text="tea?"))
    assert past.rooms["kitchen"].members is KITCHEN.members


def test_the_first_message_makes_a_direct_room_with_both_in_it_and_hides_it() -> None:
    past = Past()
    outcome = past.ask(Proposal("say", "zoe", "@mia:zoe", id="1", text="hi"), now=5)
    assert outcome == Recorded(Record("@mia:zoe", 1, "say", "zoe", "1", 5, "hi"))
    room = past.rooms["@mia:zoe"]
    assert (room.owner, room.members, room.private, room.head, room.time) == ("", frozenset({"mia", "zoe"}), True, 1, 5)
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
        return Record(room, seq, kind, "mia", "", 0, target="noa")

    assert rules.gained(record("create", seq=1)) == {"mia"}
    assert rules.gained(record("join")) == {"mia"}
    assert rules.gained(record("say", "@mia:zoe", 1)) == {"mia", "zoe"}
    assert rules.gained(record("say", "@mia:zoe", 2)) == frozenset()
    assert rules.gained(record("invite")) == {"noa"}
    assert rules.lost(record("leave")) == {"mia"}
    assert rules.lost(record("kick")) == {"noa"}
    for kind in KINDS:
        assert rules.gained(record(kind)) == frozenset() or kind in ("create", "join", "invite")
        assert rules.lost(record(kind)) == frozenset() or kind in ("leave", "kick")


def test_a_repeat_gets_the_first_answer() -> None:
    past = Past(KITCHEN)
    proposal = Proposal("say", "mia", "kitchen", id="a1", text="tea?")
    past.ask(proposal, now=1_000)
    assert past.ask(proposal, now=2_000) == Recorded(past.records[0], duplicate=True)


def test_a_repeat_gets_the_first_answer_even_after_leaving() -> None:
    past = Past(KITCHEN)
    proposal = Proposal("say", "mia", "kitchen", id="a1", text="tea?")
    past.ask(proposal)
    past.ask(Proposal("leave", "mia", "kitchen"))
    assert past.ask(proposal) == Recorded(past.records[0], duplicate=True)


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
        Proposal("say", "mia", "kitchen", id="a1", text="tea?", about=8),
        Proposal("say", "mia", "kitchen", id="a1", text="tea?", target="olga"),
    ],
    ids=["text", "room", "kind", "about", "target"],
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


def test_only_what_is_said_needs_an_id() -> None:
    past = Past(KITCHEN)
    assert isinstance(past.ask(Proposal("edit", "mia", "kitchen", about=1, text="tea")), Rejected)
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
        past.ask(Proposal("archive", "mia", "@mia:zoe")),
        Past(KITCHEN).ask(Proposal("kick", "mia", "kitchen", target="olga")),
    ]
    assert [cast(Rejected, outcome).message for outcome in said] == [
        "Join lobby first.",
        "You are not in lobby.",
        "There is a room lobby already.",
        "There is no room attic.",
        "A direct room is made by its first message, and has the same two members for ever.",
        "A direct room has no topic and no owner.",
        "Only the owner of kitchen or an admin may do that.",
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


def said(past: Past, author: str = "mia", text: str = "tea?") -> int:
    return past.seq(Proposal("say", author, "kitchen", id=f"s{len(past.records)}", text=text))


def edit(author: str, about: int, text: str = "toast?", id: str = "e1", admin: bool = False) -> Proposal:
    return Proposal("edit", author, "kitchen", id=id, text=text, about=about, admin=admin)


def delete(author: str, about: int, id: str = "", admin: bool = False) -> Proposal:
    return Proposal("delete", author, "kitchen", id=id, about=about, admin=admin)


def code(outcome: object) -> Code:
    assert isinstance(outcome, Rejected), outcome
    return outcome.code


def test_a_private_room_is_private_by_its_first_record() -> None:
    past = Past()
    proposal = Proposal("create", "mia", "vault", id="1", private=True)
    outcome = past.ask(proposal)
    assert isinstance(outcome, Recorded)
    assert outcome.record.target == rules.PRIVATE
    assert past.rooms["vault"].private
    assert past.ask(proposal) == Recorded(past.records[0], duplicate=True)
    assert code(past.ask(Proposal("create", "mia", "vault", id="1"))) is Code.ID_REUSED


def test_a_kick_of_somebody_called_private_makes_no_room_private() -> None:
    past = Past(KITCHEN)
    past.ask(Proposal("invite", "mia", "kitchen", target="private"))
    past.ask(Proposal("kick", "olga", "kitchen", target="private"))
    assert not past.rooms["kitchen"].private


def test_whoever_is_invited_is_in_at_once_and_whoever_is_kicked_is_out() -> None:
    past = Past(KITCHEN)
    outcome = past.ask(Proposal("invite", "mia", "kitchen", target="noa"), now=9)
    assert outcome == Recorded(Record("kitchen", 8, "invite", "mia", "", 500, target="noa"))
    assert past.rooms["kitchen"].members == {"olga", "mia", "ada", "noa"}
    past.ask(Proposal("kick", "olga", "kitchen", target="mia"))
    assert past.rooms["kitchen"].members == {"olga", "ada", "noa"}


def test_inviting_who_is_in_and_kicking_who_is_not_changes_nothing() -> None:
    past = Past(KITCHEN)
    assert past.ask(Proposal("invite", "olga", "kitchen", target="mia")) == Unchanged("kitchen")
    assert past.ask(Proposal("kick", "olga", "kitchen", target="sam")) == Unchanged("kitchen")


@pytest.mark.parametrize("kind", ["invite", "kick"])
@pytest.mark.parametrize("target", ["", "Mia", "@mia", "a b", "noa\n"])
def test_nobody_whom_no_account_can_be_called_is_invited_or_kicked(kind: Kind, target: str) -> None:
    assert code(Past(KITCHEN).ask(Proposal(kind, "olga", "kitchen", target=target))) is Code.BAD_NAME


def test_a_topic_replaces_the_one_before_and_may_be_empty() -> None:
    past = Past(KITCHEN)
    for text in ("tea", "", "toast"):
        assert isinstance(past.ask(Proposal("topic", "mia", "kitchen", text=text)), Recorded | Unchanged)
        assert past.rooms["kitchen"].topic == text
    assert past.ask(Proposal("topic", "mia", "kitchen", text="toast")) == Unchanged("kitchen")
    said(past)
    assert past.rooms["kitchen"].topic == "toast"


@pytest.mark.parametrize("text", ["two\nlines", "x" * 513, "\x1b[31m"])
def test_a_topic_with_a_flaw_is_refused(text: str) -> None:
    past = Past(KITCHEN)
    assert code(past.ask(Proposal("topic", "mia", "kitchen", text=text))) is Code.BAD_TEXT
    assert isinstance(past.ask(Proposal("topic", "mia", "kitchen", text="x" * 512)), Recorded)


def test_an_archived_room_stays_so_and_says_why_nothing_is_said_in_it() -> None:
    past = Past(KITCHEN)
    past.ask(Proposal("archive", "olga", "kitchen"))
    assert past.ask(Proposal("say", "mia", "kitchen", id="1", text="tea?")) == Rejected(
        Code.FORBIDDEN, "kitchen is archived: one can read, join and leave it."
    )
    past.ask(Proposal("leave", "mia", "kitchen"))
    assert past.rooms["kitchen"].archived
    assert past.ask(Proposal("archive", "olga", "kitchen")) == Unchanged("kitchen")


def test_a_reply_names_a_message_of_the_room() -> None:
    past = Past(KITCHEN)
    first = said(past)
    outcome = past.ask(Proposal("say", "olga", "kitchen", id="r", text="yes", about=first))
    assert isinstance(outcome, Recorded)
    assert outcome.record.about == first
    joined = past.seq(Proposal("join", "sam", "kitchen"))
    for about in (joined, 1_000, -1):
        assert past.ask(Proposal("say", "olga", "kitchen", id="r2", text="yes", about=about)) == Rejected(
            Code.NO_SUCH_RECORD, f"There is no message {about} in kitchen."
        )


def test_a_deleted_message_can_be_replied_to() -> None:
    past = Past(KITCHEN)
    first = said(past)
    past.ask(delete("mia", first))
    assert isinstance(past.ask(Proposal("say", "olga", "kitchen", id="r", text="oh", about=first)), Recorded)


def test_a_missing_message_is_told_by_the_name_that_the_author_knows_the_room_by() -> None:
    past = Past(DIRECT)
    outcome = past.ask(Proposal("delete", "mia", "@mia:olga", about=5))
    assert outcome == Rejected(Code.NO_SUCH_RECORD, "There is no message 5 in @olga.")


def test_an_edit_is_a_record_of_its_own_and_an_edit_of_an_edit_is_one_of_the_message() -> None:
    past = Past(KITCHEN)
    first = said(past)
    second = past.seq(edit("mia", first))
    assert (second, past.records[0].text) == (first + 1, "tea?")
    again = edit("mia", second, "jam?", id="e2")
    third = past.seq(again)
    record = past.record("kitchen", third)
    assert record is not None
    assert (record.kind, record.about, record.text) == ("edit", first, "jam?")
    assert past.ask(again) == Recorded(record, duplicate=True)


def test_only_what_was_said_is_edited_or_deleted() -> None:
    past = Past(KITCHEN)
    past.ask(Proposal("join", "sam", "kitchen"))
    for about in (8, 0, -1, 99):
        assert code(past.ask(edit("sam", about))) is Code.NO_SUCH_RECORD
        assert code(past.ask(delete("olga", about))) is Code.NO_SUCH_RECORD


def test_nobody_edits_for_another_and_only_the_owner_or_an_admin_deletes_for_another() -> None:
    past = Past(KITCHEN)
    first, second = said(past), said(past)
    assert past.ask(edit("olga", first, admin=True)) == Rejected(Code.FORBIDDEN, f"Message {first} is somebody else's.")
    assert code(past.ask(delete("ada", first))) is Code.FORBIDDEN
    assert isinstance(past.ask(delete("olga", first)), Recorded)
    assert isinstance(past.ask(delete("adam", second, admin=True)), Recorded)


def test_the_text_of_an_edit_is_held_to_the_rules_of_a_message() -> None:
    past = Past(KITCHEN, text_bytes=4)
    first = said(past)
    assert code(past.ask(edit("mia", first, "coffee"))) is Code.BAD_TEXT
    assert code(past.ask(edit("mia", first, ""))) is Code.BAD_TEXT


def test_a_deleted_message_is_deleted_once_and_no_longer_edited() -> None:
    past = Past(KITCHEN)
    first = said(past)
    changed = past.seq(edit("mia", first))
    assert isinstance(past.ask(delete("mia", changed)), Recorded)
    assert past.records[-1].about == first
    assert past.ask(delete("mia", first)) == Unchanged("kitchen")
    assert past.ask(delete("olga", changed)) == Unchanged("kitchen")
    assert past.ask(edit("mia", first, id="e2")) == Rejected(Code.NO_SUCH_RECORD, f"Message {first} was deleted.")


def test_a_deleted_message_that_is_sent_again_gets_its_first_number_whatever_its_text() -> None:
    past = Past(KITCHEN)
    proposal = Proposal("say", "mia", "kitchen", id="a1", text="tea?")
    first = past.seq(proposal)
    past.ask(delete("mia", first))
    for text in ("tea?", "something else"):
        outcome = past.ask(Proposal("say", "mia", "kitchen", id="a1", text=text))
        assert isinstance(outcome, Recorded)
        assert (outcome.duplicate, outcome.record.seq) == (True, first)
    assert code(past.ask(Proposal("leave", "mia", "kitchen", id="a1"))) is Code.ID_REUSED


def test_an_erased_record_keeps_its_place_in_the_chain() -> None:
    past = Past(KITCHEN)
    said(past)
    record = past.records[0]
    erased = rules.erase(record)
    assert (erased.text, erased.salt, erased.seq, erased.hash) == ("", b"", record.seq, record.hash)
    assert chain.link_record(KITCHEN.hash, erased) == chain.link_record(KITCHEN.hash, record) == record.hash


def test_a_room_carries_the_hash_of_its_newest_record_and_begins_with_its_name() -> None:
    past = Past()
    past.ask(Proposal("create", "mia", "attic"))
    room = past.rooms["attic"]
    assert room.base_hash == chain.start("attic")
    assert room.hash == past.records[0].hash == chain.link_record(room.base_hash, past.records[0])


def test_the_salt_of_a_text_is_the_one_that_was_proposed() -> None:
    outcome = Past(KITCHEN).ask(Proposal("say", "mia", "kitchen", id="1", text="tea?", salt=b"s" * 16))
    assert isinstance(outcome, Recorded)
    assert outcome.record.salt == b"s" * 16
