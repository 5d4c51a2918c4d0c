"""What an order does that is kept outside: NATS that is gone, a stream that is not ours, half an entry, a full disk."""

import asyncio
import logging
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Semaphore
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from nats.aio.client import Client

from securechat.chat.chain import SALT_BYTES
from securechat.chat.model import Proposal, Recorded, Rejected
from securechat.chat.names import LOBBY
from securechat.errors import ClusterError, Code, SecurechatError, Unreachable
from securechat.journal.jetstream import link as links
from securechat.journal.jetstream import order as orders
from securechat.journal.jetstream import survey as surveys
from securechat.journal.jetstream import visit as visits
from securechat.journal.jetstream.link import Link
from securechat.journal.jetstream.order import JetStreamOrder
from securechat.journal.jetstream.packs import PACK_BYTES, ROOM_BYTES, encode
from securechat.journal.jetstream.stream import Engine, ready_stream, settings
from securechat.journal.journal import Submission, Terms
from securechat.journal.store import Position, Store
from securechat.limits import Limits
from tests.cluster.servers import NatsServer, ask_nats, engine, nats_servers
from tests.journal.faults import break_store
from tests.journal.support import PATIENCE, RunningJournal, assert_chained, change, running_journal, said

PACK = encode(b"run", 1, Terms(1, 100), [msgspec.Raw(msgspec.msgpack.encode(change("join", "alice")))])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "chat.db"


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[NatsServer]:
    """A server for this test alone, which may be killed."""
    with nats_servers(tmp_path / "nats", 1) as (server,):
        yield server


@contextmanager
def node(path: Path, way: Engine, **limits: Any) -> Iterator[RunningJournal]:
    """A node with its store at `path`."""
    with running_journal(path, Limits(**limits), order=lambda limit: JetStreamOrder(limit, way)) as running:
        yield running


def refusal(path: Path, way: Engine) -> str:
    """Why a node does not go on."""
    with node(path, way) as running:
        failure = running.failures.get(timeout=PATIENCE)
    assert isinstance(failure, SecurechatError)
    return str(failure)


def test_without_nats_authors_are_told_so_and_what_was_on_its_way_is_stored_once_when_it_is_back(
    path: Path, own_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orders, "PATIENCE_SECONDS", 0.2)
    with node(path, engine([own_server])) as running:
        assert running.record(change("join", "alice")).seq == 1
        own_server.kill()
        first, second = said("alice", "1"), said("alice", "2")
        told = running.outcome(first)
        assert isinstance(told, Rejected)
        assert (told.code, told.retry_after) == (Code.UNAVAILABLE, 2.0)
        assert running.outcome(second) == told, "and at once"
        assert [running.journal.is_level] == [False]
        own_server.start()
        while running.outcome(first) == told:
            pass
        assert running.record(first).seq == 2
        assert running.record(second).seq == 3
        assert running.journal.is_level
        assert running.journal.waiting == 0
        assert_chained(running.journal.view.rooms[LOBBY], running.log())


