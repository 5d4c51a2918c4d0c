"""A stream that goes on from a server's history begins by saying so, once; who does not have it stops there."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from securechat.errors import ClusterError, StorageFailed
from securechat.journal.jetstream import founding
from securechat.journal.jetstream.founding import found
from securechat.journal.jetstream.order import JetStreamOrder
from securechat.journal.jetstream.packs import decode_founding
from securechat.journal.store import Position, Store
from tests.cluster.servers import NatsServer, ask_nats, engine
from tests.journal.faults import break_store
from tests.journal.support import PATIENCE, change, running_journal


def test_a_stream_is_begun_once_and_by_one_history(nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    way = engine([nats_server])
    found(way, "a history")
    found(way, "a history")
    info = asyncio.run(ask_nats(nats_server, lambda nats: nats.stream_info(way.stream)))
    assert info.state.last_seq == 1
    with pytest.raises(ClusterError, match="has begun with another history"):
        found(way, "another")

    async def ready(*_: Any) -> Any:
        return SimpleNamespace(state=SimpleNamespace(last_seq=0))

    # Two that find it empty at the same time.
    with monkeypatch.context() as quicker:
        quicker.setattr(founding, "ready_stream", ready)
        with pytest.raises(ClusterError, match="has begun with another history"):
            found(way, "another")
    asyncio.run(ask_nats(nats_server, lambda nats: nats.purge_stream(way.stream)))
    with pytest.raises(ClusterError, match="has begun with another history"):
        found(way, "a history")
    assert decode_founding(b"\xc1") is None


def test_a_node_without_that_history_stops(tmp_path: Path, nats_server: NatsServer) -> None:
    way = engine([nats_server])
    found(way, "a history")
    with running_journal(tmp_path / "chat.db", order=lambda limit: JetStreamOrder(limit, way)) as running:
        assert "goes on from a history (entry 1)" in str(running.failures.get(timeout=PATIENCE))


def test_a_store_that_was_a_nodes_can_be_one_of_its_own(tmp_path: Path, nats_server: NatsServer) -> None:
    path = tmp_path / "chat.db"
    with running_journal(path, order=lambda limit: JetStreamOrder(limit, engine([nats_server]))) as running:
        running.record(change("join", "alice"))
    with closing(Store(path, "full")) as store:
        assert store.position() == Position(1)
        store.leave()
        assert store.position() == Position()
        break_store(store, "DELETE", sqlite3.SQLITE_IOERR)
        with pytest.raises(StorageFailed):
            store.leave()
