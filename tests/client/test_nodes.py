"""A chat with several nodes: a client learns them, goes to another when its own is gone, and nothing is lost or heard
twice; no node gets a byte that TLS has not proven under its own name."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import trustme
from msgspec.structs import replace

from securechat.certificates import client_context
from securechat.client.address import Address
from securechat.client.client import Client
from securechat.client.dialogue import Dialogue
from securechat.client.entrance import enter, pin, resume
from securechat.client.exchange import Exchange
from securechat.client.hearing import Back, Lost
from securechat.client.nodes import Nodes
from securechat.client.profiles import Profile, Profiles
from securechat.client.timeouts import Timeouts
from securechat.config import Cluster
from securechat.errors import Refused, SecurechatError, Unreachable, VerificationFailed
from securechat.limits import NODES
from securechat.protocols.frames import Bye, Join, Joined, Message, Sync, Synced
from tests.client.scripted import HELLO, WELCOME, Peer, authority, authority_file, message, scripted
from tests.client.test_coming_back import LOSS, SECRET, TOKEN, at, comeback, cut
from tests.faults.proxy import Proxy
from tests.server.support import DEADLINE, PASSWORD, make_home, running_server

A, B, C = (Address("alice", host, 7443) for host in ("a.example", "b.example", "c.example"))
SOON = Timeouts(retry=0.001, retry_most=0.01)


@pytest.fixture
def nobody() -> Iterator[int]:
    """A port at which nobody listens, and which nobody else gets meanwhile."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


def connect(port: int, tmp_path: Path, *, nodes: tuple[str, ...] = ()) -> Client:
    ca = authority_file(tmp_path)
    context = client_context(ca)
    return Client.connect("localhost", port, context, "alice", SECRET, authority=ca, nodes=nodes, timeouts=SOON)


def refused(port: int, tmp_path: Path, *nodes: str) -> SecurechatError:
    with pytest.raises(SecurechatError) as raised:
        connect(port, tmp_path, nodes=nodes).close()
    return raised.value


# --- which is next ---------------------------------------------------------------------------------------------------


def rounds(nodes: Nodes, tries: int) -> list[Address]:
    tried = []
    for _ in range(tries):
        nodes.move_on()
        tried.append(nodes.current)
    return tried


def test_every_other_node_is_tried_before_one_is_tried_again() -> None:
    nodes = Nodes(A)
    assert (nodes.are_several, nodes.has_untried, rounds(nodes, 2)) == (False, False, [A, A])
    nodes.told(["a.example:7443", "b.example", "c.example:7443"])
    assert nodes.listed == ("a.example:7443", "b.example:7443", "c.example:7443")
    assert nodes.are_several
    assert set(rounds(nodes, 2)) == {B, C}
    assert not nodes.has_untried
    assert A in rounds(nodes, 2)


def test_where_clients_go_is_spread_over_the_nodes() -> None:
    assert {rounds(Nodes(A, ["b.example", "c.example"]), 1)[0] for _ in range(64)} == {B, C}


def test_what_is_no_address_is_not_tried_and_there_is_a_limit() -> None:
    nodes = Nodes(
        A, ["", "bob@b.example", "b.example:0", "b\u202e.example", "b.example\n", f"{'b' * 300}:1", "c.example"]
    )
    assert nodes.listed == ("c.example:7443",)
    nodes.told(f"n{number}" for number in range(NODES + 1))
    assert len(nodes.listed) == NODES


def test_the_way_to_another_node_is_short_whatever_one_has_asked_for() -> None:
    one = comeback()
    for _ in range(5):
        assert one.wait(LOSS, may_return=True, retry_after=60.0, in_for=0, now=0, elsewhere=True) <= 0.25
    assert one.wait(LOSS, may_return=True, retry_after=60.0, in_for=0, now=0) > 60.0
    # One that lets everybody in and cuts them off is not hurried to.
    waits = [one.wait(LOSS, may_return=True, retry_after=60.0, in_for=0.1, now=0, elsewhere=True) for _ in range(9)]
    assert 15 <= waits[-1] <= 30


# --- from one to another ---------------------------------------------------------------------------------------------


