"""Whether all that a cluster keeps of a chat is one history: this node's store, the other nodes, the newest snapshot.

Each is held against the store of this home, which is proved first, record by record. It changes nothing.
"""

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec.structs import replace

from securechat.config import Cluster
from securechat.errors import SnapshotUnusable
from securechat.journal.backup import STORE
from securechat.journal.continuity import StoredChains, difference, gap
from securechat.journal.reader import Reader
from securechat.journal.verify import Flaw, Report, verify_store
from securechat.server.ordering import engine_of
from securechat.server.snapshots import check, folder

if TYPE_CHECKING:
    from securechat.journal.jetstream.snapshots import Snapshot
    from securechat.journal.jetstream.stream import Engine

ANSWER_SECONDS: Final = 1.0
"""How long nodes have to answer: those that do not are not compared."""


class Proof(msgspec.Struct, frozen=True):
    """What was found. `nodes` are those that answered, by name, and `snapshot` is the newest ("": there is none); each
    with what is wrong with it, or nothing. `differ` says that some of the nodes do, that are equally far."""

    store: Report
    entry: int
    nodes: dict[str, str] = {}
    differ: bool = False
    snapshot: str = ""
    snapshot_flaw: str = ""

    @property
    def flaws(self) -> list[str]:
        """All that is wrong, a sentence each."""
        found = [f"{self.store.flaw}"] if self.store.flaw else []
        found += [f"Node {node}: {flaw}" for node, flaw in self.nodes.items() if flaw]
        if self.snapshot_flaw:
            found.append(f"Snapshot {self.snapshot}: {self.snapshot_flaw}")
        if self.differ and not found:
            found.append("Nodes that are equally far have not the same state.")
        return found


def prove(home: Path, cluster: Cluster) -> Proof:
    """Look at all of it. Raises NotFound where this home has no store, Unreachable, ClusterError, and StorageFailed."""
    store = verify_store(home / STORE)
    engine = engine_of(home, cluster)
    from securechat.journal.jetstream import snapshots
    from securechat.journal.jetstream.asking import AskedChains
    from securechat.journal.jetstream.survey import survey

    shelf = snapshots.look(engine)
    with contextlib.closing(Reader(home / STORE)) as reader, reader.snapshot():
        ours, place = StoredChains(reader), reader.followed()
        if store.flaw:  # what does not hold by itself is held against nothing
            return Proof(store, place[0])
        found = survey(engine, ANSWER_SECONDS)
        nodes = {}
        for one in found.nodes:
            theirs = AskedChains(engine, one.node, ours.heads())
            missing = gap(ours, theirs) if one.place >= place else None
            nodes[one.node] = _shown(difference(ours, theirs) or missing)
        proof = Proof(store, place[0], nodes, found.differ)
        if not shelf.snapshots:
            return proof
        newest = shelf.snapshots[0]
        return replace(proof, snapshot=newest.name, snapshot_flaw=_flaw(home, engine, newest, ours, place))


def _flaw(home: Path, engine: "Engine", newest: "Snapshot", ours: StoredChains, place: tuple[int, int]) -> str:
    """What is wrong with this snapshot."""
    from securechat.journal.jetstream import snapshots

    with folder(home) as work:
        try:
            snapshots.take(engine, newest, work / STORE)
            check(work / STORE, None)
        except SnapshotUnusable as error:
            return str(error)
        with contextlib.closing(Reader(work / STORE)) as reader:
            theirs = StoredChains(reader)
            missing = gap(ours, theirs) if reader.followed() >= place else gap(theirs, ours)
            return _shown(difference(ours, theirs) or missing)


def _shown(flaw: Flaw | None) -> str:
    return "" if flaw is None else str(flaw)
