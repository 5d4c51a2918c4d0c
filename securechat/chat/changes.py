"""What comes of a change that is no record of a room: a read marker, a session token, an expiry, an account.

Pure functions, as the rules are. Tokens are known here by their hash alone, and this file must not know who holds one.
"""

from collections.abc import Mapping
from typing import Final, Protocol, assert_never

from securechat.chat import sanctions
from securechat.chat.accounts import Account, Hook, SetAccount, SetHook, is_sound
from securechat.chat.invitations import Invitations, decide_invitation
from securechat.chat.model import (
    Barrier,
    Change,
    Changed,
    Expire,
    Forget,
    Grant,
    Impose,
    Issue,
    Lift,
    Mark,
    Outcome,
    Redeem,
    Rejected,
    Revoke,
    RevokeInvitation,
    Unchanged,
)
from securechat.errors import Code
from securechat.limits import CURSORS_PER_ACCOUNT, EXPIRED_AT_ONCE, HOOKS

OUTDATED: Final = Rejected(Code.FORBIDDEN, "It was changed by somebody else meanwhile.")
LAST_ADMIN: Final = Rejected(Code.FORBIDDEN, "That would leave the server without an active admin.")
TOO_MANY_HOOKS: Final = Rejected(Code.FORBIDDEN, f"There are {HOOKS} hooks already.")
_UNSOUND: Final = Rejected(Code.BAD_NAME, "No account and no webhook can be like this.")


class Holdings(Invitations, sanctions.Sanctions, Protocol):
    """What has been decided so far, as these rules ask for it."""

    def mark(self, account: str, place: str) -> int:
        """Up to where the account, or a consumer of it, has read (`Mark.place`); 0 where it never said."""
        ...

    def cursors(self, account: str) -> frozenset[str]:
        """The places (`Mark.place`) where consumers of the account have a cursor."""
        ...

    def tokens_of(self, account: str) -> tuple[bytes, ...]:
        """The hashes of the tokens of the account that are in force, the oldest first."""
        ...

    @property
    def accounts(self) -> Mapping[str, Account]:
        """The accounts that a cluster shares, by name; none where a server stands alone."""
        ...

    @property
    def hooks(self) -> Mapping[str, Hook]:
        """Its webhooks, by name."""
        ...


def decide_change(state: Holdings, change: Change, now: int) -> Outcome:
    """Say what comes of a change; `Changed` carries the change in the extent that it is made.

    `now` is milliseconds since 1970 UTC.
    """
    match change:
        case Mark():
            return _mark(state, change)
        case Forget():
            return Changed(change) if forgotten(change, state.cursors(change.account)) else Unchanged("")
        case Expire():
            return _expire(state, change)
        case Grant():
            held = change.token_hash in state.tokens_of(change.account)
            banned = sanctions.refusal(state.sanctions, change.account, "ban", now)
            return banned or (Unchanged("") if held else Changed(change))
        case Revoke():
            gone = revoked(change, state.tokens_of(change.account))
            return Changed(change) if gone or change.fingerprint else Unchanged("")
        case Barrier():
            return Changed(change)
        case Issue() | Redeem() | RevokeInvitation():
            return decide_invitation(state, change, now)
        case Impose() | Lift():
            return sanctions.decide_sanction(state, change, now)
        case SetAccount():
            return _set_account(state.accounts, change)
        case SetHook():
            return _set_hook(state.hooks, change)
        case _:
            assert_never(change)


def forgotten(change: Forget, cursors: frozenset[str]) -> list[str]:
    """The rooms in which its consumer has one of these cursors."""
    return sorted(
        room for room, _, consumer in (place.partition("/") for place in cursors) if consumer == change.consumer
    )


def revoked(change: Revoke, held: tuple[bytes, ...]) -> tuple[bytes, ...]:
    """Which of the tokens that its account holds are in force no more after this."""
    if change.token_hash is None:
        return tuple(token_hash for token_hash in held if token_hash != change.kept)
    return tuple(token_hash for token_hash in held if token_hash == change.token_hash)


def _mark(state: Holdings, mark: Mark) -> Outcome:
    room = state.room(mark.room)
    if room is None or (room.private and mark.account not in room.members):
        return Rejected(Code.NO_SUCH_ROOM, f"There is no room {mark.room}.")
    if mark.account not in room.members:
        return Rejected(Code.NOT_MEMBER, f"Join {mark.room} first.")
    seq, before = min(mark.seq, room.head), state.mark(mark.account, mark.place)
    if seq <= before:
        return Unchanged(mark.room)
    if mark.consumer and not before and len(state.cursors(mark.account)) >= CURSORS_PER_ACCOUNT:
        what = f"{CURSORS_PER_ACCOUNT} cursors of {mark.account}'s consumers are kept already; have one forgotten."
        return Rejected(Code.FORBIDDEN, what)
    return Changed(Mark(mark.account, mark.room, seq, mark.consumer))


def _expire(state: Holdings, expiry: Expire) -> Outcome:
    room = state.room(expiry.room)
    if room is None:
        return Rejected(Code.NO_SUCH_ROOM, f"There is no room {expiry.room}.")
    upto = min(expiry.upto, room.head, room.base + EXPIRED_AT_ONCE)
    return Changed(Expire(expiry.room, upto)) if upto > room.base else Unchanged(expiry.room)


def _set_account(accounts: Mapping[str, Account], change: SetAccount) -> Outcome:
    if not is_sound(change):
        return _UNSOUND
    current = accounts.get(change.name)
    if current == change.after:
        return Unchanged("")
    if current != change.before:
        return OUTDATED
    # Asked of the others only where an admin goes: a node that brings along thousands of accounts is not held up by it.
    goes = current is not None and current.looks_after and not (change.after and change.after.looks_after)
    others = (one for name, one in accounts.items() if name != change.name)
    return LAST_ADMIN if goes and not any(one.looks_after for one in others) else Changed(change)


def _set_hook(hooks: Mapping[str, Hook], change: SetHook) -> Outcome:
    if not is_sound(change):
        return _UNSOUND
    current = hooks.get(change.name)
    if current == change.after:
        return Unchanged("")
    if current != change.before:
        return OUTDATED
    return TOO_MANY_HOOKS if current is None and len(hooks) >= HOOKS else Changed(change)
