"""A server's home becomes the first node of a cluster, or a node's home a server of its own: with the same records,
numbers, ids and chains.

Nothing runs on the home meanwhile. Wherever it is cut off, the home is what it was or what it was to become, and the
same command again brings it to its end.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import msgspec

from securechat.accounts.credentials import CredentialFile
from securechat.accounts.hooks import HookFile
from securechat.config import Config
from securechat.errors import ClusterError, NotFound
from securechat.journal.backup import STORE
from securechat.journal.reader import Reader
from securechat.journal.state import digest
from securechat.journal.store import Position, Store
from securechat.server.locking import only_server
from securechat.server.ordering import engine_of
from securechat.server.shared_roll import take_along
from securechat.server.snapshots import folder, publish


class Migrated(msgspec.Struct, frozen=True):
    """What stands for all chains in the home, the same before and after, and the entry of the stream where it is."""

    digest: str
    entry: int


def to_cluster(home: Path, config: Config) -> Migrated:
    """Make this server the first node of the cluster that its settings name, whose stream is new or empty.

    First the stream is begun, then the store says in one commit that it is a node's, then the snapshot is made from
    which the others begin. Raises ClusterError, NotFound, CredentialError, Unreachable, and StorageFailed.
    """
    engine = engine_of(home, config.cluster)
    from securechat.journal.jetstream import snapshots
    from securechat.journal.jetstream.founding import ENTRY, found

    with _store(home, config) as store:
        position, before = store.position(), _digest(store)
        if position == Position():
            accounts, hooks = CredentialFile(home / "credentials").load(), HookFile(home / "hooks").load()
            found(engine, before)
            store.commit((), (), {}, accounts=accounts, hooks=hooks, position=Position(ENTRY))
        elif snapshots.look(engine).snapshots:
            what = f"{home / STORE} belongs to a node of a cluster already."
            raise ClusterError(what, hint="Start it: securechat serve")
        with folder(home) as work, contextlib.closing(Reader(home / STORE)) as reader:
            reader.copy_to(work / STORE)
            made = publish(engine, work / STORE)
        return Migrated(_digest(store), made.entry)


def to_single(home: Path, config: Config) -> Migrated:
    """Make this node's home that of a server of its own.

    First its files say what the cluster says of accounts and webhooks, and what was changed there by hand since the
    node stopped; then, in one commit, the store is no node's. Raises ClusterError, NotFound, CredentialError, and
    StorageFailed.
    """
    with _store(home, config) as store:
        position = store.position()
        if position == Position():
            what = f"{home / STORE} belongs to no node of a cluster."
            raise ClusterError(what, hint="Without [cluster] servers in securechat.toml it is a server of its own.")
        take_along(home, store.accounts(), store.hooks())
        store.leave()
        return Migrated(_digest(store), position.entry)


@contextlib.contextmanager
def _store(home: Path, config: Config) -> Iterator[Store]:
    """The home's store, while no server is at work on it."""
    if not (home / STORE).exists():
        raise NotFound(f"There is no {STORE} in {home.absolute()}.", hint="Name the folder of a server with --home.")
    with only_server(home), contextlib.closing(Store(home / STORE, config.durability)) as store:
        yield store


def _digest(store: Store) -> str:
    return digest({room.name: room for room in store.load()})
