"""What was said outlives the client on disk until it is stored, and is sent again under the same ids (TRUST D6)."""

import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from securechat.certificates import client_context
from securechat.client.client import Client
from securechat.client.outbox import Line, Outbox
from securechat.errors import Refused, SecurechatError, Unreachable
from securechat.limits import CLIENT_OUTBOX
from tests.client.scripted import DEADLINE, Peer, ScriptedServer, authority_file, scripted

SAY_AND_DIE = """
import os, signal, sys
from pathlib import Path
from securechat.certificates import client_context
from securechat.client.client import Client
port, ca, outbox = int(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])
client = Client.connect("localhost", port, client_context(ca), "alice", "secret", outbox=outbox)
first = client.say("lobby", "stored", id="first")
for number in range(3):
    client.send("lobby", f"line {number}", id=f"id-{number}")
os.kill(os.getpid(), signal.SIGKILL)
"""

KEEP = """
import sys
from pathlib import Path
from securechat.client.outbox import Line, Outbox
box = Outbox(Path(sys.argv[1]), "alice@localhost:7443")
for number in range(4):
    box.add(Line(f"{sys.argv[2]}-{number}", "lobby", "text"))
box.settle([f"{sys.argv[2]}-{number}" for number in (0, 2)])
box.close()
"""


def connect(server: ScriptedServer, tmp_path: Path) -> Client:
    context = client_context(authority_file(tmp_path))
    folder = tmp_path / "outbox"
    # The same port again: the account at this server is what an outbox belongs to.
    return Client.connect("localhost", server.port, context, "alice", "secret", outbox=folder)


def test_what_a_killed_client_said_is_sent_by_the_next_one_with_the_same_ids_in_order(tmp_path: Path) -> None:
    again: list[tuple[str, str]] = []
    dead = threading.Event()

    def first(peer: Peer) -> None:
        peer.let_in()
        peer.store(1)
        assert dead.wait(DEADLINE)

    def second(peer: Peer) -> None:
        peer.let_in()
        for seq in (2, 3, 4):
            say = peer.store(seq)
            again.append((say["id"], say["text"]))
        peer.leave()

    def third(peer: Peer) -> None:
        peer.let_in()
        peer.leave()

    ca = authority_file(tmp_path)
    with scripted(first, second, third) as server:
        arguments = [str(server.port), str(ca), str(tmp_path / "outbox")]
        died = subprocess.run([sys.executable, "-c", SAY_AND_DIE, *arguments], timeout=DEADLINE, check=False)
        dead.set()
        assert died.returncode == -signal.SIGKILL
        with connect(server, tmp_path) as client:
            assert [line.wait(DEADLINE).seq for line in client.left_over] == [2, 3, 4]
        with connect(server, tmp_path) as client:
            assert client.left_over == ()
    assert again == [(f"id-{number}", f"line {number}") for number in range(3)]


def test_a_refused_line_stays_with_its_reason_until_somebody_has_seen_it(tmp_path: Path) -> None:
    def refuse(peer: Peer) -> None:
        peer.let_in()
        peer.answer(type="error", code="not-member", message="Join \x1b lobby first.")
        peer.leave()

    def nothing(peer: Peer) -> None:
        peer.let_in()
        peer.leave()

    with scripted(refuse, nothing, nothing) as server:
        with connect(server, tmp_path) as client, pytest.raises(Refused):
            client.say("lobby", "hello")
        with connect(server, tmp_path) as client:
            (failed,) = client.left_over
            assert (failed.state, failed.text, str(failed.failure)) == ("failed", "hello", "Join \\u{1B} lobby first.")
            client.forget(failed)
            assert client.left_over == ()
        with connect(server, tmp_path) as client:
            assert client.left_over == ()


