"""Readers that are behind: one that was away while much was said, and one that stopped reading in the midst of it. Each
gets every record once and in order, and meanwhile the server's memory does not grow with what was said.
"""

import itertools
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

from securechat.client.client import Client
from tests.faults.audit import Counts, audit
from tests.faults.authors import ROOM, text_of
from tests.faults.processes import log_of, port_of, started
from tests.server.support import DEADLINE, PASSWORD, Peer, make_home, trusting

AT_ONCE: Final = 100
"""Messages that the author says in one write; it waits for their acknowledgements, and hears them itself."""

SETTINGS: Final = """\
[limits]
# Pages that are kept for others who catch up: with the default, the memory would grow by 32 MiB before it stops.
shared_bytes = 1048576
"""


class Report(NamedTuple):
    """What came of it. `misheard`: records that came twice, out of order, behind a gap or not as they were said."""

    counts: Counts
    away: int
    """Records that the reader heard who was away."""
    stopped: int
    """Records that the reader heard who stopped."""
    misheard: int
    memory_grown_kib: int
    """By how much the server's memory grew after its caches had filled, while the last three fifths were said and
    then read by who had stopped."""
    text_said_kib: int
    """How much text was said in that time."""


def fall_behind(folder: Path, records: int) -> Report:
    """Say so many messages to a server, whose home is made in `folder`, past the two readers."""
    home = make_home(folder / "home", "alice bob carol")
    (home / "securechat.toml").write_text(SETTINGS)
    said = {id: text_of(id) for id in (f"alice-{number}" for number in range(records))}
    acknowledged: dict[str, int] = {}
    with started(home) as process:
        port = port_of(process, home)
        with Peer(port) as away, Peer(port, receive_buffer=4_096) as stopped, Peer(port) as alice:
            for peer, name in ((away, "carol"), (stopped, "bob"), (alice, "alice")):
                peer.login(name)
                last = int(peer.join(ROOM)["head"])
            away.close()
            ids = list(said)
            memory = []
            for start in range(0, records, AT_ONCE):
                some = ids[start : start + AT_ONCE]
                alice.send(*({"type": "say", "id": id, "room": ROOM, "text": said[id]} for id in some))
                waiting = 2 * len(some)
                while waiting:
                    frame = alice.expect("ack", "message")
                    waiting -= 1
                    if frame["type"] == "ack":
                        acknowledged[frame["id"]] = frame["seq"]
                memory.append(_resident(process.pid))
            stopped.expect("join")  # alice's
            heard = [(int(one["seq"]), str(one["id"]), str(one["text"])) for one in stopped.messages(records)]
            memory.append(_resident(process.pid))
        with Client.connect("localhost", port, trusting(), "carol", PASSWORD) as client:
            messages = client.messages(ROOM, after=last)
            caught_up = [(one.seq, one.id, one.text) for one in itertools.islice(messages, records)]
        process.terminate()
        assert process.wait(DEADLINE) == 0
    return Report(
        audit(log_of(home), said, acknowledged),
        away=len(caught_up),
        stopped=len(heard),
        misheard=_misheard(heard, last, said) + _misheard(caught_up, last, said),
        memory_grown_kib=max(memory[len(memory) * 2 // 5 :]) - memory[len(memory) * 2 // 5],
        text_said_kib=sum(map(len, list(said.values())[records * 2 // 5 :])) >> 10,
    )


def _misheard(heard: Iterable[tuple[int, str, str]], last: int, said: dict[str, str]) -> int:
    expected = ((last + 1 + at, id, text) for at, (id, text) in enumerate(said.items()))
    return sum(one != wanted for one, wanted in zip(heard, expected, strict=True))


def _resident(process: int) -> int:
    """The resident memory of a process, in KiB."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text())
    assert found
    return int(found[1])
