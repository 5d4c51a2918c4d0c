"""Broken connections: four authors that do not give up talk through a proxy that breaks their connections at random
bytes, while a fifth, whose connection nobody breaks, must notice nothing.
"""

import random
from pathlib import Path
from typing import Final, NamedTuple

from tests.faults.audit import Counts, audit
from tests.faults.authors import Author, Stage, talking
from tests.faults.processes import log_of, port_of, started
from tests.faults.proxy import Act, Fault, Proxy
from tests.server.support import DEADLINE, make_home

AUTHORS: Final = ("alice", "bob", "carol", "dan")
UNDISTURBED: Final = "erin"

ACTS: Final[tuple[Act, ...]] = ("close", "reset", "half-close", "stall")

BYTES: Final = 12_000
"""Up to where in a connection it breaks: in the handshake, the login, or the messages."""


class Report(NamedTuple):
    """What came of the breaks. `undisturbed`: connections that the fifth author needed, one if it noticed nothing;
    `misheard`: as for the kills, of all five."""

    counts: Counts
    breaks: int
    acts: dict[str, int]
    resent: int
    repeated: int
    undisturbed: int
    heard: int
    misheard: int


def break_connections(folder: Path, breaks: int, seed: int) -> Report:
    """Break so many connections to one server, whose home is made in `folder`, and then let everybody finish."""
    chance = random.Random(seed)
    home = make_home(folder / "home", " ".join((*AUTHORS, UNDISTURBED)))
    broken, direct = Stage(), Stage()
    authors = [Author(name, broken) for name in AUTHORS]
    # It says little: its part is to listen, and what it says takes time from the others.
    fifth = Author(UNDISTURBED, direct, window=2)
    planned = 0

    def fault() -> Fault | None:
        nonlocal planned
        if planned == breaks:
            return None
        planned += 1
        drips = chance.random() < 0.25
        return Fault(
            act=chance.choice(ACTS),
            upward=chance.random() < 0.5,
            after=chance.randint(1, BYTES),
            piece=chance.randint(64, 4_096) if drips else 65_536,
            pause=chance.uniform(0.0, 0.005) if drips else 0.0,
        )

    with started(home) as process, Proxy(port_of(process, home), fault) as proxy:
        with talking(authors, broken) as finish, talking([fifth], direct) as finish_fifth:
            direct.open(proxy.target)
            broken.open(proxy.port)
            proxy.wait_done(breaks)
            finish()
            finish_fifth()
        process.terminate()
        assert process.wait(DEADLINE) == 0
    authors.append(fifth)
    said = {id: text for author in authors for id, text in author.said.items()}
    acknowledged = {id: seq for author in authors for id, seq in author.acknowledged.items()}
    return Report(
        audit(log_of(home), said, acknowledged),
        breaks=proxy.done.total(),
        acts=dict(sorted(proxy.done.items())),
        resent=sum(author.resent for author in authors),
        repeated=sum(author.repeated for author in authors),
        undisturbed=fifth.connections,
        heard=sum(author.heard for author in authors),
        misheard=sum(author.misheard + author.renumbered for author in authors),
    )
