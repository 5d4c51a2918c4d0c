"""Chat state as it is committed: read from the store, changed batch by batch, shown to all threads without a lock.

Only the journal's thread changes it. It decides nothing and writes nothing.
"""

import hashlib
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import TypeVar

import msgspec

from securechat.chat.accounts import Account, Hook
from securechat.chat.model import Invitation, Mark, Room, Sanction, Token
from securechat.chat.sanctions import Key
from securechat.journal.draft import Draft
from securechat.journal.store import NOTHING, Store

T = TypeVar("T")


class View(msgspec.Struct, frozen=True):
    """Chat state for every thread to read, without a lock. What is in it are frozen values, replaced whole.

    It is live: a value may be newer than the batch that a reader has got to, never older. A published mapping never
    gets another key (a new room or account comes with a new View), so walking through one is safe.
    An account that was never in a room may be missing in `rooms_of`, one that never read in `marks_of`, one that never
    logged in in `tokens_of`.
    """

    rooms: Mapping[str, Room]
    rooms_of: Mapping[str, frozenset[str]]
    marks_of: Mapping[str, Mapping[str, int]]
    """By account and place (`Mark.place`), up to where it was read."""
    tokens: Mapping[bytes, Token]
    """By their hash; the tokens that are in force."""
    tokens_of: Mapping[str, tuple[bytes, ...]]
    """The hashes of an account's tokens, the oldest first."""
    invitations: Mapping[bytes, Invitation]
    """By the hashes of their secrets, the oldest first; open ones, and closed ones that are remembered."""
    sanctions: Mapping[Key, Sanction]
    """By account, kind and room; the time of some may be over."""
    accounts: Mapping[str, Account]
    """The accounts that a cluster shares, by name; none where a server stands alone."""
    hooks: Mapping[str, Hook]
    """Its webhooks, by name."""


class Committed:
    """What is true: `view` shows it. Raises StorageFailed when the store cannot be read."""

    def __init__(self, store: Store) -> None:
        rooms = {room.name: room for room in store.load()}
        rooms_of: dict[str, set[str]] = {}
        for room in rooms.values():
            for account in room.members:
                rooms_of.setdefault(account, set()).add(room.name)
        marks: dict[str, dict[str, int]] = {}
        for mark in store.marks():
            marks.setdefault(mark.account, {})[mark.place] = mark.seq
        tokens = store.tokens()
        tokens_of: dict[str, tuple[bytes, ...]] = {}
        for token_hash, token in tokens.items():
            tokens_of[token.account] = (*tokens_of.get(token.account, ()), token_hash)
        self._rooms = rooms
        self._rooms_of = {account: frozenset(names) for account, names in rooms_of.items()}
        self._marks_of: dict[str, Mapping[str, int]] = {
            account: MappingProxyType(mine) for account, mine in marks.items()
        }
        self._tokens = tokens
        self._tokens_of = tokens_of
        self._invitations: Mapping[bytes, Invitation] = store.invitations()
        self._sanctions: Mapping[Key, Sanction] = store.sanctions()
        self._accounts: Mapping[str, Account] = store.accounts()
        self._hooks: Mapping[str, Hook] = store.hooks()
        self._show()

    @property
    def view(self) -> View:
        """What is true, for any thread to read."""
        return self._view

    def accept(self, draft: Draft) -> None:
        """Show everybody what was committed."""
        self._rooms = _replaced(self._rooms, draft.rooms)
        self._rooms_of = _replaced(self._rooms_of, self._entered(draft.members))
        self._marks_of = _replaced(self._marks_of, self._read(draft.marks.values()))
        if draft.tokens:
            tokens = {key: token for key, token in self._tokens.items() if key not in draft.tokens}
            self._tokens = tokens | {key: token for key, token in draft.tokens.items() if token is not None}
            self._tokens_of = _replaced(self._tokens_of, draft.holders)
        # Only where they changed: else the draft has the last view's own, and each batch would wrap them once more.
        if draft.invited:
            self._invitations = draft.invitations
        if draft.sanctioned:
            self._sanctions = draft.sanctions
        if draft.enrolled:
            self._accounts = draft.accounts
        if draft.hooked:
            self._hooks = draft.hooks
        self._show()

    def _entered(self, members: Mapping[tuple[str, str], bool]) -> dict[str, frozenset[str]]:
        changed: dict[str, set[str]] = {}
        for (room, account), inside in members.items():
            if account not in changed:
                changed[account] = set(self._rooms_of.get(account, ()))
            if inside:
                changed[account].add(room)
            else:
                changed[account].discard(room)
        return {account: frozenset(names) for account, names in changed.items()}

    def _read(self, marks: Iterable[Mark]) -> dict[str, Mapping[str, int]]:
        changed: dict[str, dict[str, int]] = {}
        for mark in marks:
            if mark.account not in changed:
                changed[mark.account] = dict(self._marks_of.get(mark.account, {}))
            if mark.seq:
                changed[mark.account][mark.place] = mark.seq
            else:
                changed[mark.account].pop(mark.place, None)
        return {account: MappingProxyType(mine) for account, mine in changed.items()}

    def _show(self) -> None:
        self._view = View(
            MappingProxyType(self._rooms),
            MappingProxyType(self._rooms_of),
            MappingProxyType(self._marks_of),
            MappingProxyType(self._tokens),
            MappingProxyType(self._tokens_of),
            MappingProxyType(self._invitations),
            MappingProxyType(self._sanctions),
            MappingProxyType(self._accounts),
            MappingProxyType(self._hooks),
        )


def digest(
    rooms: Mapping[str, Room], accounts: Mapping[str, Account] = NOTHING, hooks: Mapping[str, Hook] = NOTHING
) -> str:
    """What stands for the whole history, in 64 characters: SHA-256 over the name, the length and the chain's end of
    each room, and over these accounts and webhooks. Where two are the same, so are all of these, and all records."""
    sum = hashlib.sha256()
    for name in sorted(rooms):
        sum.update(f"{name} {rooms[name].head} ".encode() + rooms[name].hash)
    for kept in (accounts, hooks):
        for name in sorted(kept):
            sum.update(msgspec.msgpack.encode(kept[name]))
    return sum.hexdigest()


def _replaced(values: dict[str, T], changes: dict[str, T]) -> dict[str, T]:
    """The values with the changes, in the same dict where no key is new.

    Others may be walking through it, so it must not grow: it is copied instead (50 µs for 10,000 entries, and only
    when a room is made or an account does something for the first time). Replacing values disturbs no reader, with the
    GIL or without.
    """
    if not changes.keys() <= values.keys():
        return values | changes
    values.update(changes)
    return values