def test_it_goes_on_at_another_node_with_its_token_its_cursors_and_what_it_had_said(tmp_path: Path) -> None:
    said: list[dict[str, Any]] = []
    openings: list[dict[str, Any]] = []

    def first(peer: Peer) -> None:
        peer.let_in(token=TOKEN, nodes=[f"localhost:{one.port}", f"127.0.0.1:{two.port}"])
        assert peer.answer(type="joined", room="lobby", head=0, members=2)["type"] == "join"
        peer.send(message(1, "before"))
        said.append(peer.expect("say"))
        # It stops, and asks for a patience that it is not given: there is another node.
        peer.send({"type": "bye", "code": "shutdown", "message": "The server stops.", "retry_after": 60.0})

    def second(peer: Peer) -> None:
        openings.append(peer.let_in(rooms=at(2)))
        openings.append(peer.answer(type="subscribed", room="lobby", head=2))
        peer.send(message(2, "behind"))
        said.append(peer.store(3))
        peer.leave()

    # Each is proven under the name by which it is reached, and under no other.
    here, there = authority().issue_cert("localhost"), authority().issue_cert("127.0.0.1")
    with scripted(second, leaf=there) as two, scripted(first, leaf=here) as one, connect(one.port, tmp_path) as client:
        nodes = client.nodes
        events = client.events()
        client.request(Join(room="lobby"), Joined)
        pending = client.send("lobby", "hello")
        heard = [next(events) for _ in range(5)]
        assert [type(event) for event in heard] == [Message, Bye, Lost, Back, Message]
        assert pending.wait(DEADLINE).seq == 3
        assert client.address.port == one.port
        assert (len(nodes), client.nodes) == (2, ())
    assert openings[0] == {"type": "resume", "token": TOKEN}
    assert (openings[1]["type"], openings[1]["after"]) == ("subscribe", 1)
    assert said[0]["id"] == said[1]["id"]


def test_it_goes_to_a_node_that_it_was_told_of_while_it_was_in(tmp_path: Path, nobody: int) -> None:
    openings: list[dict[str, Any]] = []

    def first(peer: Peer) -> None:
        peer.let_in(token=TOKEN, nodes=[f"localhost:{one.port}", f"localhost:{nobody}"])
        peer.send({"type": "nodes", "nodes": [f"localhost:{one.port}", f"localhost:{two.port}"]})
        peer.send({"type": "bye", "code": "shutdown", "message": "The server stops.", "retry_after": 60.0})

    def second(peer: Peer) -> None:
        openings.append(peer.let_in())
        peer.leave()

    with scripted(second) as two, scripted(first) as one, connect(one.port, tmp_path) as client:
        events = client.events()
        assert [type(next(events)) for _ in range(3)] == [Bye, Lost, Back]
    assert openings[0] == {"type": "resume", "token": TOKEN}


def test_a_node_that_says_nothing_any_more_is_left_within_seconds() -> None:
    def asked_and_gone(nodes: list[str], *, later: bool = False) -> tuple[float, float]:
        exchange = Exchange(lambda: None)
        dialogue = Dialogue(Nodes(A), comeback(), exchange, Timeouts(), 0.0)
        for frame in (HELLO, {**WELCOME, "nodes": [] if later else nodes}, {"type": "nodes", "nodes": nodes}):
            dialogue.receive(json.dumps(frame).encode() + b"\n", 0.0)
        dialogue.outgoing.clear()
        asked = dialogue.deadline
        dialogue.check(asked)
        assert b'"ping"' in dialogue.outgoing
        gone = dialogue.deadline
        dialogue.check(gone)
        assert isinstance(dialogue.failure, Unreachable)
        return asked, gone

    assert asked_and_gone([]) == (120.0, 240.0)
    assert asked_and_gone(["a.example", "b.example"]) == (5.0, 10.0)
    assert asked_and_gone(["a.example", "b.example"], later=True) == (5.0, 10.0)
    assert Timeouts().among_nodes() == Timeouts(connect=5.0, greet=5.0, silence=5.0)


def test_a_node_that_is_not_proven_gets_nothing_and_is_told_of_when_no_other_lets_one_in(
    tmp_path: Path, nobody: int
) -> None:
    stranger = authority().issue_cert("chat.example")

    def hopes(peer: Peer) -> None:
        peer.send(HELLO)
        peer.receive()

    def lets_in(peer: Peer) -> None:
        peer.let_in()
        peer.leave()

    gone = f"localhost:{nobody}"
    with scripted(hopes, leaf=stranger, refused=True) as false:
        error = refused(nobody, tmp_path, f"localhost:{false.port}", gone)
        assert isinstance(error, VerificationFailed)
        assert "is for chat.example; you asked for localhost" in str(error)
        assert not false.received

    with scripted(hopes, leaf=trustme.CA().issue_cert("localhost"), refused=True) as false, ExitStack() as good:
        right = good.enter_context(scripted(lets_in))
        with connect(false.port, tmp_path, nodes=(gone, f"localhost:{right.port}")) as client:
            assert client.is_in
        assert not false.received


