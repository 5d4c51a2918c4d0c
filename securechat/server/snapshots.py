"""Snapshots of a node's store: it makes one for the others now and then, and begins from one where it cannot read the
stream from where it is.

It knows nothing of NATS: `journal.jetstream.snapshots` does, and is imported only in a cluster.
"""

import contextlib
import logging
import os
import random
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from securechat.chat.accounts import Account, Hook
from securechat.config import Config
from securechat.errors import SecurechatError, SnapshotUnusable, StorageFailed, Unreachable
from securechat.files import sync_folder
from securechat.journal.backup import STORE
from securechat.journal.continuity import StoredChains, difference, gap
from securechat.journal.reader import Reader
from securechat.journal.store import Position, Store
from securechat.journal.verify import SEARCH, verify_store
from securechat.server.ordering import engine_of
from securechat.server.shared_roll import keep_base
from securechat.server.workers import stand_back

if TYPE_CHECKING:
    from securechat.journal.jetstream.snapshots import Shelf, Snapshot
    from securechat.journal.jetstream.stream import Engine

LOOK_SECONDS: Final = 600.0
"""Between two looks of a node at the snapshots that are there, half as much more or less: so that two nodes hardly ever
make one at the same time."""

STOP_SECONDS: Final = 0.5
"""How long a server that stops waits for it; it has four in all."""

_WORK: Final = ".snapshot-"
"""How the folders begin in which a copy lies until it is whole."""

log = logging.getLogger(__name__)


class _Before(msgspec.Struct, frozen=True):
    """What a home has: whether its store holds nothing, or is of a server that was no node, up to which entry of the
    stream it goes, and what it knows of accounts and webhooks."""

    is_empty: bool = True
    is_alone: bool = False
    entry: int = 0
    accounts: Mapping[str, Account] = {}
    hooks: Mapping[str, Hook] = {}


