"""The chains of another node, asked of it over NATS while it serves."""

from collections.abc import Mapping

import msgspec

from securechat.journal.jetstream.stream import API_SECONDS, Engine
from securechat.journal.jetstream.visit import run, visit
from securechat.journal.questions import AT_ONCE, Answer, Place, Question

_answers = msgspec.msgpack.Decoder(Answer)


class AskedChains:
    """Those of the node of this name; `ours` are our own heads, at which they will be compared.

    Raises Unreachable where it does not answer, or not so that it can be understood.
    """

    def __init__(self, engine: Engine, node: str, ours: Mapping[str, int]) -> None:
        self._engine = engine
        self._node = node
        self._hashes: dict[Place, bytes | None] = {}
        self._heads: dict[str, int] = {}
        after = ""
        # In the order of the names, so that no node can have us ask for ever.
        while (heads := self._ask(Question(after)).heads) and heads[-1][0] > after:
            for room, head, hash in heads:
                self._heads[room] = head
                self._hashes[room, head] = hash
            after = heads[-1][0]
        further = [(room, seq) for room, seq in ours.items() if self._heads.get(room, 0) > seq]
        for start in range(0, len(further), AT_ONCE):
            self._find(further[start : start + AT_ONCE])

    def heads(self) -> Mapping[str, int]:
        """As they were a moment ago."""
        return self._heads

    def hash_at(self, room: str, seq: int) -> bytes | None:
        """Asked where it is not known yet."""
        if (room, seq) not in self._hashes:
            self._find([(room, seq)])
        return self._hashes.get((room, seq))

    def _find(self, places: list[Place]) -> None:
        self._hashes.update(zip(places, self._ask(Question(places=places)).hashes, strict=False))

    def _ask(self, question: Question) -> Answer:
        return run(_ask(self._engine, self._node, msgspec.msgpack.encode(question)))


async def _ask(engine: Engine, node: str, question: bytes) -> Answer:
    async with visit(engine) as client:
        answer = await client.request(engine.questions(node), question, timeout=API_SECONDS)
        try:
            return _answers.decode(answer.data)
        except msgspec.MsgspecError:
            raise OSError(f"node {node} answers what this version does not understand") from None
