"""What comes of a change of an account or a webhook that a cluster shares."""

from collections.abc import Mapping

import pytest

from securechat.chat.accounts import Account, Hook, SetAccount, SetHook
from securechat.chat.changes import LAST_ADMIN, OUTDATED, TOO_MANY_HOOKS, decide_change
from securechat.chat.model import Changed, Outcome, Rejected, Unchanged
from securechat.errors import Code
from securechat.limits import HOOKS
from tests.chat.test_changes import NOW, Held

HASH = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaA"
OTHER = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$b3RoZXI"
MIA = Account("mia", "admin", "active", HASH)
TIM = Account("tim", "member", "active", HASH)
BUILD = Hook("build", "lobby", bytes(32))


def changed(account: Account, **fields: str) -> Account:
    return Account(**{"name": account.name, "role": account.role, "state": account.state, "password": HASH} | fields)  # type: ignore[arg-type]


class Shared(Held):
    """Two accounts, of which one is an admin, and one webhook."""

    accounts: Mapping[str, Account] = {"mia": MIA, "tim": TIM}
    hooks: Mapping[str, Hook] = {"build": BUILD}


def outcome(change: SetAccount | SetHook) -> Outcome:
    return decide_change(Shared(), change, NOW)


@pytest.mark.parametrize(
    "change",
    [
        SetAccount("ann", None, changed(TIM, name="ann")),
        SetAccount("tim", TIM, changed(TIM, role="admin")),
        SetAccount("tim", TIM, changed(TIM, state="disabled")),
        SetAccount("mia", MIA, changed(MIA, password=OTHER), kept=b"one"),
        SetAccount("tim", TIM, None),
        SetHook("alarm", None, Hook("alarm", "lobby", bytes(32))),
        SetHook("build", BUILD, Hook("build", "ops", bytes(32))),
        SetHook("build", BUILD, None),
    ],
)
def test_what_is_still_as_its_author_saw_it_is_changed(change: SetAccount | SetHook) -> None:
    assert outcome(change) == Changed(change)


@pytest.mark.parametrize(
    "change",
    [
        SetAccount("tim", None, TIM),
        SetAccount("tim", changed(TIM, role="admin"), TIM),
        SetAccount("ann", changed(TIM, name="ann"), None),
        SetHook("build", None, BUILD),
        SetHook("alarm", BUILD, None),
    ],
)
def test_what_is_so_already_changes_nothing(change: SetAccount | SetHook) -> None:
    assert outcome(change) == Unchanged("")


@pytest.mark.parametrize(
    "change",
    [
        SetAccount("tim", None, changed(TIM, password=OTHER)),
        SetAccount("tim", changed(TIM, password=OTHER), None),
        SetAccount("ann", changed(TIM, name="ann"), changed(TIM, name="ann", role="admin")),
        SetHook("build", None, Hook("build", "ops", bytes(32))),
        SetHook("alarm", BUILD, Hook("alarm", "ops", bytes(32))),
    ],
)
def test_who_saw_something_else_changes_nothing(change: SetAccount | SetHook) -> None:
    assert outcome(change) == OUTDATED


@pytest.mark.parametrize("after", [None, changed(MIA, role="member"), changed(MIA, state="disabled")])
def test_the_last_admin_stays(after: Account | None) -> None:
    assert outcome(SetAccount("mia", MIA, after)) == LAST_ADMIN


def test_where_there_is_no_admin_accounts_can_be_changed() -> None:
    state = Shared()
    state.accounts = {"tim": TIM}
    gone = SetAccount("tim", TIM, None)
    assert decide_change(state, gone, NOW) == Changed(gone)


def test_there_are_so_many_hooks_and_no_more() -> None:
    state = Shared()
    state.hooks = {f"hook{number}": Hook(f"hook{number}", "lobby", bytes(32)) for number in range(HOOKS)}
    one_more = SetHook("build", None, BUILD)
    assert decide_change(state, one_more, NOW) == TOO_MANY_HOOKS
    other = SetHook("hook1", state.hooks["hook1"], Hook("hook1", "ops", bytes(32)))
    assert decide_change(state, other, NOW) == Changed(other)


@pytest.mark.parametrize(
    "change",
    [
        SetAccount("No name", None, changed(TIM, name="No name")),
        SetAccount("ann", None, TIM),
        SetAccount("ann", None, changed(TIM, name="ann", password=f"{HASH}\nroot:admin:active:{HASH}")),
        SetAccount("ann", None, changed(TIM, name="ann", password="plain")),
        SetHook("alarm", None, BUILD),
        SetHook("alarm", None, Hook("alarm", "no room", bytes(32))),
        SetHook("alarm", None, Hook("alarm", "lobby", b"short")),
    ],
)
def test_what_no_file_could_hold_is_refused(change: SetAccount | SetHook) -> None:
    refused = outcome(change)
    assert isinstance(refused, Rejected)
    assert refused.code is Code.BAD_NAME


def test_no_hash_is_in_a_repr() -> None:
    shown = repr((SetAccount("tim", TIM, changed(TIM, password=OTHER)), SetHook("build", BUILD, None)))
    assert HASH not in shown
    assert OTHER not in shown
    assert "x00" not in shown.replace("kept=b''", "")
