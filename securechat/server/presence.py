"""Who is here, over all reactors, and in a cluster at the other nodes: which sessions each account has, and from where.

Every thread may ask; sessions say when they come and go, and nodes what they know. It knows no socket and no room.
"""

import threading
from collections import Counter
from collections.abc import Mapping
from typing import Protocol

Whereabouts = Mapping[str, frozenset[bytes]]
"""The accounts that have a session at a node, and with which tokens, by what identifies these (`token_mark`)."""

MARK_BYTES = 8
"""What identifies a token among those of an account: the beginning of its hash, which opens nothing."""


def token_mark(token_hash: bytes) -> bytes:
    """What a token is known by in `Whereabouts`."""
    return token_hash[:MARK_BYTES]


class Announce(Protocol):
    """Has everybody told who is concerned that an account came or went; it waits for nobody."""

    def __call__(self, account: str, *, online: bool) -> None: ...


class Presence:
    """The accounts that have a session now."""

    def __init__(self, announce: Announce) -> None:
        self._announce = announce
        self._here: dict[str, Counter[bytes]] = {}
        self._sources: Counter[tuple[str, str]] = Counter()
        self._elsewhere: dict[str, Whereabouts] = {}
        """By node."""
        self._lock = threading.Lock()
        self.changes = 0
        """How often an account came or went here: another number, another state of `here`."""

    # Announced with the lock held: what happens on two reactors at once is told in the order in which it happened.

    def came(self, account: str, token_hash: bytes, source: str) -> None:
        """A session of the account began; it is announced if it is the only one."""
        with self._lock:
            was_online = self.is_online(account)
            self._here.setdefault(account, Counter())[token_hash] += 1
            self._sources[account, source] += 1
            self.changes += 1
            if not was_online:
                self._announce(account, online=True)

    def went(self, account: str, token_hash: bytes, source: str) -> None:
        """A session of the account is over; it is announced if it was the last one."""
        with self._lock:
            self._sources[account, source] -= 1
            if not self._sources[account, source]:
                del self._sources[account, source]
            tokens = self._here[account]
            tokens[token_hash] -= 1
            self.changes += 1
            if not tokens[token_hash]:
                del tokens[token_hash]
            if not tokens:
                del self._here[account]
                if not self.is_online(account):
                    self._announce(account, online=False)

    def set_elsewhere(self, node: str, theirs: Whereabouts) -> None:
        """Whom another node has, from now on; who comes or goes by that is announced."""
        with self._lock:
            before = self._elsewhere.get(node, {})
            concerned = [account for account in {**before, **theirs} if (account in before) is not (account in theirs)]
            were_online = {account for account in concerned if self.is_online(account)}
            if theirs:
                self._elsewhere[node] = theirs
            else:
                self._elsewhere.pop(node, None)
            for account in concerned:
                is_online = self.is_online(account)
                if is_online is not (account in were_online):
                    self._announce(account, online=is_online)

    def is_online(self, account: str) -> bool:
        """Whether the account has a session, here or at another node."""
        return account in self._here or any(account in theirs for theirs in tuple(self._elsewhere.values()))

    def is_at(self, account: str, source: str) -> bool:
        """Whether the account has a session from there at this node."""
        return (account, source) in self._sources

    def has_session(self, account: str, token_hash: bytes) -> bool:
        """Whether a session of the account came in with this token, here or at another node."""
        mark = token_mark(token_hash)
        with self._lock:
            return token_hash in self._here.get(account, ()) or any(
                mark in theirs.get(account, ()) for theirs in self._elsewhere.values()
            )

    def here(self, most: int) -> dict[str, frozenset[bytes]]:
        """Who has a session at this node, as other nodes are told; so many accounts at the most."""
        with self._lock:
            some = list(self._here.items())[:most]
            return {account: frozenset(map(token_mark, tokens)) for account, tokens in some}
