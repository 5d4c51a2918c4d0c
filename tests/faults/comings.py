"""Thousands who come and go, in good order and not: a server in a process of its own is afterwards what it was."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, NamedTuple

from securechat.server.control import Status, ask
from tests.faults.processes import port_of, started
from tests.server.support import DEADLINE, Peer, make_home, write_roomy_limits
from tests.soak.sampling import TOLERANCE, Usage, usage_of

NAMES = ("alice", "bob")
"""Who comes; each on a thread of its own."""

JUDGED = 1_000
"""Comings from which on the memory is judged: with fewer, the first hashes take more than what would stay behind."""


LOOKS: Final = 20
"""How often it is looked at what the server uses. Caches and the allocator take and give back some MiB from one look
to the next, so memory is the least of a quarter of them: what is kept for ever is in the least, too."""


class Report(NamedTuple):
    """How many logged in and out, how many were gone after the greeting, and what the server used: behind a warm-up,
    in the second quarter of the time, and in the last."""

    logged_in: int
    dropped: int
    before: Usage
    half: Usage
    after: Usage

    def grown(self) -> list[str]:
        """What is not where it was, in words."""
        lasting = [
            f"{name} went from {before} to {after}"
            for name, before, after in zip(Usage._fields[:2], self.before, self.after, strict=False)
            if after > before
        ]
        more = self.after.memory_kib - self.half.memory_kib
        if self.logged_in >= JUDGED and more > TOLERANCE.memory_kib:
            lasting.append(f"memory grew by {more} KiB behind the second quarter")
        return lasting


def come_and_go(folder: Path, times: int) -> Report:
    """So many logins with a password (LOOKS or a multiple of it), and as many connections that are dropped, on a home
    that is made in `folder`."""
    home = make_home(folder / "home", " ".join(NAMES))
    write_roomy_limits(home)
    with started(home) as process:
        port = port_of(process, home)
        usages: list[Usage] = []
        share = -(-times // LOOKS)
        for _ in range(LOOKS):
            _come(port, share)
            usages.append(_at_rest(home, process.pid, usages[0] if usages else None))
        process.terminate()
        assert process.wait(30) == 0
    quarter = LOOKS // 4
    return Report(
        LOOKS * share, LOOKS * share, usages[0], _least(usages[quarter : 2 * quarter]), _least(usages[-quarter:])
    )


def _least(usages: Sequence[Usage]) -> Usage:
    """The last of them, with the least memory of all."""
    return usages[-1]._replace(memory_kib=min(usage.memory_kib for usage in usages))


def _at_rest(home: Path, process: int, wanted: Usage | None) -> Usage:
    """What it uses when everybody has gone and its audit log is written: no more threads and descriptors than `wanted`.
    If they do not go away in a while, they are what it uses."""
    deadline = time.monotonic() + DEADLINE
    while True:
        answer, usage = ask(home, Status()), usage_of(process)
        assert answer is not None
        is_quiet = wanted is None or (usage.threads <= wanted.threads and usage.descriptors <= wanted.descriptors)
        if (is_quiet and not answer.value["connections"]) or time.monotonic() > deadline:
            return usage


def _come(port: int, times: int) -> None:
    def one(name: str, count: int) -> None:
        for _ in range(count):
            with Peer(port) as peer:
                peer.login(name)
                peer.send({"type": "logout"})
                peer.ends()
            with Peer(port) as dropped:
                dropped.receive()

    half = times // 2
    with ThreadPoolExecutor(len(NAMES)) as crowd:
        list(crowd.map(one, NAMES, (half, times - half)))
