"""Connections that break anywhere: nothing is half-taken, nothing comes twice, and the others notice nothing."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Literal

import pytest

from tests.faults.authors import ROOM
from tests.faults.breaks import break_connections
from tests.faults.proxy import Proxy
from tests.server.support import Peer, make_home, running_server


def test_connections_that_break_at_any_byte_lose_and_double_nothing(tmp_path: Path, seed: int) -> None:
    report = break_connections(tmp_path, 10, seed)
    assert report.counts.flawless, report
    assert report.breaks == 10
    assert report.resent > 0
    assert report.misheard == 0
    assert report.undisturbed == 1


@pytest.mark.parametrize("end", ["close", "reset", "half-close", "goodbye"])
def test_a_frame_that_is_cut_in_the_middle_is_not_taken(
    tmp_path: Path, end: Literal["close", "reset", "half-close", "goodbye"]
) -> None:
    home = make_home(tmp_path / "home")
    say = {"type": "say", "id": "cut", "room": ROOM, "text": "whole or not at all"}
    line = json.dumps(say).encode() + b"\n"
    with running_server(home) as server, Proxy(server.port) as proxy, Peer(server.port) as bob:
        bob.login("bob")
        bob.join()
        # At the first byte, within the text, and where nothing is missing but the end of the line.
        for sent in (1, len(line) // 2, len(line) - 1):
            with Peer(proxy.port) as alice:
                alice.login("alice")
                alice.send({"type": "join", "room": ROOM})
                alice.expect("joined", "error")
                alice.send_bytes(line[:sent])
                (link,) = proxy.links()
                if end == "goodbye":
                    with suppress(OSError):  # the server has something to say about that
                        alice.socket.unwrap()
                elif end == "half-close":
                    link.half_close()
                    with suppress(OSError):  # the server's alert: what was said had no proper end
                        alice.ends()
                else:
                    link.cut(end)
            assert bob.say("bob is here", id=f"after-{sent}")["type"] == "ack"
        bob.send({"type": "history", "room": ROOM, "after": 0, "limit": 500})
        texts = [record["text"] for record in bob.expect("page")["records"] if record["type"] == "message"]
        assert texts == ["bob is here"] * 3
        with Peer(server.port) as alice:
            alice.login("alice")
            assert "duplicate" not in alice.say("whole or not at all", id="cut")
