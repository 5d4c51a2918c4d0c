"""What three nodes deliver beside one, and how long a message takes from node to node.

Run as `python -m tests.cluster.measure_nodes`.

Whole servers as they are shipped, on real NATS servers with TLS on loopback and `sync_interval: always`; the load is
that of the bench, which checks every reader's every byte. Readers and authors are dealt over the nodes in turn. All of
it shares the cores of one machine: three nodes have no more of them than one has.
"""

import argparse
import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Final

from bench.measure import raise_descriptor_limit
from bench.plan import WRONG
from bench.scenarios.members import Figures
from bench.scenarios.talk import Talk, measure
from bench.subjects import Serving
from bench.subjects.securechat import Securechat, make_home, serving_home
from tests.cluster.servers import nats_servers, new_stream, node_settings, write_settings

TALKS: Final = {
    "300 readers, 3 authors, 64 in flight each": Talk(300, 3, 64),
    "300 readers, 20 messages a second": Talk(300, 3, 0, rate=20, seconds=5),
}
SHOWN: Final = {
    "messages/s": "{:,.0f}",
    "deliveries/s": "{:,.0f}",
    "CPU µs/delivery": "{:.2f}",
    "heard p50 ms": "{:.1f}",
    "heard p99 ms": "{:.1f}",
    "ack p50 ms": "{:.1f}",
    "ack p99 ms": "{:.1f}",
}


class Nodes:
    """So many nodes on as many NATS servers, as one server that is measured."""

    durable = True
    settings = ""

    def __init__(self, count: int) -> None:
        self.name = f"{count} node{'s' * (count > 1)}, R{count}"
        self._count = count

    def missing(self) -> str:
        """Empty: what it needs is locked with the rest."""
        return ""

    @contextmanager
    def serve(self, folder: Path, rooms: Mapping[str, Sequence[str]], accounts: Sequence[str]) -> Iterator[Serving]:
        """Run them on homes in `folder`, which are alike: the same accounts, members and tokens."""
        with nats_servers(folder / "nats", self._count) as servers, ExitStack() as running:
            stream, found = new_stream(), []
            for number in range(self._count):
                home = folder / f"node-{number + 1}"
                home.mkdir()
                make_home(home, rooms, accounts)
                if number:
                    shutil.copy(folder / "node-1" / "credentials", home)
                write_settings(home, node_settings(servers, stream, f"node-{number + 1}"))
                found.append(running.enter_context(serving_home(home)))
            yield found[0]._replace(nodes=[(one.pid, one.port) for one in found])


def run(subject: "Nodes | Securechat", talk: Talk) -> Figures:
    """One run in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="securechat-nodes-") as folder:
        return measure(subject, Path(folder), talk)


def main() -> int:
    """Print the table; returns the exit code, 1 where something was lost, doubled or out of order."""
    parser = argparse.ArgumentParser(prog="python -m tests.cluster.measure_nodes", description="Measure three nodes.")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each, of which the medians count")
    asked = parser.parse_args()
    raise_descriptor_limit()
    subjects = (Securechat(), Nodes(1), Nodes(3))
    wrong = 0.0
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, medians of {asked.repeat}, in turn")
    print(f"| | | {' | '.join(SHOWN)} |\n|{' --- |' * (2 + len(SHOWN))}", flush=True)
    for title, talk in TALKS.items():
        runs: dict[str, list[Figures]] = {subject.name: [] for subject in subjects}
        for _ in range(asked.repeat):
            for subject in subjects:
                runs[subject.name].append(run(subject, talk))
        for name, found in runs.items():
            shown = [form.format(median(one[figure] for one in found)) for figure, form in SHOWN.items()]
            what = "a server alone" if name == "securechat" else name
            print(f"| {title} | {what} | {' | '.join(shown)} |", flush=True)
            wrong += sum(one[figure] for one in found for figure in WRONG)
    print(f"lost, doubled or out of order: {wrong:.0f}")
    return 1 if wrong else 0


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())
