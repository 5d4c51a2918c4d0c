"""The client against the real server: both agree on the protocol, and people really talk."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from securechat.certificates import client_context
from securechat.client.client import Client
from securechat.client.timeouts import Timeouts
from securechat.errors import Refused, Unreachable
from securechat.protocols.frames import (
    Create,
    Created,
    History,
    Join,
    Joined,
    Leave,
    Left,
    MemberList,
    Members,
    Message,
    Page,
    Ping,
    PongAnswer,
    RoomList,
    Rooms,
    Subscribe,
    Subscribed,
    Sync,
    Synced,
)
from securechat.server.server import Server
from tests.client.screens import OnScreen
from tests.cluster.servers import NatsServer, node_settings
from tests.server.support import DEADLINE, PASSWORD, make_home, running_server


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return make_home(tmp_path / "home")


@pytest.fixture(params=["alone", "node"])
def server(home: Path, request: pytest.FixtureRequest, nats_server: NatsServer) -> Iterator[Server]:
    """A server that stands alone, and a node of a cluster: a client cannot tell."""
    cluster = node_settings([nats_server]) if request.param == "node" else None
    with running_server(home, cluster=cluster) as running:
        yield running


def connect(server: Server, home: Path, username: str, **timeouts: float) -> Client:
    ca = home / "certs" / "ca.pem"
    waits = Timeouts(**timeouts)
    context = client_context(ca)
    return Client.connect("localhost", server.port, context, username, PASSWORD, authority=ca, timeouts=waits)


def test_every_request_has_the_answer_that_the_client_expects(server: Server, home: Path) -> None:
    with connect(server, home, "alice") as alice:
        assert alice.welcome.username == "alice"
        assert alice.request(Create(room="ops"), Created).room == "ops"
        assert alice.request(Join(room="lobby"), Joined).members == 1
        assert alice.request(Members(room="ops"), MemberList).members == ("alice",)
        assert {state.room for state in alice.request(Rooms(), RoomList).rooms} == {"lobby", "ops"}
        seq = alice.say("ops", "hello").seq
        assert alice.request(History(room="ops", after=seq - 1), Page).records[0].seq == seq
        assert alice.request(Subscribe(room="ops"), Subscribed).head == seq
        assert isinstance(alice.request(Sync(), Synced), Synced)
        assert isinstance(alice.request(Ping(), PongAnswer), PongAnswer)
        assert alice.request(Leave(room="ops"), Left).room == "ops"
        with pytest.raises(Refused) as refused:
            alice.say("ops", "still here?")
        assert refused.value.code == "not-member"


def test_the_same_id_is_stored_once(server: Server, home: Path) -> None:
    with connect(server, home, "alice") as alice:
        alice.request(Join(room="lobby"), Joined)
        first = alice.say("lobby", "hello", id="mine")
        again = alice.say("lobby", "hello", id="mine")
        assert (again.seq, again.duplicate) == (first.seq, True)


def test_many_who_talk_at_once_hear_the_same_in_the_same_order(server: Server, home: Path) -> None:
    names, lines = ["alice", "bob", "carol"], 150
    heard: dict[str, list[tuple[int, str]]] = {name: [] for name in names}
    start = threading.Barrier(len(names))

    def take_part(name: str) -> None:
        with connect(server, home, name) as client:
            client.events()
            client.request(Join(room="lobby"), Joined)
            start.wait(DEADLINE)
            listener = threading.Thread(target=listen, args=(client, heard[name]))
            listener.start()
            said = [client.send("lobby", f"{name} {number}") for number in range(lines)]
            numbers = [pending.wait(DEADLINE).seq for pending in said]
            assert numbers == sorted(numbers)
            listener.join(DEADLINE)

    def listen(client: Client, into: list[tuple[int, str]]) -> None:
        for event in client.events():
            if isinstance(event, Message):
                into.append((event.seq, event.text))
                if len(into) == lines * len(names):
                    return

    threads = [threading.Thread(target=take_part, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)
    assert len(heard["alice"]) == lines * len(names)
    assert heard["alice"] == heard["bob"] == heard["carol"]
    numbers = [seq for seq, _ in heard["alice"]]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def test_a_wrong_password_is_refused_and_a_stopping_server_says_goodbye(server: Server, home: Path) -> None:
    ca = home / "certs" / "ca.pem"
    with pytest.raises(Refused) as refused:
        Client.connect("localhost", server.port, client_context(ca), "alice", "wrong")
    assert refused.value.code == "bad-credentials"
    with connect(server, home, "alice", outage=0.0) as alice:
        server.stop()
        with pytest.raises(Unreachable, match=r"The server ended the connection: The server stops\."):
            for _ in alice.events():
                pass


def test_two_people_talk(server: Server, home: Path) -> None:
    with (
        OnScreen("connect", "--plain", f"alice@localhost:{server.port}", "--home", home) as screen,
        connect(server, home, "bob") as bob,
    ):
        screen.wait_for("Password of")
        screen.enter(PASSWORD)
        screen.wait_for("-- You are in lobby: 1 member.", "lobby>")
        bob.request(Join(room="lobby"), Joined)
        bob.say("lobby", "hello alice")
        screen.wait_for("bob: hello alice")
        screen.enter("hello bob")
        screen.wait_for(" alice #4: hello bob")
        # A direct message comes though alice never named the room, and whoever was not there.
        bob.say("@alice", "psst")
        screen.wait_for("[@bob] bob: psst")
        screen.enter("/msg @bob yes?")
        screen.wait_for("[@bob] alice #2: yes?")
        screen.enter("/msg @nobody hello?")
        screen.wait_for("-- Not stored: There is no account nobody. You said: hello?")
        screen.enter("/quit")
        assert screen.end() == 0
        assert screen.modes() == screen.modes_before
