"""What comes of a change that is no record of a room: a read marker, a session token, an expiry.

Pure functions, as the rules are. Tokens are known here by their hash alone, and this file must not know who holds one.
"""

from typing import Protocol, assert_never

from securechat.chat import sanctions
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
from securechat.limits import CURSORS_PER_ACCOUNT, EXPIRED_AT_ONCE


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
