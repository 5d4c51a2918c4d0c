"""Who is connected at which node of a cluster: each tells it now and again, and is forgotten when it is not heard of.

What is told is whole each time, so that one that is lost, or comes late, does no harm. It knows no socket and no NATS.
"""

import logging
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from typing import Annotated, Final, Protocol

import msgspec

from securechat.chat.names import is_username
from securechat.limits import (
    WHEREABOUTS_ACCOUNTS,
    WHEREABOUTS_LIFE_SECONDS,
    WHEREABOUTS_NODES,
    WHEREABOUTS_SECONDS,
)
from securechat.server.presence import MARK_BYTES, Presence
from securechat.server.presence import Whereabouts as Accounts

log = logging.getLogger(__name__)

Mark = Annotated[bytes, msgspec.Meta(max_length=MARK_BYTES)]


class Word(msgspec.Struct, frozen=True, array_like=True):
    """What a node tells: its name, its run (random) and the number of its words in it, and whom it has."""

    node: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    run: Annotated[bytes, msgspec.Meta(max_length=8)]
    number: int
    accounts: Annotated[dict[str, frozenset[Mark]], msgspec.Meta(max_length=WHEREABOUTS_ACCOUNTS)]


_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(Word)


class Told(Protocol):
    """What brings words to the other nodes."""

    def tell(self, word: bytes) -> None: ...


class _Node(msgspec.Struct):
    """What was last heard of another node, and what of it counts."""

    run: bytes
    number: int
    heard: float
    newest: Accounts
    counted: Accounts
    leaving: frozenset[str] = frozenset()
    """Who counted at the last look, and was not there any more."""


class Whereabouts:
    """Tells whom this node has, and keeps whom the others have. `clock` is monotonic, in seconds."""

    def __init__(self, node: str, presence: Presence, clock: Callable[[], float] = time.monotonic) -> None:
        self._node = node
        self._presence = presence
        self._clock = clock
        self._run = secrets.token_bytes(8)
        self._number = 0
        self._told: tuple[int, float] = (-1, -WHEREABOUTS_SECONDS)
        """Up to which change of the presence was told, and when."""
        self._others: dict[str, _Node] = {}
        self._lock = threading.Lock()

    def heard(self, data: bytes) -> None:
        """Take a word of a node; one that cannot be read, or is older than another of it, is passed over."""
        try:
            word = _decoder.decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            log.warning("passed over what a node said of who is connected to it: it cannot be read")
            return
        if word.node == self._node or not all(map(is_username, word.accounts)):
            return
        with self._lock:
            known = self._others.get(word.node)
            if known is None:
                if len(self._others) >= WHEREABOUTS_NODES:
                    return
                known = self._others[word.node] = _Node(word.run, -1, 0.0, {}, {})
            if word.run == known.run and word.number <= known.number:
                return
            known.run, known.number, known.heard, known.newest = word.run, word.number, self._clock(), word.accounts
            # Who is there counts at once.
            self._count(word.node, known, {**known.counted, **word.accounts})

    def tick(self, others: Told) -> None:
        """Tell whom this node has, if that is another or was told long ago; forget who was not heard of. For one
        thread, each second or so."""
        now, changes = self._clock(), self._presence.changes
        if changes != self._told[0] or now >= self._told[1] + WHEREABOUTS_SECONDS:
            others.tell(self.word())
            self._told = (changes, now)
        with self._lock:
            for name, node in tuple(self._others.items()):
                if now >= node.heard + WHEREABOUTS_LIFE_SECONDS:
                    del self._others[name]
                    self._presence.set_elsewhere(name, {})
                else:
                    self._let_go(name, node)

    def word(self, *, last: bool = False) -> bytes:
        """What the others are told; the last word is that nobody is here."""
        self._number += 1
        accounts: Mapping[str, frozenset[bytes]] = {} if last else self._presence.here(WHEREABOUTS_ACCOUNTS)
        return _encoder.encode(Word(self._node, self._run, self._number, dict(accounts)))

    def _let_go(self, name: str, node: _Node) -> None:
        # At the second look: by then, whoever moved from one node to another has come in there.
        kept = {one: marks for one, marks in node.counted.items() if one in node.newest or one not in node.leaving}
        self._count(name, node, {**kept, **node.newest})
        node.leaving = frozenset(node.counted) - node.newest.keys()

    def _count(self, name: str, node: _Node, accounts: Accounts) -> None:
        if accounts != node.counted:
            node.counted = accounts
            self._presence.set_elsewhere(name, accounts)