def test_a_line_without_an_answer_is_kept_when_the_client_is_closed(tmp_path: Path) -> None:
    def silent(peer: Peer) -> None:
        peer.let_in()
        peer.expect("say")
        peer.leave()

    with scripted(silent) as server:
        with connect(server, tmp_path) as client:
            pending = client.send("lobby", "hello", reply_to=7)
        with pytest.raises(Unreachable, match="is kept, and sent again"):
            pending.wait(DEADLINE)
        box = Outbox(tmp_path / "outbox", f"alice@localhost:{server.port}")
        assert box.lines() == [Line(pending.id, "lobby", "hello", 7)]
        box.close()


def test_the_same_id_is_on_its_way_once(tmp_path: Path) -> None:
    go = threading.Event()

    def script(peer: Peer) -> None:
        peer.let_in()
        assert go.wait(DEADLINE)
        peer.store(1)
        peer.leave()

    with scripted(script) as server, connect(server, tmp_path) as client:
        first = client.send("lobby", "hello", id="mine")
        assert client.send("lobby", "hello", id="mine") is first
        with pytest.raises(Refused) as refused:
            client.send("lobby", "another", id="mine")
        assert refused.value.code == "id-reused"
        go.set()
        assert first.wait(DEADLINE).seq == 1


def test_an_outbox_is_for_its_owner_and_for_all_its_clients_at_once(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    before = os.umask(0)
    try:
        box = Outbox(folder, "alice@[::1]:7443")
    finally:
        os.umask(before)
    box.add(Line("a", "lobby", "secret words"))
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for path in folder.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "secret words" not in repr(box.lines())
    other = Outbox(folder, "alice@[::1]:7443")
    other.add(Line("b", "lobby", "more"))
    other.add(Line("a", "lobby", "under an id that is taken"))
    other.settle([], [("a", "not-member", "No.")])
    assert box.lines() == [Line("a", "lobby", "secret words", 0, "not-member", "No."), Line("b", "lobby", "more")]
    other.close()
    box.add(Line("a", "lobby", "secret words"))
    assert box.lines()[0] == Line("a", "lobby", "secret words"), "it waits again"
    of_bob = Outbox(folder, "bob@[::1]:7443")
    assert of_bob.lines() == []
    of_bob.close()
    box.close()
    with pytest.raises(SecurechatError, match="cannot be used"):
        box.add(Line("c", "lobby", "too late"))


def test_clients_that_make_an_outbox_at_once_and_write_it_at_once_lose_nothing(tmp_path: Path) -> None:
    many = [subprocess.Popen([sys.executable, "-c", KEEP, str(tmp_path), str(who)]) for who in range(3)]
    assert [one.wait(DEADLINE) for one in many] == [0] * 3
    box = Outbox(tmp_path, "alice@localhost:7443")
    assert sorted(line.id for line in box.lines()) == sorted(f"{who}-{number}" for who in range(3) for number in (1, 3))
    box.close()


def test_an_outbox_where_none_can_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no database, and no folder")
    with pytest.raises(SecurechatError, match="cannot be used"):
        Outbox(tmp_path / "file", "alice@localhost:7443")
    (tmp_path / "alice@localhost%3A7443.outbox").write_text("no database" * 1_000)
    with pytest.raises(SecurechatError, match="cannot be used"):
        Outbox(tmp_path, "alice@localhost:7443")


def test_refused_lines_that_nobody_looks_at_are_not_kept_for_ever(tmp_path: Path) -> None:
    box = Outbox(tmp_path, "alice@localhost:7443")
    ids = [f"id-{number}" for number in range(CLIENT_OUTBOX + 3)]
    box.add(Line("pending", "lobby", "text"))
    with box._lock:
        box._connection.execute("PRAGMA synchronous=OFF")
    for id in ids:
        box.add(Line(id, "lobby", "text"))
    box.settle([], [(id, "not-member", "No.") for id in ids])
    kept = [line.id for line in box.lines()]
    assert kept == ["pending", *ids[3:]]
    box.settle(["pending"])
    assert len(box.lines()) == CLIENT_OUTBOX
    box.close()
