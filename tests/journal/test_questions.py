"""What nodes tell each other of their chains, and what is made of it: the first record that is not the same."""

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from securechat.chat.model import Expire, Room
from securechat.chat.names import LOBBY
from securechat.errors import Unreachable
from securechat.journal import questions
from securechat.journal.continuity import StoredChains, difference, gap
from securechat.journal.jetstream import asking
from securechat.journal.jetstream.asking import AskedChains
from securechat.journal.jetstream.order import JetStreamOrder
from securechat.journal.jetstream.stream import Engine
from securechat.journal.questions import Answer, Question, answer
from securechat.journal.verify import Flaw
from tests.cluster.servers import NatsServer, engine
from tests.journal.support import RunningJournal, change, running_journal, said


@contextmanager
def node(path: Path, way: Engine) -> Iterator[RunningJournal]:
    with running_journal(path, order=lambda limit: JetStreamOrder(limit, way)) as running:
        yield running


def test_another_nodes_chains_are_compared_as_ones_own(
    tmp_path: Path, nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(questions, "AT_ONCE", 2)
    monkeypatch.setattr(asking, "AT_ONCE", 2)
    way = engine([nats_server])
    with ExitStack() as open_:
        served = open_.enter_context(node(tmp_path / "1", way))
        ours = open_.enter_context(running_journal(tmp_path / "2"))
        common = [change("join", "alice"), *(change("create", "alice", f"room-{number}") for number in range(5))]
        common += [replace(said("alice", f"c{number}"), salt=bytes(16)) for number in range(20)]
        for running in (served, ours):
            running.outcome(change("join", "bob"))
            running.settle(*common)
        reader = open_.enter_context(closing(ours.store.reader()))

        def asked() -> AskedChains:
            return AskedChains(way, way.node, StoredChains(reader).heads())

        assert asked().heads() == StoredChains(reader).heads()
        assert difference(asked(), StoredChains(reader)) is None
        served.outcome(said("alice", "more"))
        assert difference(StoredChains(reader), asked()) is None
        assert gap(StoredChains(reader), asked()) is None
        ours.settle(replace(said("alice", "more", "of another kind"), salt=bytes(16)), said("alice", "and more"))
        found = Flaw(LOBBY, 23, "It is not the same in both.")
        assert difference(StoredChains(reader), asked()) == difference(asked(), StoredChains(reader)) == found
        served.outcome(Expire(LOBBY, 22))
        assert asked().hash_at(LOBBY, 22) == StoredChains(reader).hash_at(LOBBY, 22)
        assert asked().hash_at(LOBBY, 21) is asked().hash_at("nowhere", 1) is None
    with pytest.raises(Unreachable, match="no responders"):
        AskedChains(way, way.node, {})


def test_what_is_no_question_is_not_answered_and_no_answer_is_not_understood(
    nats_server: NatsServer, tmp_path: Path
) -> None:
    assert answer(b"\xc1", {}, lambda _: {}) == answer(b"\x81\xa1x\x01", {}, lambda _: {}) == b""
    way = engine([nats_server])
    with node(tmp_path / "1", way) as running:
        running.outcome(change("join", "alice"))
        running.journal._order.answer = lambda data: b"\xc1"  # type: ignore[attr-defined]
        with pytest.raises(Unreachable, match="does not understand"):
            AskedChains(way, way.node, {})
        # One that says the same again and again is asked no more, and one that says less than was asked is not known.
        heads = msgspec.msgpack.encode(Answer([("den", 1, bytes(32))]))
        running.journal._order.answer = lambda data: heads  # type: ignore[attr-defined]
        assert AskedChains(way, way.node, {}).hash_at("den", 2) is None


def test_no_more_is_answered_than_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(questions, "AT_ONCE", 2)
    rooms = {name: Room(name) for name in ("c", "b", "a")}

    def ask(question: Question) -> Answer:
        named = answer(msgspec.msgpack.encode(question), rooms, lambda places: dict.fromkeys(places))
        return msgspec.msgpack.decode(named, type=Answer)

    assert [head[0] for head in ask(Question()).heads] == ["a", "b"]
    assert [head[0] for head in ask(Question("b")).heads] == ["c"]
    assert len(ask(Question(places=[("a", 0)] * 3)).hashes) == 2
