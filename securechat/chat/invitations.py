"""What comes of an invitation: issued, redeemed once, revoked. Secrets are known here by their hash alone.

Pure functions, as the rules are; the time is handed in. This file must not know how an account is made.
"""

from collections.abc import Mapping
from typing import Final, Protocol, assert_never

from msgspec.structs import replace

from securechat.chat.model import Changed, Invitation, Issue, Outcome, Redeem, Rejected, RevokeInvitation, Unchanged
from securechat.chat.names import NAME_RULE, is_username
from securechat.errors import Code
from securechat.limits import INVITATIONS

UNKNOWN: Final = Rejected(Code.BAD_INVITATION, "There is no such invitation; ask for another.")


class Invitations(Protocol):
    """What has been decided so far, as these rules ask for it."""

    @property
    def invitations(self) -> Mapping[bytes, Invitation]:
        """All that are remembered, by the hashes of their secrets, the oldest first."""
        ...


def is_open(invitation: Invitation, now: int) -> bool:
    """Whether it can be taken up; `now` is milliseconds since 1970 UTC."""
    return invitation.state == "open" and now < invitation.expires


def refusal(invitation: Invitation | None, account: str, now: int) -> Rejected | None:
    """Why this invitation cannot be taken up as this account, or None where it can."""
    if invitation is None or invitation.account != account:
        return UNKNOWN
    if invitation.state == "used":
        return Rejected(Code.BAD_INVITATION, "This invitation was used already; ask for another.")
    if invitation.state == "revoked":
        return Rejected(Code.BAD_INVITATION, "This invitation was revoked; ask for another.")
    if now >= invitation.expires:
        return Rejected(Code.BAD_INVITATION, "This invitation has expired; ask for another.")
    return None


def decide_invitation(state: Invitations, change: Issue | Redeem | RevokeInvitation, now: int) -> Outcome:
    """Say what comes of a change of an invitation."""
    match change:
        case Issue():
            return _issue(state, change, now)
        case Redeem():
            return refusal(state.invitations.get(change.secret_hash), change.account, now) or Changed(change)
        case RevokeInvitation():
            return Changed(change) if _open_of(state, change.account, now) else Unchanged("")
        case _:
            assert_never(change)


def changed(state: Invitations, change: Issue | Redeem | RevokeInvitation, now: int) -> dict[bytes, Invitation | None]:
    """The invitations that a decided change makes others, by the hashes of their secrets; None: is forgotten."""
    if isinstance(change, Redeem):
        return {change.secret_hash: replace(state.invitations[change.secret_hash], state="used")}
    revoked: dict[bytes, Invitation | None] = {
        secret_hash: replace(invitation, state="revoked")
        for secret_hash, invitation in _open_of(state, change.account, now).items()
    }
    if isinstance(change, RevokeInvitation):
        return revoked
    issued = Invitation(change.account, change.role, change.rooms, now, now + change.lifetime)
    closed = [key for key, one in state.invitations.items() if key in revoked or not is_open(one, now)]
    surplus = max(0, len(state.invitations) + 1 - INVITATIONS)
    return revoked | dict.fromkeys(closed[:surplus]) | {change.secret_hash: issued}


def _issue(state: Invitations, issue: Issue, now: int) -> Outcome:
    if not is_username(issue.account):
        return Rejected(Code.BAD_NAME, f"An account's name has {NAME_RULE}.")
    if issue.secret_hash in state.invitations:
        return Unchanged("")
    others = [one for one in state.invitations.values() if one.account != issue.account and is_open(one, now)]
    if len(others) >= INVITATIONS:
        return Rejected(Code.FORBIDDEN, f"{INVITATIONS} invitations are open; revoke some first.")
    return Changed(issue)


def _open_of(state: Invitations, account: str, now: int) -> dict[bytes, Invitation]:
    return {
        secret_hash: invitation
        for secret_hash, invitation in state.invitations.items()
        if invitation.account == account and is_open(invitation, now)
    }
