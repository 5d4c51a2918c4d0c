"""What a running server is doing, in numbers for its operator: taken on the threads that own them, told by another.

It names accounts and addresses, never a text.
"""

import shutil
import threading
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from securechat import __version__
from securechat.server.services import Services

if TYPE_CHECKING:
    from securechat.server.reactor import Reactor

PATIENCE_SECONDS: Final = 3.0
"""For a reactor to answer; one that does not is left out, and said to be stuck."""

RATE_SECONDS: Final = 60
"""Over how long messages a second are counted."""


class ConnectionState(msgspec.Struct, frozen=True):
    """One connection: `account` and `session` are empty before login. `behind` counts the records that its
    subscriptions have not got to, in `rooms_behind` rooms; `seconds` is since its handshake, `queued` bytes wait to be
    written."""

    address: str
    account: str
    session: str
    seconds: float
    queued: int
    behind: int
    rooms_behind: int


class Pace:
    """How many messages a second were recorded lately; `tick` is called about once a second."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque(maxlen=RATE_SECONDS + 1)

    def tick(self, messages: int) -> None:
        """Note how many there are in all by now."""
        self._samples.append((time.monotonic(), messages))

    def rate(self) -> float:
        """Messages a second over the last minute, or since the start."""
        if len(self._samples) < 2:
            return 0.0
        (began, first), (ended, last) = self._samples[0], self._samples[-1]
        return (last - first) / (ended - began)


def connections(reactors: "Sequence[Reactor]") -> list[ConnectionState]:
    """Every connection, as its reactor sees it now."""
    found: list[list[ConnectionState]] = []
    answered = threading.Semaphore(0)

    def take(states: list[ConnectionState]) -> None:
        found.append(states)
        answered.release()

    for reactor in reactors:
        reactor.survey(take)
    deadline = time.monotonic() + PATIENCE_SECONDS
    for _ in reactors:
        answered.acquire(timeout=max(0.0, deadline - time.monotonic()))
    return [state for states in tuple(found) for state in states]


def status(services: Services, home: Path, address: str, since: float, pace: Pace, *, draining: bool) -> dict[str, Any]:
    """Everything at a glance; `since` is when it started, of the monotonic clock. Times are in seconds."""
    journal, counts = services.journal, services.journal.counts
    states = connections(services.reactors)
    behind = [state for state in states if state.behind]
    commits = counts.commit_seconds
    return {
        "version": __version__,
        "address": address,
        "uptime": round(time.monotonic() - since, 1),
        "draining": draining,
        "sessions": sum(bool(state.account) for state in states),
        "accounts_online": len({state.account for state in states if state.account}),
        "strangers": services.strangers.count,
        "connections": services.connections,
        "rooms": len(services.view.rooms),
        "messages": counts.messages,
        "messages_a_second": round(pace.rate(), 2),
        "commits": commits.count,
        "commit_mean": round(commits.total / commits.count, 5) if commits.count else 0.0,
        "commit_slowest_1_percent": commits.above(0.99),
        "waiting": {
            "journal": journal.waiting,
            "hashing": services.hashing.waiting,
            "reading": services.reading.waiting,
            "searching": services.searching.waiting,
            "bytes_to_clients": sum(state.queued for state in states),
        },
        "behind": [
            {"account": state.account, "address": state.address, "records": state.behind, "rooms": state.rooms_behind}
            for state in sorted(behind, key=lambda one: -one.behind)
        ],
        "certificate_expires": services.certificate.expires.isoformat(),
        "certificate_seconds_left": round(services.certificate.seconds_left()),
        "disk_free": shutil.disk_usage(home).free,
        "disk_full": journal.is_full,
    }
