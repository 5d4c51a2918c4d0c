"""The servers to compare with: whoever is in a room hears everything once and in order, and authors are told."""

import selectors
import socket
import ssl
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from bench.subjects import Serving, Subject
from bench.subjects.asyncio_chat import AsyncioChat
from bench.subjects.inspircd import Inspircd
from bench.subjects.mosquitto import Mosquitto
from bench.subjects.tutorial import Tutorial
from bench.talker import Heard, Talker
from bench.talkers.irc import Irc
from bench.talkers.lines import Lines
from bench.talkers.mqtt import Mqtt
from bench.talkers.native import Native

ACCOUNTS = ["u1", "u2", "u3"]
MESSAGES = 40
DEADLINE = 20.0
"""Seconds after which a test gives up; InspIRCd takes one for its logins, the others next to nothing."""


class Peer:
    """A talker on a connection of its own, and all that it heard."""

    def __init__(self, serving: Serving, account: str, rooms: list[str]) -> None:
        context = ssl.create_default_context(cafile=str(serving.ca_file))
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        raw = socket.create_connection(("127.0.0.1", serving.port), DEADLINE)
        self.socket = context.wrap_socket(raw, server_hostname=serving.host_name)
        self.account = account
        self.talker: Talker = serving.talker(account, rooms)
        self.heard: list[Heard] = []
        self.talker.begin()
        self.flush()

    def flush(self) -> None:
        """Send what the talker has to send."""
        self.socket.sendall(self.talker.output)
        self.talker.output.clear()

    def read(self) -> None:
        """Take what has come, and answer it."""
        data = self.socket.recv(65536)
        assert data, f"The server closed the connection of {self.account}: {self.talker.failed}"
        self.heard += self.talker.receive(data)
        self.flush()


class Peers:
    """Several peers, read by one thread."""

    def __init__(self, stack: ExitStack, serving: Serving, rooms: dict[str, list[str]]) -> None:
        self._selector = stack.enter_context(selectors.DefaultSelector())
        self.all = [Peer(serving, account, rooms[account]) for account in rooms]
        for peer in self.all:
            stack.enter_context(peer.socket)
            self._selector.register(peer.socket, selectors.EVENT_READ, peer)

    def wait(self, *, until: str) -> None:
        """Read until the peers are all `ready`, or everything is `heard` and acknowledged."""
        deadline = time.monotonic() + DEADLINE
        while not getattr(self, f"_{until}")():
            assert time.monotonic() < deadline, f"not {until}: {[(p.talker.failed, len(p.heard)) for p in self.all]}"
            for key, _ in self._selector.select(0.1):
                key.data.read()

    def _ready(self) -> bool:
        return all(peer.talker.ready for peer in self.all)

    def _heard(self) -> bool:
        everything = MESSAGES * len(self.all)
        return all(len(peer.heard) >= everything and peer.talker.acknowledged == MESSAGES for peer in self.all)


@contextmanager
def served(subject: Subject, folder: Path, rooms: dict[str, list[str]]) -> Iterator[Peers]:
    """Peers of a server of this kind, in these rooms."""
    by_room = defaultdict(list)
    for account, names in rooms.items():
        for name in names:
            by_room[name].append(account)
    with ExitStack() as stack:
        serving = stack.enter_context(subject.serve(folder, by_room, ACCOUNTS))
        yield Peers(stack, serving, rooms)


@pytest.fixture(
    params=[Tutorial(), AsyncioChat(), Mosquitto(0), Mosquitto(1), Inspircd()], ids=lambda subject: str(subject.name)
)
def subject(request: pytest.FixtureRequest) -> Subject:
    """Each server in turn; those of Debian's packages where they are installed."""
    found: Subject = request.param
    if why := found.missing():
        pytest.skip(why)
    return found


def test_everybody_hears_everything_once_and_in_order(subject: Subject, tmp_path: Path) -> None:
    with served(subject, tmp_path, {account: ["lobby"] for account in ACCOUNTS}) as peers:
        peers.wait(until="ready")
        for number in range(MESSAGES):
            for peer in peers.all:
                peer.talker.say("lobby", f"{peer.account} {number} ".ljust(100, "x"))
                peer.flush()
        peers.wait(until="heard")
        for peer in peers.all:
            said = defaultdict(list)
            for room, text in peer.heard:
                author, count, rest = text.split(" ")
                assert (room, len(text), set(rest)) == ("lobby", 100, {"x"})
                said[author].append(int(count))
            assert said == {account: list(range(MESSAGES)) for account in ACCOUNTS}
        assert len({tuple(peer.heard) for peer in peers.all}) == 1  # and all in the same order


def test_a_room_is_heard_by_those_in_it(subject: Subject, tmp_path: Path) -> None:
    with served(subject, tmp_path, {"u1": ["tea"], "u2": ["tea"], "u3": ["coffee"]}) as peers:
        peers.wait(until="ready")
        for peer, room in zip(peers.all, ["tea", "tea", "coffee"], strict=True):
            for _ in range(MESSAGES):
                peer.talker.say(room, f"{peer.account} in {room}")
            peer.flush()
        while [len(peer.heard) for peer in peers.all] != [2 * MESSAGES, 2 * MESSAGES, MESSAGES]:
            for peer in peers.all:
                if len(peer.heard) < (MESSAGES if peer.account == "u3" else 2 * MESSAGES):
                    peer.read()
        assert {one.room for one in peers.all[0].heard} == {"tea"}
        assert set(peers.all[2].heard) == {Heard("coffee", "u3 in coffee")}


@pytest.mark.parametrize(
    ("subject", "talker"),
    [
        (Tutorial(), Lines("u1", ["lobby"], password="wrong")),
        (AsyncioChat(), Native("u1", ["lobby"], token="wrong")),
        (Mosquitto(0), Mqtt("u1", ["lobby"], password="wrong", qos=0)),
        (Inspircd(), Irc("u1", ["lobby"], password="wrong")),
    ],
    ids=lambda it: getattr(it, "name", ""),
)
def test_nobody_comes_in_without_the_password(subject: Subject, talker: Talker, tmp_path: Path) -> None:
    if why := subject.missing():
        pytest.skip(why)
    with subject.serve(tmp_path, {"lobby": ["u1"]}, ["u1"]) as serving:
        peer = Peer(serving._replace(talker=lambda *_: talker), "u1", ["lobby"])
        with peer.socket, pytest.raises(AssertionError, match="closed"):
            while not talker.ready:
                peer.read()
        assert talker.failed
        assert not talker.ready
