"""Three nodes on three NATS servers lose one after the other, to kill -9, to a pause or to a cut of the network between
them, under authors that move.

The network is cut where this machine lets us (`network`); where not, the run says so, and does without.

Run as `python -m tests.faults.nodes [--minutes 15] [--seed SEED]` or `make faults-cluster`. Exits with 1 unless nothing
was lost, doubled, reordered or invented, and the chains of all nodes end alike.
"""

import argparse
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, nullcontext
from pathlib import Path
from threading import Event
from typing import Any, Final, NamedTuple

from msgspec.structs import replace

from securechat.config import Cluster
from securechat.journal.reader import Reader
from tests.cluster.servers import NatsServer, nats_servers, new_stream, node_settings, running, write_settings
from tests.faults.audit import Counts, audit
from tests.faults.authors import ROOM, Author, Stage, talking
from tests.faults.network import PORT, ROUTE, Network, address, missing, move_in, network
from tests.faults.processes import log_of, port_of, started
from tests.server.support import DEADLINE, Peer, make_home, write_roomy_limits

AUTHORS: Final = ("alice", "bob", "carol", "dan")
NODES: Final = 3

DOWN_SECONDS: Final = (0.5, 8.0)
"""How long one is away: from less than a heartbeat to longer than an election and than an author's patience."""


class Report(NamedTuple):
    """What came of it. `moves`: times that an author came in; `unavailable`: answers that nothing is stored now;
    `longest_stall`: seconds in which an author that had said something heard of nothing stored; `heads`: different ends
    of the room among the nodes, 1 where their histories are the same."""

    counts: Counts
    faults: dict[str, int]
    moves: int
    unavailable: int
    resent: int
    repeated: int
    heard: int
    misheard: int
    longest_stall: float
    heads: int

    @property
    def flawless(self) -> bool:
        return self.counts.flawless and not self.misheard and self.heads == 1


class Nodes(Stage):
    """Where the nodes are; whoever asks is sent to any of those that are there."""

    patience = 60.0
    """NATS servers wait 4 to 9 seconds for their leader before they elect another, and may have to do it again."""

    def __init__(self, chance: random.Random) -> None:
        super().__init__()
        self._ports: dict[int, int] = {}
        self.ended: Callable[[], list[Path]] = list
        """The homes of nodes that ended by themselves, which must never be."""
        self._chance = chance

    def arrive(self, number: int, port: int) -> None:
        """A node is there now."""
        with self._changed:
            self._ports[number] = port
            self._changed.notify_all()

    def leave(self, number: int) -> None:
        """It is not any more."""
        with self._changed:
            self._ports.pop(number, None)

    def wait_open(self, failed: bool) -> int:
        """A port of a node, when there is one; after a failure not at once."""
        with self._changed:
            if failed:
                self._changed.wait(0.1)
            assert not self.ended(), [(home / "stderr").read_text()[-500:] for home in self.ended()]
            assert self._changed.wait_for(lambda: self._ports, self.patience), "no node comes back"
            return self._chance.choice(list(self._ports.values()))


class Mover(Author):
    """An author that goes to another node when its own is gone, does not answer, or stores nothing at the moment."""

    def __init__(self, name: str, stage: Stage) -> None:
        super().__init__(name, stage)
        self.unavailable = 0
        self.longest_stall = 0.0
        self._since = time.monotonic()

    def _come_in(self, peer: Peer) -> None:
        peer.socket.settimeout(10.0)  # a node that is paused says nothing
        try:
            super()._come_in(peer)
        except AssertionError as error:
            if "unavailable" not in str(error):
                raise
            self.unavailable += 1
            raise EOFError from None

    def _take(self, frame: dict[str, Any]) -> None:
        if frame.get("code") == "unavailable":
            self.unavailable += 1
            raise EOFError
        if frame["type"] == "ack":
            now = time.monotonic()
            self.longest_stall = max(self.longest_stall, now - self._since)
            self._since = now
        super()._take(frame)


class Node:
    """A node in a process of its own."""

    def __init__(self, number: int, folder: Path, settings: Cluster, stage: Nodes) -> None:
        self.home = make_home(folder / f"node-{number}", " ".join(AUTHORS))
        write_roomy_limits(self.home)
        write_settings(self.home, settings)
        self._number = number
        self._stage = stage
        self._running = ExitStack()
        self._port = 0
        self._is_started = False

    def start(self) -> None:
        self._process = self._running.enter_context(started(self.home))
        self._port = port_of(self._process, self.home)
        self._is_started = True
        self._stage.arrive(self._number, self._port)

    def kill(self) -> None:
        self._is_started = False
        self._stage.leave(self._number)
        self._running.close()

    @property
    def has_ended(self) -> bool:
        """Whether it is not there though it should be."""
        return self._is_started and self._process.poll() is not None

    def pause(self) -> None:
        self._stage.leave(self._number)
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._process.send_signal(signal.SIGCONT)
        self._stage.arrive(self._number, self._port)

    def stop(self) -> None:
        self._process.terminate()
        assert self._process.wait(DEADLINE) == 0, (self.home / "stderr").read_text()
        self._running.close()


Fault = tuple[str, Callable[[], None], Callable[[], None]]
"""What it is called, what breaks it, and what mends it."""


def cuts(net: Network) -> Iterator[Fault]:
    """Each way in which the network can be cut."""
    all_servers, all_nodes = ([f"{kind}-{number}" for number in range(1, NODES + 1)] for kind in ("server", "node"))
    for server in all_servers:
        out, back = net.ways([server], all_servers), net.ways(all_servers, [server])
        served = net.ways([server], all_nodes) + net.ways(all_nodes, [server])
        yield _cut(net, "nats cut from nats", out + back)
        yield _cut(net, "nats not heard by nats", out)
        yield _cut(net, "nats cut from all", out + back + served)
    for node in all_nodes:
        out, back = net.ways([node], all_servers), net.ways(all_servers, [node])
        yield _cut(net, "node cut from nats", out + back)
        yield _cut(net, "node not heard by nats", out)


