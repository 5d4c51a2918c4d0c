"""Bans and mutes: from when until when they hold, and what they keep an account from."""

from msgspec.structs import replace

from securechat.chat.model import Changed, Impose, Lift, Proposal, Recorded, Rejected, Room, Unchanged
from securechat.chat.names import LOBBY
from securechat.chat.sanctions import decide_sanction, imposed, in_force, refusal
from securechat.errors import Code
from tests.chat.past import Past

HOUR = 3_600_000
MUTE = Impose("mia", "mute", HOUR, "@operator")


def sanctioned(change: Impose, now: int = 0) -> Past:
    past = Past(Room(LOBBY, members=frozenset({"mia"})))
    made = imposed(change, now)
    assert made is not None
    past.sanctions = {(change.account, change.kind): made}
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
    assert refusal(past, "mia", "ban", 1) is None
    assert refusal(past, "sam", "mute", 1) is None
    assert in_force(past, "mia", "mute", 1) is not None


def test_it_is_imposed_anew_and_lifted_once() -> None:
    past = sanctioned(MUTE)
    assert decide_sanction(past, MUTE, 5) == Changed(MUTE)
    assert decide_sanction(past, Lift("mia", "mute"), 5) == Changed(Lift("mia", "mute"))
    assert decide_sanction(past, Lift("mia", "mute"), HOUR) == Unchanged("")
    for_good = replace(MUTE, lifetime=0)
    assert decide_sanction(past, for_good, 5) == Changed(for_good)
    assert decide_sanction(sanctioned(for_good), for_good, 5) == Unchanged("")
    assert imposed(Lift("mia", "mute"), 5) is None