def test_one_that_was_in_learns_of_a_false_node_when_no_other_is_left(tmp_path: Path, nobody: int) -> None:
    def first(peer: Peer) -> None:
        peer.let_in(token=TOKEN, nodes=[f"localhost:{nobody}", f"localhost:{false.port}"])
        assert entered.wait(DEADLINE)
        peer.cut()

    entered = threading.Event()
    stranger = trustme.CA().issue_cert("localhost")
    with (
        scripted(cut, leaf=stranger, refused=True) as false,
        scripted(first) as one,
        connect(one.port, tmp_path) as client,
    ):
        events = client.events()
        entered.set()
        with pytest.raises(VerificationFailed):
            list(events)
        assert not false.received


def test_a_node_that_refuses_the_account_speaks_for_all(tmp_path: Path, nobody: int) -> None:
    def refuse(peer: Peer) -> None:
        peer.send(HELLO)
        peer.expect("login")
        peer.send({"type": "error", "code": "bad-credentials", "message": "No."})

    with scripted(refuse) as one:
        assert isinstance(refused(one.port, tmp_path, f"localhost:{nobody}"), Refused)


def test_when_no_node_answers_that_is_said(tmp_path: Path, nobody: int) -> None:
    assert isinstance(refused(nobody, tmp_path, f"127.0.0.1:{nobody}"), Unreachable)


# --- profiles --------------------------------------------------------------------------------------------------------


def test_a_profile_keeps_the_nodes_and_comes_in_where_one_is_there(tmp_path: Path, nobody: int) -> None:
    profiles = Profiles(tmp_path / "config", tmp_path / "state")
    ca = pin(authority_file(tmp_path))

    def let_in(peer: Peer) -> None:
        openings.append(peer.let_in(token=TOKEN, nodes=told)["type"])
        peer.leave()

    openings: list[str] = []
    told: list[str] = []
    with scripted(let_in, let_in, let_in) as there:
        told += [f"localhost:{nobody}", f"localhost:{there.port}", "no address at all"]
        profiles.save("work", Profile(username="alice", host="localhost", port=there.port, ca=ca))
        enter(profiles, "work", str, password=SECRET, timeouts=SOON).close()
        kept = profiles.get("work")
        assert kept.nodes == (f"localhost:{nobody}", f"localhost:{there.port}")

        # Its own node is gone: the others are tried, with the token, and with a password.
        profiles.save("work", Profile(username="alice", host="localhost", port=nobody, ca=ca, nodes=kept.nodes))
        told.clear()
        resume(profiles, "work", timeouts=SOON).close()
        assert profiles.get("work").nodes == ()
        profiles.keep_nodes("work", kept.nodes)
        enter(profiles, "work", str, password=SECRET, timeouts=SOON).close()
    assert openings == ["login", "resume", "login"]


def test_with_the_systems_cas_no_server_can_leave_nodes_in_a_profile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority_file(tmp_path)))
    profiles = Profiles(tmp_path / "config", tmp_path / "state")

    def let_in(peer: Peer) -> None:
        peer.let_in(token=TOKEN, nodes=["evil.example:7443"])
        peer.leave()

    with scripted(let_in) as server:
        profiles.save("work", Profile(username="alice", host="localhost", port=server.port))
        with enter(profiles, "work", str, password=SECRET, timeouts=SOON) as client:
            assert client.nodes == ("evil.example:7443",)
    assert profiles.get("work").nodes == ()


# --- the real server -------------------------------------------------------------------------------------------------


def test_who_is_cut_off_one_node_after_the_other_misses_nothing_and_says_nothing_twice(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home")
    context = client_context(home / "certs" / "ca.pem")
    heard: list[int] = []
    with running_server(home) as server, Proxy(server.port) as last, ExitStack() as second, ExitStack() as first:
        # Three addresses of one server: what is asked here is what the client does.
        ways = [first.enter_context(Proxy(server.port)), second.enter_context(Proxy(server.port)), last]
        nodes = tuple(f"localhost:{way.port}" for way in ways)
        server.services.change(replace(server.services.config, cluster=Cluster(nodes=nodes)))

        def connect(way: Proxy, username: str) -> Client:
            return Client.connect("localhost", way.port, context, username, PASSWORD, timeouts=Timeouts(retry=0.01))

        with connect(ways[0], "alice") as alice, connect(ways[1], "bob") as bob:
            events = bob.events()
            for client in (alice, bob):
                client.request(Join(room="lobby"), Joined)
            bob.request(Sync(), Synced)
            said = []
            for closing in (first, second, ExitStack()):
                said += [alice.send("lobby", str(number)) for number in range(60)]
                said[-30].wait(DEADLINE)  # some are stored, some are on their way
                closing.close()
            numbers = [pending.wait(DEADLINE).seq for pending in said]
            assert numbers == list(range(numbers[0], numbers[0] + 180))
            for event in events:
                if isinstance(event, Message):
                    heard.append(event.seq)
                    if event.seq == numbers[-1]:
                        break
            assert heard == numbers
            assert bob.welcome.nodes == nodes