def _cut(net: Network, name: str, ways: list[tuple[str, str]]) -> Fault:
    return name, lambda: net.cut(ways), lambda: net.mend(ways)


@contextmanager
def on_loopback(folder: Path) -> Iterator[tuple[list[NatsServer], list[Cluster]]]:
    """NATS servers on loopback, and the settings of the nodes."""
    with nats_servers(folder / "nats", NODES) as servers:
        stream = new_stream()
        yield servers, [node_settings(servers, stream, f"node-{number}") for number in range(1, NODES + 1)]


@contextmanager
def on_network(folder: Path, net: Network) -> Iterator[tuple[list[NatsServer], list[Cluster]]]:
    """NATS servers each in its own part of the network, and the settings of the nodes: each has ways of its own."""
    numbers = range(1, NODES + 1)
    routes = [f"{address(0, number)}:{ROUTE}" for number in numbers]
    servers = [
        NatsServer(
            folder / "nats" / str(number),
            PORT,
            ROUTE,
            routes,
            addresses=[address(other, number) for other in (0, *numbers)],
            wrapper=net.wrapper(number),
        )
        for number in numbers
    ]
    stream = new_stream()
    with running(servers):
        yield (
            servers,
            [
                replace(
                    node_settings(servers, stream, f"node-{number}"),
                    servers=tuple(f"tls://{address(number, server)}:{PORT}" for server in numbers),
                )
                for number in numbers
            ],
        )


def break_cluster(folder: Path, seconds: float, seed: int, net: Network | None = None) -> Report:
    """Break one thing after the other for so long, in homes made in `folder`; then let everybody finish."""
    chance = random.Random(seed)
    stage = Nodes(chance)
    authors = [Mover(name, stage) for name in AUTHORS]
    faults: Counter[str] = Counter()
    with ExitStack() as parts:
        servers, settings = parts.enter_context(on_network(folder, net) if net else on_loopback(folder))
        nodes = [Node(number, folder, its, stage) for number, its in enumerate(settings, start=1)]
        stage.ended = lambda: [node.home for node in nodes if node.has_ended]
        breakable: list[Fault] = [
            *(("nats killed", one.kill, one.start) for one in servers),
            *(("nats paused", one.pause, one.go_on) for one in servers),
            *(("node killed", node.kill, node.start) for node in nodes),
            *(("node paused", node.pause, node.go_on) for node in nodes),
            *(cuts(net) if net else ()),
        ]
        for node in nodes:
            parts.callback(node.kill)
            node.start()
        with talking(authors, stage) as finish:
            stage.wait_acknowledged(1)
            deadline = time.monotonic() + seconds
            rest = Event()
            while time.monotonic() < deadline and not any(author.failure for author in authors):
                what, break_it, mend = chance.choice(breakable)
                break_it()
                faults[what] += 1
                rest.wait(chance.uniform(*DOWN_SECONDS))
                mend()
                # The next only when this one is whole again: a quorum is three of which one may be gone.
                stage.wait_acknowledged(chance.randint(1, 100))
            finish()
        wait_level(nodes, authors)
        for node in nodes:
            node.stop()
    logs = [log_of(node.home) for node in nodes]
    said = {id: text for author in authors for id, text in author.said.items()}
    acknowledged = {id: seq for author in authors for id, seq in author.acknowledged.items()}
    return Report(
        audit(logs[0], said, acknowledged),
        dict(faults),
        moves=sum(author.connections for author in authors),
        unavailable=sum(author.unavailable for author in authors),
        resent=sum(author.resent for author in authors),
        repeated=sum(author.repeated for author in authors),
        heard=sum(author.heard for author in authors),
        misheard=sum(author.misheard + author.renumbered for author in authors),
        longest_stall=round(max(author.longest_stall for author in authors), 1),
        heads=len({(len(log), log[-1].hash) for log in logs}),
    )


def wait_level(nodes: list[Node], authors: list[Mover]) -> None:
    """Wait until every node has stored the last that was acknowledged."""
    newest = max(seq for author in authors for seq in author.acknowledged.values())
    deadline = time.monotonic() + DEADLINE
    for node in nodes:
        with closing(Reader(node.home / "chat.db")) as reader:
            while not reader.page(ROOM, after=newest - 1, limit=1).records:
                assert time.monotonic() < deadline, f"{node.home} is not level"
                Event().wait(0.05)


def main() -> int:
    """Break for a while, and print what came of it; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.nodes", description="Break a cluster, and count.")
    parser.add_argument("--minutes", type=float, default=15, help="how long (default %(default)s)")
    parser.add_argument("--seed", type=int, help="the seed that an earlier run printed")
    parser.add_argument("--moved-in", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    seed = random.SystemRandom().randrange(2**32) if asked.seed is None else asked.seed
    if not asked.moved_in:
        print(f"seed {seed}", flush=True)
        if not (why := missing()):
            move_in(["-m", "tests.faults.nodes", "--moved-in", f"--minutes={asked.minutes}", f"--seed={seed}"])
        print(f"The network is not cut on this machine: {why}.", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="securechat-faults-"))
    with network(NODES) if asked.moved_in else nullcontext() as net:
        report = break_cluster(folder, asked.minutes * 60, seed, net)
    own = {name: value for name, value in report._asdict().items() if name not in ("counts", "faults")}
    for figures in (report.faults, own, report.counts._asdict()):
        print("  " + ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in figures.items()))
    if not report.flawless:
        print(f"Something is wrong; what is left of it is in {folder}.")
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
