"""Who is here, over all reactors: how many sessions each account has, with which tokens and from where.

Every thread may ask; sessions say when they come and go. It knows no socket and no room.
"""

import threading
from collections import Counter
from typing import Protocol


class Announce(Protocol):
    """Has everybody told who is concerned that an account came or went; it waits for nobody."""

    def __call__(self, account: str, *, online: bool) -> None: ...


class Presence:
    """The accounts that have a session now."""

    def __init__(self, announce: Announce) -> None:
        self._announce = announce
        self._here: dict[str, Counter[bytes]] = {}
        self._sources: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()

    # Announced with the lock held: what happens on two reactors at once is told in the order in which it happened.

    def came(self, account: str, token_hash: bytes, source: str) -> None:
        """A session of the account began; it is announced if it is the only one."""
        with self._lock:
            tokens = self._here.setdefault(account, Counter())
            tokens[token_hash] += 1
            self._sources[account, source] += 1
            if tokens.total() == 1:
                self._announce(account, online=True)

    def went(self, account: str, token_hash: bytes, source: str) -> None:
        """A session of the account is over; it is announced if it was the last one."""
        with self._lock:
            self._sources[account, source] -= 1
            if not self._sources[account, source]:
                del self._sources[account, source]
            tokens = self._here[account]
            tokens[token_hash] -= 1
            if not tokens[token_hash]:
                del tokens[token_hash]
            if not tokens:
                del self._here[account]
                self._announce(account, online=False)

    def is_online(self, account: str) -> bool:
        """Whether the account has a session."""
        return account in self._here

    def is_at(self, account: str, source: str) -> bool:
        """Whether the account has a session from there."""
        return (account, source) in self._sources

    def tokens_of(self, account: str) -> frozenset[bytes]:
        """The tokens with which the account's sessions came in, by their hashes."""
        with self._lock:
            return frozenset(self._here.get(account, ()))
