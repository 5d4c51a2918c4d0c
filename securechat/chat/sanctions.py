"""What an operator imposes on an account, for a time or until it is lifted: a ban keeps it out, a mute keeps it silent.

Pure functions, as the rules are; the time is handed in, in milliseconds since 1970 UTC.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, Protocol, TypeAlias

from securechat.chat.model import Changed, Impose, Lift, Outcome, Rejected, Sanction, SanctionKind, Unchanged
from securechat.errors import Code

Key: TypeAlias = tuple[str, SanctionKind]
"""An account, and what is imposed on it."""

SPOKEN: Final = frozenset(("say", "edit", "topic"))
"""The kinds of record that a muted account may not make: those with a text."""


class Sanctions(Protocol):
    """What has been decided so far, as these rules ask for it."""

    @property
    def sanctions(self) -> Mapping[Key, Sanction]:
        """All that are remembered, those whose time is over too."""
        ...


def in_force(state: Sanctions, account: str, kind: SanctionKind, now: int) -> Sanction | None:
    """The account's sanction of this kind, if it has one now."""
    found = state.sanctions.get((account, kind))
    return found if found and (not found.until or now < found.until) else None


def refusal(state: Sanctions, account: str, kind: SanctionKind, now: int) -> Rejected | None:
    """What a banned account is told that comes in, or a muted one that speaks; None where it may."""
    found = in_force(state, account, kind, now)
    if found is None:
        return None
    until = (
        f"until {datetime.fromtimestamp(found.until / 1_000, UTC):%Y-%m-%d %H:%M} UTC" if found.until else "for good"
    )
    if kind == "ban":
        return Rejected(Code.BANNED, f"This account is banned {until}.")
    return Rejected(Code.MUTED, f"You are muted {until}: you may read, and say nothing.")


def decide_sanction(state: Sanctions, change: Impose | Lift, now: int) -> Outcome:
    """Say what comes of it: a sanction that is imposed again is imposed anew, from now on."""
    found = in_force(state, change.account, change.kind, now)
    if isinstance(change, Lift):
        return Changed(change) if found else Unchanged("")
    same = found is not None and not found.until and not change.lifetime
    return Unchanged("") if same else Changed(change)


def imposed(change: Impose | Lift, now: int) -> Sanction | None:
    """What is remembered of it; None: nothing any more."""
    if isinstance(change, Lift):
        return None
    return Sanction(change.account, change.kind, now + change.lifetime if change.lifetime else 0, now, change.author)
