"""A server for each test of the examples, and a profile in use there."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from securechat.client.address import Address
from securechat.client.entrance import keep_session, log_in
from securechat.client.profiles import Profile, Profiles
from securechat.server.server import Server
from tests.server.support import PASSWORD, make_home, peer, running_server


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server, and a profile in use of the account alice, who is in the lobby."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    ca = make_home(tmp_path / "home") / "certs" / "ca.pem"
    with running_server(tmp_path / "home") as running:
        profiles = Profiles.of_person()
        profiles.save("here", Profile(username="alice", host="localhost", port=running.port, ca=ca.read_text()))
        with log_in(Address("alice", "localhost", running.port), ca, PASSWORD) as client:
            keep_session(profiles, "here", client)
        with peer(running, "alice", room="lobby"):
            pass
        yield running