@pytest.mark.parametrize("tries", [1, 99], ids=["over another connection", "over the same"])
def test_what_was_not_acknowledged_is_published_again_and_stored_once(
    tries: int, path: Path, own_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(links, "TRIES", tries)
    monkeypatch.setattr(orders, "PATIENCE_SECONDS", 0.3)
    monkeypatch.setattr(links, "ACK_SECONDS", 0.1)
    with node(path, engine([own_server])) as running:
        while running.outcome(change("join", "alice")) == orders.UNAVAILABLE:
            pass
        own_server.pause()
        assert running.outcome(said("alice", "1")) == orders.UNAVAILABLE
        own_server.go_on()
        while running.outcome(said("alice", "2")) == orders.UNAVAILABLE:
            pass
        assert [record.id for record in running.log()] == ["", "1", "2"]


def test_a_node_stops_though_its_server_does_nothing(
    path: Path, own_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orders, "CLOSE_SECONDS", 0.2)
    with node(path, engine([own_server])) as running:
        running.record(change("join", "alice"))
        own_server.pause()
        running.propose(said("alice", "1"))
        assert running.journal.stop(PATIENCE)
        assert running.readers.next().outcomes[0][1] == orders.UNAVAILABLE


def test_a_node_that_stops_answers_what_it_could_not_have_ordered(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orders, "CLOSE_SECONDS", 0.1)
    nobody = Engine(("nats://127.0.0.1:1",), "none", 1, "one")
    with node(path, nobody) as running:
        one = said("alice", "1")
        running.propose(one)
        assert running.journal.stop(PATIENCE)
        assert running.readers.next().outcomes == [(one, orders.UNAVAILABLE)]
        assert not running.journal.submit([Submission(one, one)])


def test_what_others_stored_is_decided_from_the_middle_of_an_entry_on(path: Path, nats_server: NatsServer) -> None:
    way = engine([nats_server])
    with node(path, way, batch_records=10) as running:
        running.record(change("join", "alice"))
        commits = iter((True, True, False))
        commit = running.store.commit

        def fail_at_the_third(*things: Any, **more: Any) -> None:
            if not next(commits):
                break_store(running.store, "COMMIT", sqlite3.SQLITE_IOERR)
            commit(*things, **more)

        running.store.commit = fail_at_the_third  # type: ignore[method-assign]  # a disk that fails in between
        running.propose(*(said("alice", str(number)) for number in range(25)))
        assert running.failures.get(timeout=PATIENCE)
    with closing(Store(path, "full")) as store:
        assert store.position() == Position(1, 20)
    with node(path, way) as running, node(path.with_name("other.db"), way) as other:
        for one in (running, other):
            assert one.outcome(said("alice", "24")) == Recorded(one.log()[-1], duplicate=True)
            assert [record.id for record in one.log()] == ["", *map(str, range(25))]
        assert running.log() == other.log()
        assert running.journal.view.rooms == other.journal.view.rooms


def test_what_changed_nothing_was_taken_all_the_same_and_is_not_needed_again(
    path: Path, nats_server: NatsServer
) -> None:
    with node(path, engine([nats_server])) as running:
        running.record(change("join", "alice"))
        assert isinstance(running.outcome(said("bob", "1")), Rejected)
        # Not at the end only: who has kept no more is behind the stream when that entry is gone from it.
        assert running.store.position() == Position(2)


def test_a_node_without_room_stops_and_goes_on_when_there_is_some(path: Path, nats_server: NatsServer) -> None:
    way = engine([nats_server])
    with node(path, way) as running:
        running.record(change("join", "alice"))
        break_store(running.store, "COMMIT", sqlite3.SQLITE_FULL)
        running.propose(said("alice", "1"))
        assert "A node that cannot follow the others stops" in str(running.failures.get(timeout=PATIENCE))
    with node(path, way) as running:
        assert running.record(said("alice", "1")).seq == 2


def test_proposals_that_no_node_could_read_never_travel(path: Path, nats_server: NatsServer) -> None:
    with node(path, engine([nats_server])) as running:
        running.record(change("join", "alice"))
        long = Proposal("topic", "alice", LOBBY, text="x" * PACK_BYTES)
        half = said("alice", "1", "\ud800")
        batch = running.settle(long, said("alice", "2"), half)
        codes = [outcome.code if isinstance(outcome, Rejected) else "recorded" for _, outcome in batch.outcomes]
        assert codes == [Code.BAD_TEXT, "recorded", Code.BAD_TEXT]
        assert running.outcome(half).code is Code.BAD_TEXT  # type: ignore[union-attr]  # alone in its pack


def test_packs_are_filled_and_never_too_large_for_the_stream(path: Path, nats_server: NatsServer) -> None:
    empty = msgspec.msgpack.encode(Proposal("say", "alice", LOBBY, "whole-0", salt=bytes(SALT_BYTES)))
    with node(path, engine([nats_server]), text_bytes=PACK_BYTES) as running:
        running.record(change("join", "alice"))
        # The string's own header is three bytes, and one where it is empty.
        text = "y" * (ROOM_BYTES - len(empty) - 2)
        running.propose(*(said("alice", f"whole-{number}", text) for number in range(3)))
        running.propose(*(said("alice", f"long-{number}", "y" * 16_000) for number in range(6)))
        seqs: list[int] = []
        while len(seqs) < 9:
            seqs += [o.record.seq for _, o in running.readers.next().outcomes if isinstance(o, Recorded)]
        assert seqs == list(range(2, 11))


def test_a_stream_with_other_settings_is_not_followed(path: Path, nats_server: NatsServer) -> None:
    way = engine([nats_server])
    asyncio.run(
        ask_nats(nats_server, lambda stream: stream.add_stream(name=way.stream, subjects=[f"{way.stream}.log.>"]))
    )
    why = refusal(path, way)
    assert f"The stream {way.stream} is not as a cluster needs it: " in why
    assert "discard is old and not new" in why


def test_an_entry_that_is_no_pack_stops_the_node(path: Path, nats_server: NatsServer) -> None:
    way = engine([nats_server])
    with node(path, way) as running:
        running.record(change("join", "alice"))
    asyncio.run(ask_nats(nats_server, lambda stream: stream.publish(f"{way.stream}.log.x", b"{}")))
    assert "Entry 2 of the cluster's stream cannot be read" in refusal(path, way)


def test_a_leader_that_has_not_caught_up_with_its_own_stream_is_no_other_stream(
    path: Path, nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    way, short = engine([nats_server]), iter([True, True])

    async def short_at_first(client: Client, engine: Engine) -> Any:
        info = await ready_stream(client, engine)
        if next(short, False):
            info.state.last_seq = 0
        return info

    with node(path, way) as running:
        assert running.record(change("join", "alice")).seq == 1
    monkeypatch.setattr(links, "ready_stream", short_at_first)
    with node(path, way) as running:
        assert running.record(said("alice", "1")).seq == 2
        assert running.failures.empty()
    assert not next(short, False)


def test_a_node_that_was_away_too_long_or_followed_another_stream_says_so(
    path: Path, nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(links, "SHORT_SECONDS", 0.0)
    way = engine([nats_server])
    with node(path, way) as running:
        for number in range(3):
            running.settle(change("join", f"guest-{number}"))
    asyncio.run(ask_nats(nats_server, lambda stream: stream.purge_stream(way.stream, seq=3)))
    assert "it begins at 3 now" in refusal(path.with_name("new.db"), way)
    assert "ends at 0: it is another, or has lost some" in refusal(path, engine([nats_server]))


def test_a_server_that_is_too_old_is_not_used(
    path: Path, nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("securechat.journal.jetstream.stream.OLDEST_SERVER", (9, 0))
    assert "and a cluster needs 9.0 or newer" in refusal(path, engine([nats_server]))


def test_reading_begins_anew_where_nothing_is_heard_any_more(
    path: Path, nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What the server is asked for stays a word a second.
    monkeypatch.setattr(links, "HEARTBEAT_SECONDS", 0.05)
    rounds, begin = Semaphore(0), JetStreamOrder.begin

    def begun(order: JetStreamOrder, last: int) -> None:
        begin(order, last)
        rounds.release()

    monkeypatch.setattr(JetStreamOrder, "begin", begun)
    with node(path, engine([nats_server])) as running:
        for number in range(3):
            assert rounds.acquire(timeout=PATIENCE)
            assert running.record(change("join", f"guest-{number}")).seq == number + 1


def test_no_more_is_read_than_there_is_room_for(
    path: Path, nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(links, "ENTRIES", 2)
    monkeypatch.setattr(orders, "READ_AHEAD", 1)
    with node(path, engine([nats_server])) as running:
        for number in range(7):
            assert running.record(change("join", f"guest-{number}")).seq == number + 1


def test_from_round_to_round_no_entry_is_heard_twice_and_none_is_missed(nats_server: NatsServer) -> None:
    order = JetStreamOrder(10, engine([nats_server]))
    link = Link(engine([nats_server]), order)

    def entry(sequence: int, status: str | None = None) -> Any:
        place = SimpleNamespace(sequence=SimpleNamespace(stream=sequence))
        return SimpleNamespace(headers={"Status": status} if status else None, metadata=place, data=PACK)

    async def hear(*messages: Any) -> None:
        heard: asyncio.Queue[Any] = asyncio.Queue()
        for message in messages:
            heard.put_nowait(message)
        await link._read_some(heard)

    order.start(Position, lambda: Terms(1, 1), str, bytes)
    try:
        asyncio.run(hear(entry(1), entry(0, "100"), entry(1), entry(2), entry(0, "408")))
        assert order.read == 2
        with pytest.raises(TimeoutError, match="entry 3 was not delivered"):
            asyncio.run(hear(entry(4)))
        # What was not acknowledged in one round is what the next begins with.
        order.submit([Submission(change("join", "bob"), None)])
        parcel = asyncio.run(order.outgoing())
        order.begin(9)
        assert asyncio.run(order.outgoing()) is parcel
        assert not order.is_level
    finally:
        order.end()


def test_a_connection_that_was_just_lost_is_no_old_server(nats_server: NatsServer) -> None:
    way = engine([nats_server])

    async def info(name: str) -> Any:
        return SimpleNamespace(config=settings(way))

    stream = SimpleNamespace(stream_info=info)
    client: Any = SimpleNamespace(
        connected_server_version=Client().connected_server_version, jetstream=lambda timeout: stream
    )
    assert asyncio.run(ready_stream(client, way)).config.name == way.stream


def test_a_node_that_is_only_behind_refuses_for_a_moment_and_not_for_ever(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orders, "PATIENCE_SECONDS", 0.0)
    monkeypatch.setattr(orders, "HOLD_SECONDS", 0.0)
    order = JetStreamOrder(10, engine([nats_server]))
    order.start(Position, lambda: Terms(1, 1), str, bytes)
    try:
        order._link.is_reading = True
        order.submit([Submission(change("join", "alice"), "stored, and not read back")])
        asyncio.run(order.outgoing())
        order.stored()
        order._lose_patience()
        order.submit([Submission(change("join", "bob"), "next")])
        assert asyncio.run(order.outgoing())
        order._lose_patience()
        order.submit([Submission(change("join", "carol"), "refused")])
        order.stored()
        order.submit([Submission(change("join", "dan"), "taken")])
        answered = [one.submission.origin for one in order._ready if one.submission.answer]
        assert answered == ["stored, and not read back", "next", "refused"]
    finally:
        order.end()


def test_the_same_trouble_is_logged_once(nats_server: NatsServer, caplog: pytest.LogCaptureFixture) -> None:
    link = Link(engine([nats_server]), JetStreamOrder(1, engine([nats_server])))
    for trouble in ("away", "away", "back", "away"):
        link._note(OSError(trouble))
    assert [record.getMessage() for record in caplog.records] == ["NATS: OSError: away", "NATS: OSError: back"]


def test_a_stream_that_takes_the_request_and_nothing_else_is_not_said_to_be_followed(
    nats_server: NatsServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    order = JetStreamOrder(1, engine([nats_server]))
    link = Link(engine([nats_server]), order)

    async def taken(*_: Any, **__: Any) -> Any:
        return SimpleNamespace(name="one", unsubscribe=taken)

    async def failing(*_: Any, **__: Any) -> None:
        raise OSError("no room")

    stream = SimpleNamespace(add_consumer=taken)
    client: Any = SimpleNamespace(new_inbox=str, subscribe=taken, publish=failing, jetstream=lambda timeout: stream)

    async def rounds() -> None:
        for _ in range(3):
            with pytest.raises(OSError, match="no room") as failed:
                await link._follow(client)
            link._note(failed.value)
        heard: asyncio.Queue[Any] = asyncio.Queue()
        for status in ("100", "100", "408"):
            heard.put_nowait(SimpleNamespace(headers={"Status": status}))
        await link._read_some(heard)

    asyncio.run(rounds())
    assert caplog.messages == ["NATS: OSError: no room", f"following the stream {link._engine.stream} behind entry 0"]


def test_trouble_is_told_again_once_the_stream_was_followed_in_between(
    path: Path, own_server: NatsServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(orders, "PATIENCE_SECONDS", 0.1)

    def told() -> set[str]:
        return {text for text in caplog.messages if text.startswith("NATS: ")}

    with node(path, engine([own_server])) as running:
        before: set[str] = set()
        for number in range(2):
            while isinstance(running.outcome(change("join", f"guest-{number}")), Rejected):
                pass
            caplog.clear()
            own_server.kill()
            deadline = time.monotonic() + PATIENCE
            while not (told() & before if before else told()):
                assert time.monotonic() < deadline
                running.outcome(change("join", "bob"))
            before = told()
            own_server.start()


def test_a_bug_in_following_stops_the_node(
    path: Path, nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(link: Link) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(Link, "serve", broken)
    assert "The node stopped on a bug: RuntimeError" in refusal(path, engine([nats_server]))


def test_an_order_that_never_began_can_be_ended(nats_server: NatsServer) -> None:
    order = JetStreamOrder(10, engine([nats_server]))
    order.close()
    order.end()
    assert not order.submit([])


def test_a_cluster_can_be_asked_how_far_its_nodes_are(
    path: Path, nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    way = engine([nats_server])
    assert surveys.extent(way) is None
    with pytest.raises(ClusterError, match="There is no stream"):
        surveys.survey(way, 0.0)
    with node(path, way) as one, node(path.with_name("other.db"), engine([nats_server], way.stream, "two")) as other:
        one.record(change("join", "alice"))
        other.record(change("join", "bob"))
        assert one.readers.next().view.rooms[LOBBY].members == {"alice", "bob"}
        found = surveys.survey(way, 1.0)
        assert [(report.node, report.entry, report.is_level) for report in found.nodes] == [
            ("one", 2, True),
            ("two", 2, True),
        ]
        assert (found.first, found.last, found.differ) == (1, 2, False)
        assert len({report.digest for report in found.nodes}) == 1
        astray = replace(found, nodes=[*found.nodes, replace(found.nodes[0], digest="another")])
        assert astray.differ
    assert surveys.survey(way, 0.0).nodes == []
    assert surveys.extent(way) == (1, 2)
    monkeypatch.setattr(visits, "CONNECT_SECONDS", 0.2)
    with pytest.raises(Unreachable, match="NATS does not answer"):
        surveys.survey(Engine(("nats://127.0.0.1:1",), "none", 1, "one"))
