"""Accounts and webhooks as values, and the changes of those that a cluster shares.

Frozen, and ignorant of how they are kept, hashed or checked. What comes of a change is said in `chat.changes`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

import msgspec

from securechat.chat.names import is_room, is_username

Role: TypeAlias = Literal["admin", "member"]
"""What an account may do."""

AccountState: TypeAlias = Literal["active", "disabled", "hook"]
"""`hook`: nobody logs in, a webhook speaks as this account."""

_STORED: Final = re.compile(r"\$argon2id\$[A-Za-z0-9$,=+/]{1,400}\Z")
_HASH_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Account:
    """Who may come in. `password` is the hash as a PHC string, and is left out of the `repr`."""

    name: str
    role: Role
    state: AccountState
    password: str = field(repr=False)

    @property
    def active(self) -> bool:
        """Whether this account may log in."""
        return self.state == "active"

    @property
    def looks_after(self) -> bool:
        """Whether it is an admin who can log in."""
        return self.role == "admin" and self.active

    def ends_as(self, after: "Account | None") -> bool:
        """Whether nobody is to stay logged in when it becomes that: gone, disabled, or with another password's hash."""
        return after is None or after.password != self.password or (self.active and not after.active)


@dataclass(frozen=True, slots=True)
class Hook:
    """One webhook: its account, its room, and the hash of its token (32 bytes), which is left out of the `repr`."""

    name: str
    room: str
    token_hash: bytes = field(repr=False)


class SetAccount(msgspec.Struct, frozen=True, tag=str.lower):
    """Make the account of this name `after` (None: gone) where it is still `before` (None: there is none).

    What ends its logins ends all its tokens but the one `kept`. `rehashed` says that it is the same password, hashed
    anew: it ends none."""

    name: str
    before: Account | None
    after: Account | None
    kept: bytes = b""
    rehashed: bool = False


class SetHook(msgspec.Struct, frozen=True, tag=str.lower):
    """Make the webhook of this name `after` (None: gone) where it is still `before` (None: there is none)."""

    name: str
    before: Hook | None
    after: Hook | None


def has_admin(accounts: Mapping[str, Account]) -> bool:
    """Whether somebody who can log in is an admin."""
    return any(account.looks_after for account in accounts.values())


def is_sound(change: SetAccount | SetHook) -> bool:
    """Whether the files of accounts and webhooks can hold what it makes."""
    after = change.after
    if not is_username(change.name) or (after is not None and after.name != change.name):
        return False
    if isinstance(after, Account):
        return _STORED.match(after.password) is not None
    return after is None or (is_room(after.room) and len(after.token_hash) == _HASH_BYTES)
