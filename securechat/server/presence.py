"""Who is here, over all reactors: how many sessions each account has, and with which tokens.

Every thread may ask; sessions say when they come and go. It knows no socket and no room.
"""

import threading
from collections import Counter


class Presence:
    """The accounts that have a session now."""

    def __init__(self) -> None:
        self._here: dict[str, Counter[bytes]] = {}
        self._lock = threading.Lock()

    def came(self, account: str, token_hash: bytes) -> bool:
        """A session of the account began; whether it is its only one."""
        with self._lock:
            tokens = self._here.setdefault(account, Counter())
            tokens[token_hash] += 1
            return tokens.total() == 1

    def went(self, account: str, token_hash: bytes) -> bool:
        """A session of the account is over; whether it was the last one."""
        with self._lock:
            tokens = self._here[account]
            tokens[token_hash] -= 1
            if not tokens[token_hash]:
                del tokens[token_hash]
            if not tokens:
                del self._here[account]
            return not tokens

    def is_online(self, account: str) -> bool:
        """Whether the account has a session."""
        return account in self._here

    def tokens_of(self, account: str) -> frozenset[bytes]:
        """The tokens with which the account's sessions came in, by their hashes."""
        with self._lock:
            return frozenset(self._here.get(account, ()))
