"""One soak: a server in a process of its own, a crowd, attackers and an operator; and what came of it."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from tests.faults.audit import Counts, audit
from tests.faults.authors import text_of
from tests.faults.processes import logs_of, port_of, started
from tests.server.support import DEADLINE, Peer, make_home
from tests.soak import sampling
from tests.soak.attackers import CLOSED, KINDS, attacking
from tests.soak.clients import Client, Crowd, Reading
from tests.soak.operating import Operator, operating
from tests.soak.sampling import Usage

RATE: Final = 200
"""Requests a second that the server grants to one session: clients need a fraction, and the attacker soon has more."""

ROOMS_EACH: Final = 2

SETTINGS: Final = f"""\
[limits]
requests_a_second = {RATE}
# Slow readers are to fall behind soon; what is kept for them is to be full in the warm-up.
queue_bytes = 16384
page_bytes = 32768
shared_bytes = 1048576
"""

READING: Final[Sequence[Reading]] = ("slowly", "with stops", *(("at once",) * 8))
"""How clients read, in turn."""


class Form(NamedTuple):
    """How much is done; times in seconds."""

    clients: int = 200
    rooms: int = 9
    seconds: float = 600.0
    periods: int = 10
    """Parts of that time which are measured apart. The first half is the warm-up: while caches of the store and what is
    kept for slow readers fill, the memory grows.
    """
    pace: float = 5.0
    """Between two things that one client says."""
    attack_pause: float = 1.0
    operator_pause: float = 5.0
    settings: str = SETTINGS


class Report(NamedTuple):
    """What came of it."""

    counts: Counts
    said: int
    clients: list[Client]
    behind: list[str]
    """Who had not heard all at the end."""
    got: dict[str, Counter[str]]
    operator: Operator
    periods: list[Usage]
    at_rest: tuple[Usage, Usage]
    """Before the first client came, and after the last had left."""

    def wrong(self) -> list[str]:
        """What must not be, a sentence each."""
        totals = self.totals()
        said = [f"{count} {name}" for name, count in self.counts._asdict().items() if count and name not in COUNTED]
        said += [f"{totals[name]} {name}" for name in ("misheard", "broken by the server", "refused") if totals[name]]
        said += [f"{name} has not heard all" for name in self.behind]
        if self.counts.acknowledged != self.said:
            said.append(f"{self.said - self.counts.acknowledged} were never acknowledged")
        for name, kind in KINDS.items():
            said += [f"{name} got {answer!r}" for answer in self.got[name] if answer not in (*kind.right, CLOSED)]
            if not self.got[name][kind.right[0]]:
                said.append(f"{name} never got {kind.right[0]!r}")
        said += self.operator.wrong
        said += sampling.grown(self.periods[len(self.periods) // 2], self.periods[-1])
        return said + [f"at rest, {flaw}" for flaw in sampling.grown(*self.at_rest, AT_REST)]

    def totals(self) -> dict[str, int]:
        """The figures of all clients together."""
        every = self.clients
        return {
            "connections": sum(one.connections for one in every),
            "heard": sum(one.heard for one in every),
            "misheard": sum(one.misheard for one in every),
            "said again": sum(one.repeated for one in every),
            "broken by the server": sum(one.broken for one in every),
            "refused": sum(one.refused.total() for one in every),
            "turned away": sum(one.turned_away for one in every),
        }


AT_REST: Final = Usage(threads=0, descriptors=2, memory_kib=131_072)
"""By how much it may be above what was before anybody came, once all have left: the store opens two files when they
are first needed, and caches and the memory of four password hashes stay with the process.
"""

COUNTED: Final = ("acknowledged", "found")


def soak(folder: Path, form: Form, seed: int) -> Report:
    """Make a home in `folder`, serve it, and do all this to it."""
    names = [f"client{number}" for number in range(form.clients)]
    rooms = [f"room{number}" for number in range(form.rooms)]
    inside = {
        name: [rooms[(number + more) % form.rooms] for more in range(ROOMS_EACH)] for number, name in enumerate(names)
    }
    home = make_home(folder / "home", " ".join((*names, "accomplice")))
    (home / "securechat.toml").write_text(form.settings)
    with started(home) as process:
        port = port_of(process, home)
        with Peer(port) as accomplice:
            accomplice.login("accomplice")
            for room in rooms:
                accomplice.send({"type": "create", "room": room})
                accomplice.expect("created")
                accomplice.send({"type": "leave", "room": room})
                accomplice.expect("left")
        before = sampling.usage_of(process.pid)
        crowd = Crowd(port, form.pace, seed)
        operator = Operator(home, process.pid, port, form.settings)
        for number, name in enumerate(names):
            crowd.add(name, f"127.0.1.{number + 1}", inside[name], READING[number % len(READING)])
        crowd.run(6 * DEADLINE, lambda: crowd.is_in)
        assert crowd.is_in, "not everybody came in"
        samples: list[Usage] = []

        def sample() -> None:
            samples.append(sampling.usage_of(process.pid))
            crowd.later(form.seconds / form.periods / 20, sample)

        sample()
        with (
            attacking(port, rate=RATE, victim=names[0], accomplice="accomplice", pause=form.attack_pause) as got,
            operating(operator, form.operator_pause),
        ):
            crowd.run(form.seconds)
            # On a busy machine some have not had their turn yet.
            tried = [(got[name], kind.right[0]) for name, kind in KINDS.items()]
            crowd.run(2 * DEADLINE, lambda: operator.rounds > 0 and all(answers[right] for answers, right in tried))
        periods = sampling.by_period(samples, form.periods)
        crowd.end()
        crowd.run(3 * DEADLINE, lambda: not crowd.behind())
        behind = crowd.behind()
        crowd.leave()
        crowd.run(DEADLINE, lambda: not sampling.grown(before, sampling.usage_of(process.pid), AT_REST))
        after = sampling.usage_of(process.pid)
        crowd.close()
        process.terminate()
        assert process.wait(DEADLINE) == 0

    logs = logs_of(home, rooms)
    counts = Counts()
    for room, log in logs.items():
        said = {id: text_of(id) for one in crowd.clients for id, where in one.said.items() if where == room}
        acknowledged = {id: seq for one in crowd.clients for id, seq in one.acknowledged.items() if id in said}
        counts = counts.plus(audit(log, said, acknowledged))
    total = sum(len(one.said) for one in crowd.clients)
    return Report(counts, total, crowd.clients, behind, got, operator, periods, (before, after))