class SnapshotMaker:
    """A thread that makes a snapshot when one is due and this node is level with the stream."""

    def __init__(self, home: Path, engine: "Engine", is_level: Callable[[], bool]) -> None:
        self._home = home
        self._engine = engine
        self._is_level = is_level
        self._stopping = threading.Event()
        # A daemon: an upload that hangs must not keep the server from ending; NATS shows nothing of half an upload.
        self._thread = threading.Thread(target=self._run, name="snapshots", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Break off what is on its way; a copy that is being made is waited for a moment only."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(STOP_SECONDS)

    def look(self) -> "Snapshot | None":
        """Make a snapshot if one is due, and give it. Raises SecurechatError."""
        from securechat.journal.jetstream import snapshots

        if not self._is_level() or not snapshots.look(self._engine).is_due(time.time()):
            return None
        _check_room(self._home)
        with folder(self._home) as work, contextlib.closing(Reader(self._home / STORE)) as reader:
            reader.copy_to(work / STORE)
            # Another may have been quicker while this was copied.
            if not snapshots.look(self._engine).is_due(time.time()):
                return None
            return publish(self._engine, work / STORE, self._stopping.is_set)

    def _run(self) -> None:
        stand_back()
        # What spreads the looks need not be unguessable.
        while not self._stopping.wait(LOOK_SECONDS * random.uniform(0.5, 1.5)):  # noqa: S311
            try:
                made = self.look()
            except SecurechatError as error:
                if not self._stopping.is_set():
                    log.warning("no snapshot was made; another try follows: %s", error)
            except Exception:
                log.exception("no snapshot was made; another try follows")
            else:
                if made is not None:
                    log.info("made a snapshot up to entry %d: %d bytes", made.entry, made.bytes)


def _check_room(home: Path) -> None:
    """Raise StorageFailed where a copy would leave so little of the disk that the node itself might have to stop."""
    size, free = (home / STORE).stat().st_size, shutil.disk_usage(home).free
    if free < 2 * size:
        what = f"A copy of {home / STORE} has {size} bytes, and there are {free} free: half of that is the most."
        raise StorageFailed(what, hint="Free some space.")


def publish(engine: "Engine", copy: Path, is_over: Callable[[], bool] = bool) -> "Snapshot":
    """Put this copy of a node's store where the others find it. Raises SecurechatError."""
    from securechat.journal.jetstream import snapshots

    with contextlib.closing(Reader(copy)) as reader:
        entry, _ = reader.followed()
    return snapshots.put(engine, copy, entry, is_over)


@contextlib.contextmanager
def folder(home: Path) -> Iterator[Path]:
    """A folder in the home that nobody else can look into, and that goes away."""
    try:
        with tempfile.TemporaryDirectory(prefix=_WORK, dir=home, ignore_cleanup_errors=True) as name:
            yield Path(name)
    except OSError as error:
        raise StorageFailed(f"{home} cannot be written: {error.strerror}.", hint="Look at the disk.") from None


def begin_from_snapshot(home: Path, config: Config, is_over: Callable[[], bool]) -> None:
    """Put a snapshot in the place of a node's store, where there is none or the stream begins behind it now.

    What is there already must be continued by it, and is gone then: a text that was deleted meanwhile must not live on.
    The caller holds the home's lock; where `is_over` says so, nothing is replaced. Raises ClusterError where a snapshot
    is needed and none can be used, and StorageFailed.
    """
    if not config.cluster.servers:
        return
    for leftover in home.glob(f"{_WORK}*"):
        shutil.rmtree(leftover, ignore_errors=True)
    before = _before(home, config)
    if before.is_alone:
        return
    engine = engine_of(home, config.cluster)
    from securechat.journal.jetstream import snapshots

    try:
        shelf = snapshots.look(engine)
        is_needed = shelf.first > before.entry + 1
        if shelf.last < before.entry or not (is_needed or before.is_empty):
            return
        _begin(home, engine, shelf, before, is_over)
    except Unreachable as error:
        log.warning("whether this node needs a snapshot is not known: %s", error)


def _begin(home: Path, engine: "Engine", shelf: "Shelf", before: _Before, is_over: Callable[[], bool]) -> None:
    from securechat.journal.jetstream import snapshots
    from securechat.journal.jetstream.stream import behind

    for snapshot in shelf.snapshots:
        if snapshot.entry < before.entry:
            continue
        began = time.monotonic()
        with folder(home) as work:
            new = work / STORE
            try:
                snapshots.take(engine, snapshot, new, is_over)
                records = check(new, None if before.is_empty else home / STORE)
            except SnapshotUnusable as error:
                log.warning("a snapshot of the cluster cannot be used: %s", error)
                continue
            _replace(new, home, before)
        log.info(
            "began from a snapshot: entry %d of the stream, %d records, in %.1f seconds",
            snapshot.entry, records, time.monotonic() - began,
        )  # fmt: skip
        return
    if shelf.first > before.entry + 1:
        raise behind(engine.stream, shelf.first, before.entry)


def check(copy: Path, before: Path | None) -> int:
    """How many records are in this copy of a store, all in order, and going on from the store `before`.

    Raises SnapshotUnusable where they are not, and StorageFailed for `before`.
    """
    try:
        report = verify_store(copy)
    except StorageFailed as error:
        raise SnapshotUnusable(str(error)) from None
    if report.flaw:
        raise SnapshotUnusable(str(report.flaw))
    if before is not None:
        with contextlib.closing(Reader(before)) as old, contextlib.closing(Reader(copy)) as new:
            ours, theirs = StoredChains(old), StoredChains(new)
            flaw = difference(ours, theirs) or gap(ours, theirs)
        if flaw:
            raise SnapshotUnusable(f"It does not go on from this node's store. {flaw}")
    return report.records


def _before(home: Path, config: Config) -> _Before:
    """Raises StorageFailed."""
    path = home / STORE
    if not path.exists():
        return _Before()
    # The writer's connection: closed, it leaves nothing of the store in another file.
    with contextlib.closing(Store(path, config.durability)) as store:
        place, is_used = store.position(), any(room.head for room in store.load())
        is_node = place != Position()
        return _Before(not (is_node or is_used), is_used and not is_node, place.entry, store.accounts(), store.hooks())


def _replace(new: Path, home: Path, before: _Before) -> None:
    """Put this in the store's place: at whatever step this ends, a whole store is there. Raises StorageFailed."""
    old = home / STORE
    try:
        keep_base(home, before.accounts, before.hooks)
        with new.open("rb") as file:
            os.fsync(file.fileno())
        # The index is made again. What is left of the old store's log must not be taken for the new one's.
        for name in (SEARCH, STORE):
            for rest in ("-wal", "-shm"):
                old.with_name(name + rest).unlink(missing_ok=True)
        old.with_name(SEARCH).unlink(missing_ok=True)
        new.replace(old)
        sync_folder(old.parent)
    except OSError as error:
        raise StorageFailed(f"{old} cannot be replaced: {error.strerror}.", hint="Look at the disk.") from None
