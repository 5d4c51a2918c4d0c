"""What comes of read markers, tokens and expiries."""

from collections.abc import Mapping
from types import MappingProxyType

import pytest

from securechat.chat.accounts import Account, Hook
from securechat.chat.changes import decide_change, forgotten, revoked
from securechat.chat.model import (
    Barrier,
    Changed,
    Expire,
    Forget,
    Grant,
    Invitation,
    Issue,
    Mark,
    Rejected,
    Revoke,
    Room,
    Sanction,
    Unchanged,
)
from securechat.chat.sanctions import Key
from securechat.errors import Code
from securechat.limits import CURSORS_PER_ACCOUNT, EXPIRED_AT_ONCE

KITCHEN = Room("kitchen", members=frozenset({"mia", "tim"}), head=10)
VAULT = Room("vault", private=True, members=frozenset({"mia"}), head=10)
LONG = Room("long", head=10_000, base=100)

NOW = 1_000


class Held:
    """Two rooms, one marker, two tokens and no invitation."""

    invitations: Mapping[bytes, Invitation] = MappingProxyType({})
    sanctions: Mapping[Key, Sanction] = MappingProxyType({})
    accounts: Mapping[str, Account] = MappingProxyType({})
    hooks: Mapping[str, Hook] = MappingProxyType({})

    def room(self, name: str) -> Room | None:
        return {room.name: room for room in (KITCHEN, VAULT, LONG)}.get(name)

    def mark(self, account: str, place: str) -> int:
        return {("mia", "kitchen"): 4, ("tim", "kitchen/bot"): 2}.get((account, place), 0)

    def cursors(self, account: str) -> frozenset[str]:
        return frozenset(
            f"kitchen/bot{number or ''}" for number in range(CURSORS_PER_ACCOUNT if account == "tim" else 0)
        )

    def tokens_of(self, account: str) -> tuple[bytes, ...]:
        return (b"one", b"two") if account == "mia" else ()


@pytest.mark.parametrize(("seq", "becomes"), [(5, 5), (10, 10), (11, 10), (2**53 - 1, 10)])
def test_a_marker_moves_on_but_not_past_the_newest_record(seq: int, becomes: int) -> None:
    assert decide_change(Held(), Mark("mia", "kitchen", seq), NOW) == Changed(Mark("mia", "kitchen", becomes))


@pytest.mark.parametrize("seq", [4, 3, 0, -1])
def test_a_marker_never_goes_back(seq: int) -> None:
    assert decide_change(Held(), Mark("mia", "kitchen", seq), NOW) == Unchanged("kitchen")


@pytest.mark.parametrize(
    ("account", "room", "code"),
    [
        ("sam", "kitchen", Code.NOT_MEMBER),
        ("sam", "vault", Code.NO_SUCH_ROOM),
        ("mia", "attic", Code.NO_SUCH_ROOM),
    ],
)
def test_only_who_is_in_a_room_marks_it(account: str, room: str, code: Code) -> None:
    outcome = decide_change(Held(), Mark(account, room, 5), NOW)
    assert isinstance(outcome, Rejected)
    assert outcome.code is code


def test_a_consumers_cursor_is_its_own_and_new_ones_have_a_limit() -> None:
    assert decide_change(Held(), Mark("mia", "kitchen", 3, "bot"), NOW) == Changed(Mark("mia", "kitchen", 3, "bot"))
    assert decide_change(Held(), Mark("mia", "kitchen", 0, "bot"), NOW) == Unchanged("kitchen")
    assert decide_change(Held(), Mark("tim", "kitchen", 99, "bot"), NOW) == Changed(Mark("tim", "kitchen", 10, "bot"))
    outcome = decide_change(Held(), Mark("tim", "kitchen", 3, "another"), NOW)
    assert isinstance(outcome, Rejected)
    assert outcome.code is Code.FORBIDDEN


def test_the_cursors_of_a_consumer_are_forgotten_where_there_are_any() -> None:
    assert decide_change(Held(), Forget("tim", "bot"), NOW) == Changed(Forget("tim", "bot"))
    for account, consumer in (("mia", "bot"), ("tim", "bo"), ("tim", "")):
        assert decide_change(Held(), Forget(account, consumer), NOW) == Unchanged("")
    assert forgotten(Forget("tim", "bot"), frozenset({"kitchen/bot", "attic/bot", "attic/bot1"})) == [
        "attic",
        "kitchen",
    ]


def test_a_token_is_granted_once() -> None:
    assert decide_change(Held(), Grant("mia", b"new", "laptop"), NOW) == Changed(Grant("mia", b"new", "laptop"))
    assert decide_change(Held(), Grant("mia", b"one", "laptop"), NOW) == Unchanged("")
    assert decide_change(Held(), Barrier(), NOW) == Changed(Barrier())


def test_one_token_or_all_of_an_account_are_revoked_and_never_anothers() -> None:
    for token in (b"one", None):
        assert decide_change(Held(), Revoke("mia", token), NOW) == Changed(Revoke("mia", token))
        assert decide_change(Held(), Revoke("sam", token), NOW) == Unchanged("")
    assert decide_change(Held(), Revoke("mia", b"three"), NOW) == Unchanged("")


def test_all_tokens_but_one_are_revoked() -> None:
    for kept, gone in ((b"one", (b"two",)), (b"two", (b"one",)), (b"three", (b"one", b"two")), (b"", (b"one", b"two"))):
        revoke = Revoke("mia", kept=kept)
        assert decide_change(Held(), revoke, NOW) == Changed(revoke)
        assert revoked(revoke, (b"one", b"two")) == gone
    assert revoked(Revoke("mia", kept=b"one"), (b"one",)) == ()
    alone = Revoke("sam", kept=b"other", fingerprint=b"new")
    assert decide_change(Held(), alone, NOW) == Changed(alone), "the one that is kept gets another fingerprint"


def test_an_expiry_takes_a_step_and_never_more_than_there_is() -> None:
    step = 100 + EXPIRED_AT_ONCE
    assert decide_change(Held(), Expire("long", 9_000), NOW) == Changed(Expire("long", step))
    assert decide_change(Held(), Expire("long", 101), NOW) == Changed(Expire("long", 101))
    assert decide_change(Held(), Expire("long", 100), NOW) == Unchanged("long")
    assert decide_change(Held(), Expire("kitchen", 99), NOW) == Changed(Expire("kitchen", 10))
    assert isinstance(decide_change(Held(), Expire("attic", 1), NOW), Rejected)


def test_an_invitation_is_decided_by_its_own_rules() -> None:
    assert decide_change(Held(), Issue("mia", b"one", lifetime=1), NOW) == Changed(Issue("mia", b"one", 1))
