"""kill -9 in a loop: a real server is killed at random moments under four authors that do not give up."""

import random
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from tests.faults.audit import Counts, audit
from tests.faults.authors import Author, Stage, talking
from tests.faults.processes import log_of, port_of, started
from tests.server.support import DEADLINE, make_home

AUTHORS: Final = ("alice", "bob", "carol", "dan")

EARLY: Final = 8
"""One server in so many is killed while it starts."""


class Report(NamedTuple):
    """What came of the kills. `interrupted`: messages that were on their way when a kill came; `resent`: messages that
    were said again; `repeated`: those of them that were recorded already; `misheard`: records that a reader got twice,
    out of order or not as they were said."""

    counts: Counts
    kills: int
    interrupted: int
    resent: int
    repeated: int
    heard: int
    misheard: int


def kill_servers(folder: Path, kills: int, seed: int) -> Report:
    """Kill so many servers on one home, which is made in `folder`; one more lets everybody finish."""
    chance = random.Random(seed)
    home = make_home(folder / "home", " ".join(AUTHORS))
    stage = Stage()
    authors = [Author(name, stage) for name in AUTHORS]
    killed = interrupted = 0
    # Every so many, and not each by chance: else all of a few would be once in hundreds of seeds, and nothing was said.
    first_early = chance.randrange(EARLY)
    with talking(authors, stage) as finish:
        for number in range(kills):
            with started(home) as process:
                early = number % EARLY == first_early
                if not early:
                    stage.open(port_of(process, home))
                    stage.wait_acknowledged(chance.randint(1, 300))
                # And a moment more: not always in the same step of an acknowledgement, or anywhere in the start.
                with suppress(subprocess.TimeoutExpired):
                    process.wait(chance.uniform(0, 0.5 if early else 0.02))
                process.kill()
                stage.shut()
                interrupted += sum(author.waiting for author in authors)
                killed += process.wait(DEADLINE) == -signal.SIGKILL
        with started(home) as process:
            stage.open(port_of(process, home))
            finish()
            process.terminate()
            assert process.wait(DEADLINE) == 0
    said = {id: text for author in authors for id, text in author.said.items()}
    acknowledged = {id: seq for author in authors for id, seq in author.acknowledged.items()}
    counts = audit(log_of(home), said, acknowledged)
    return Report(
        counts,
        kills=killed,
        interrupted=interrupted,
        resent=sum(author.resent for author in authors),
        repeated=sum(author.repeated for author in authors),
        heard=sum(author.heard for author in authors),
        misheard=sum(author.misheard + author.renumbered for author in authors),
    )
