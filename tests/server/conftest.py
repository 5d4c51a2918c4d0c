"""A server for each test that asks for one; what it needs is made once a test, its certificate once a run."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from securechat.server.server import Server
from tests.cluster.servers import NatsServer, node_settings
from tests.server.support import Heard, make_home, running_server


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The home of a server: certificates, and accounts that all have the same password."""
    return make_home(tmp_path / "home")


@pytest.fixture
def server(home: Path, request: pytest.FixtureRequest, nats_server: NatsServer) -> Iterator[Server]:
    """A running server, with two reactors where the test does not say how many (`with_any_number_of_reactors`)."""
    kind = getattr(request, "param", 2)
    cluster = node_settings([nats_server]) if kind == "node" else None
    with running_server(home, reactors=2 if kind == "node" else kind, cluster=cluster) as server:
        yield server


@pytest.fixture
def told() -> Iterator[Heard]:
    """What servers log during the test."""
    heard, source = Heard(), logging.getLogger("securechat.server")
    before = source.level
    source.addHandler(heard)
    source.setLevel(logging.INFO)
    yield heard
    source.removeHandler(heard)
    source.setLevel(before)
