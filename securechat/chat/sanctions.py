"""What is imposed on an account, for a time or until it is lifted: a ban keeps it out, of the server or of one room; a
mute keeps it silent.

Pure functions, as the rules are; the time is handed in, in milliseconds since 1970 UTC. Who may ban from a room is the
table in `chat.standing`; bans and mutes of the whole server are the operator's.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Final, Protocol, TypeAlias

from securechat.chat.model import Changed, Impose, Lift, Outcome, Rejected, Room, Sanction, SanctionKind, Unchanged
from securechat.chat.standing import Act, Verdict, refusal_by_table, verdict
from securechat.errors import Code
from securechat.limits import BANS_PER_ROOM

Key: TypeAlias = tuple[str, SanctionKind, str]
"""An account, what is imposed on it, and in which room (empty: everywhere)."""

SPOKEN: Final = frozenset(("say", "edit", "topic"))
"""The kinds of record that a muted account may not make: those with a text."""


class Sanctions(Protocol):
    """What has been decided so far, as these rules ask for it."""

    @property
    def sanctions(self) -> Mapping[Key, Sanction]:
        """All that are remembered, those whose time is over too."""
        ...

    def room(self, name: str) -> Room | None:
        """The room with this key as it is after all that was decided."""
        ...


def key(one: Sanction | Impose | Lift) -> Key:
    """What it is known by."""
    return one.account, one.kind, one.room


def in_force(
    known: Mapping[Key, Sanction], account: str, kind: SanctionKind, now: int, room: str = ""
) -> Sanction | None:
    """The account's sanction of this kind, if it has one now."""
    found = known.get((account, kind, room))
    return found if found and holds(found, now) else None


def holds(one: Sanction, now: int) -> bool:
    """Whether its time is not over."""
    return not one.until or now < one.until


def banned_from(known: Mapping[Key, Sanction], room: str, now: int) -> Iterator[str]:
    """Who is banned from the room now."""
    return (one.account for one in known.values() if room and one.room == room and holds(one, now))


def refusal(
    known: Mapping[Key, Sanction], account: str, kind: SanctionKind, now: int, room: str = ""
) -> Rejected | None:
    """What is answered where a banned account would come in, or a muted one speaks; None where it may."""
    found = in_force(known, account, kind, now, room)
    if found is None:
        return None
    until = (
        f"until {datetime.fromtimestamp(found.until / 1_000, UTC):%Y-%m-%d %H:%M} UTC" if found.until else "for good"
    )
    if room:
        return Rejected(Code.BANNED, f"{account} is banned from {room} {until}.")
    if kind == "ban":
        return Rejected(Code.BANNED, f"This account is banned {until}.")
    return Rejected(Code.MUTED, f"You are muted {until}: you may read, and say nothing.")


def decide_sanction(state: Sanctions, change: Impose | Lift, now: int) -> Outcome:
    """Say what comes of it: a sanction that is imposed again is imposed anew, from now on."""
    found = in_force(state.sanctions, change.account, change.kind, now, change.room)
    if change.room and (refused := _refused(state, change, now, is_new=found is None)):
        return refused
    if isinstance(change, Lift):
        return Changed(change) if found else Unchanged(change.room)
    same = found is not None and not found.until and not change.lifetime
    return Unchanged(change.room) if same else Changed(change)


def imposed(change: Impose | Lift, now: int) -> Sanction | None:
    """What is remembered of it; None: nothing any more."""
    if isinstance(change, Lift):
        return None
    until = now + change.lifetime if change.lifetime else 0
    return Sanction(change.account, change.kind, until, now, change.author, change.room)


def _refused(state: Sanctions, change: Impose | Lift, now: int, *, is_new: bool) -> Rejected | None:
    """What stands against a ban from a room, or the end of one."""
    act: Act = "ban" if isinstance(change, Impose) else "unban"
    room = state.room(change.room)
    judged = verdict(room, change, act)
    if not isinstance(judged, Verdict):
        return refusal_by_table(judged, room, change, act)
    if act == "ban" and change.account == change.author:
        return Rejected(Code.FORBIDDEN, "Nobody is banned by themselves; leave the room.")
    if act == "ban" and is_new and sum(1 for _ in banned_from(state.sanctions, change.room, now)) >= BANS_PER_ROOM:
        return Rejected(Code.FORBIDDEN, f"{BANS_PER_ROOM} are banned from {change.room} already; unban somebody first.")
    return None
