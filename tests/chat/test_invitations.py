"""Invitations: issued, redeemed once, revoked, expired, forgotten."""

from collections.abc import Mapping

import pytest

from securechat.chat.invitations import changed, decide_invitation, is_open, refusal
from securechat.chat.model import Changed, Invitation, Issue, Redeem, Rejected, RevokeInvitation, Unchanged
from securechat.errors import Code
from securechat.limits import INVITATIONS

NOW = 1_000


class Remembered:
    """The invitations that there are; what is decided is done to them."""

    def __init__(self, invitations: Mapping[bytes, Invitation] | None = None) -> None:
        self.invitations: Mapping[bytes, Invitation] = invitations or {}

    def decide(self, change: Issue | Redeem | RevokeInvitation, now: int = NOW) -> object:
        outcome = decide_invitation(self, change, now)
        if isinstance(outcome, Changed):
            assert outcome.change == change
            after = {**self.invitations, **changed(self, change, now)}
            self.invitations = {key: one for key, one in after.items() if one is not None}
        return outcome

    def states(self) -> dict[bytes, str]:
        return {key: one.state for key, one in self.invitations.items()}


@pytest.fixture
def invited() -> Remembered:
    remembered = Remembered()
    remembered.decide(Issue("carol", b"one", 1_000, "admin", ("ops",)))
    return remembered


def code_of(outcome: object) -> tuple[Code, str]:
    assert isinstance(outcome, Rejected)
    return outcome.code, outcome.message


def test_an_invitation_says_who_what_where_and_until_when(invited: Remembered) -> None:
    assert invited.invitations == {b"one": Invitation("carol", "admin", ("ops",), NOW, 2_000)}
    assert invited.decide(Issue("carol", b"one", 9_000)) == Unchanged("")
    assert code_of(invited.decide(Issue("Carol", b"two", 1_000)))[0] is Code.BAD_NAME


def test_it_is_redeemed_once_and_by_nobody_else(invited: Remembered) -> None:
    assert code_of(invited.decide(Redeem("dave", b"one"))) == (
        Code.BAD_INVITATION,
        "There is no such invitation; ask for another.",
    )
    assert code_of(invited.decide(Redeem("carol", b"two")))[1].startswith("There is no such invitation")
    assert invited.decide(Redeem("carol", b"one")) == Changed(Redeem("carol", b"one"))
    assert code_of(invited.decide(Redeem("carol", b"one")))[1].startswith("This invitation was used already")


@pytest.mark.parametrize(("now", "is_late"), [(1_999, False), (2_000, True), (2_001, True)])
def test_it_expires(invited: Remembered, now: int, is_late: bool) -> None:
    assert is_open(invited.invitations[b"one"], now) is not is_late
    told = refusal(invited.invitations[b"one"], "carol", now)
    assert (told is not None and "has expired" in told.message) is is_late
    assert isinstance(invited.decide(Redeem("carol", b"one"), now), Rejected if is_late else Changed)


def test_it_can_be_revoked_until_it_is_used(invited: Remembered) -> None:
    assert invited.decide(RevokeInvitation("dave")) == Unchanged("")
    assert invited.decide(RevokeInvitation("carol")) == Changed(RevokeInvitation("carol"))
    assert invited.states() == {b"one": "revoked"}
    assert invited.decide(RevokeInvitation("carol")) == Unchanged("")
    assert "was revoked" in code_of(invited.decide(Redeem("carol", b"one")))[1]


def test_a_second_invitation_takes_the_place_of_the_first(invited: Remembered) -> None:
    invited.decide(Issue("carol", b"two", 1_000))
    invited.decide(Issue("dave", b"three", 1_000))
    assert invited.states() == {b"one": "revoked", b"two": "open", b"three": "open"}


def test_past_the_limit_the_oldest_that_is_closed_is_forgotten_and_an_open_one_never() -> None:
    full = Remembered({b"%d" % n: Invitation(f"a{n}", "member", (), 0, 2_000) for n in range(INVITATIONS)})
    code, told = code_of(full.decide(Issue("carol", b"new", 1_000)))
    assert code is Code.FORBIDDEN
    assert "revoke some first" in told
    # Who has one already gets another in its place.
    assert isinstance(full.decide(Issue("a7", b"new", 1_000)), Changed)
    assert len(full.invitations) == INVITATIONS
    assert b"7" not in full.invitations
    full.decide(Redeem("a3", b"3"))
    full.decide(RevokeInvitation("a5"))
    assert isinstance(full.decide(Issue("carol", b"newer", 1_000)), Changed)
    assert b"3" not in full.invitations
    assert full.states()[b"5"] == "revoked"
    # All have expired by then: as many go as have to.
    assert isinstance(full.decide(Issue("dave", b"newest", 9_000), 3_000), Changed)
    assert len(full.invitations) == INVITATIONS
