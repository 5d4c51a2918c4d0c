"""The search index follows the log by itself: whatever holds it up holds up nothing else."""

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from securechat.chat.model import Room
from securechat.journal.search import Index
from tests.server.support import DEADLINE, peer, running_server


def test_an_index_that_hangs_delays_no_acknowledgement_no_reader_and_no_search(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hangs, goes_on = threading.Event(), threading.Event()
    follow = Index.follow

    def held_up(self: Index, log: Any, rooms: Mapping[str, Room]) -> bool:
        if rooms["lobby"].head > 2:
            hangs.set()
            assert goes_on.wait(DEADLINE)
        return follow(self, log, rooms)

    monkeypatch.setattr(Index, "follow", held_up)
    with (
        running_server(home) as server,
        peer(server, "alice", room="lobby") as alice,
        peer(server, "bob", room="lobby") as bob,
    ):
        assert alice.say("tea at four", id="one")["type"] == "ack"
        assert hangs.wait(DEADLINE)
        for number in range(50):
            assert alice.say("tea at five", id=f"more-{number}")["type"] == "ack"
        assert len(bob.messages(51)) == 51
        bob.send({"type": "search", "text": "tea"})
        assert bob.expect("found", "error")["type"] == "found"
        goes_on.set()
        hits: list[object] = []
        while len(hits) < 51:
            bob.send({"type": "search", "text": "tea", "limit": 100})
            hits = bob.expect("found")["hits"]
