"""Bans and mutes: from when until when they hold, and what they keep an account from."""

from msgspec.structs import replace

from securechat.chat.model import Changed, Impose, Lift, Proposal, Recorded, Rejected, Room, Unchanged
from securechat.chat.names import LOBBY
from securechat.chat.sanctions import banned_from, decide_sanction, imposed, in_force, key, refusal
from securechat.errors import Code
from securechat.limits import BANS_PER_ROOM
from tests.chat.past import Past

HOUR = 3_600_000
MUTE = Impose("mia", "mute", HOUR, "@operator")


def sanctioned(change: Impose, now: int = 0) -> Past:
    past = Past(Room(LOBBY, members=frozenset({"mia"})))
    made = imposed(change, now)
    assert made is not None
    past.sanctions = {key(made): made}
    return past


def test_a_muted_account_reads_and_says_nothing_until_its_time_is_over() -> None:
    past = sanctioned(MUTE)
    refused = past.ask(Proposal("say", "mia", LOBBY, id="1", text="x"), now=HOUR - 1)
    assert refused == Rejected(Code.MUTED, "You are muted until 1970-01-01 01:00 UTC: you may read, and say nothing.")
    assert isinstance(past.ask(Proposal("leave", "mia", LOBBY), now=HOUR - 1), Recorded)
    past = sanctioned(MUTE)
    assert isinstance(past.ask(Proposal("say", "mia", LOBBY, id="1", text="x"), now=HOUR), Recorded)
    # What was said before is answered as before.
    past.sanctions = sanctioned(replace(MUTE, lifetime=0)).sanctions
    assert isinstance(past.ask(Proposal("say", "mia", LOBBY, id="1", text="x"), now=HOUR), Recorded)
    assert past.ask(Proposal("say", "mia", LOBBY, id="2", text="x")) == Rejected(
        Code.MUTED, "You are muted for good: you may read, and say nothing."
    )


def test_a_mute_is_no_ban_and_nobody_elses() -> None:
    past = sanctioned(MUTE)
    assert refusal(past.sanctions, "mia", "ban", 1) is None
    assert refusal(past.sanctions, "sam", "mute", 1) is None
    assert in_force(past.sanctions, "mia", "mute", 1) is not None


def test_it_is_imposed_anew_and_lifted_once() -> None:
    past = sanctioned(MUTE)
    assert decide_sanction(past, MUTE, 5) == Changed(MUTE)
    assert decide_sanction(past, Lift("mia", "mute"), 5) == Changed(Lift("mia", "mute"))
    assert decide_sanction(past, Lift("mia", "mute"), HOUR) == Unchanged("")
    for_good = replace(MUTE, lifetime=0)
    assert decide_sanction(past, for_good, 5) == Changed(for_good)
    assert decide_sanction(sanctioned(for_good), for_good, 5) == Unchanged("")
    assert imposed(Lift("mia", "mute"), 5) is None


ROOM = Room("ops", owner="olga", members=frozenset({"olga", "mia"}), head=3, time=500)
OUT = Impose("mia", "ban", HOUR, "olga", "ops")


def banned(*changes: Impose) -> Past:
    past = Past(ROOM, Room(LOBBY))
    past.sanctions = {key(one): one for change in changes if (one := imposed(change, 0))}
    return past


def test_who_is_banned_from_a_room_cannot_come_in_or_be_brought_in_until_its_time_is_over() -> None:
    no = Rejected(Code.BANNED, "mia is banned from ops until 1970-01-01 01:00 UTC.")
    past = banned(OUT)
    past.rooms["ops"] = replace(ROOM, members=frozenset({"olga"}))
    for coming in (
        Proposal("join", "mia", "ops"),
        Proposal("join", "mia", "ops", admin=True),
        Proposal("invite", "olga", "ops", target="mia"),
    ):
        assert past.ask(coming, now=HOUR - 1) == no
    assert isinstance(past.ask(Proposal("join", "mia", LOBBY)), Recorded), "it holds in that room"
    assert isinstance(past.ask(Proposal("invite", "olga", "ops", target="sam")), Recorded), "and for nobody else"
    assert refusal(past.sanctions, "mia", "ban", 1) is None, "and is no ban from the server"
    assert list(banned_from(past.sanctions, "ops", HOUR - 1)) == ["mia"]
    assert list(banned_from(past.sanctions, "ops", HOUR)) == []
    assert isinstance(past.ask(Proposal("join", "mia", "ops"), now=HOUR), Recorded)


def test_a_private_room_says_nothing_of_a_ban_to_who_is_not_invited() -> None:
    past = banned(OUT)
    past.rooms["ops"] = replace(ROOM, members=frozenset({"olga"}), private=True)
    assert past.ask(Proposal("join", "mia", "ops")) == Rejected(Code.NO_SUCH_ROOM, "There is no room ops.")


def test_nobody_is_banned_by_themselves_and_a_room_has_so_many_bans_and_no_more() -> None:
    assert decide_sanction(banned(), replace(OUT, account="olga"), 1) == Rejected(
        Code.FORBIDDEN, "Nobody is banned by themselves; leave the room."
    )
    full = banned(*(replace(OUT, account=f"n{number}") for number in range(BANS_PER_ROOM)))
    refused = decide_sanction(full, OUT, 1)
    assert isinstance(refused, Rejected)
    assert refused.code is Code.FORBIDDEN
    longer = replace(OUT, account="n1", lifetime=0)
    assert decide_sanction(full, longer, 1) == Changed(longer), "one that is there is imposed anew"
    assert decide_sanction(full, OUT, HOUR) == Changed(OUT), "those that are over do not count"
    assert decide_sanction(banned(), Lift("mia", "ban", "olga", "ops"), 1) == Unchanged("ops")
