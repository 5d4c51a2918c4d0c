"""What gives a home's proposals their order: this process, or the stream of the cluster that its settings name.

The library of a cluster is imported only where there is one.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from securechat.certificates.contexts import KeyPair, client_context
from securechat.config import Cluster, Config
from securechat.errors import ClusterError, ConfigError
from securechat.journal.journal import Order
from securechat.journal.local import LocalOrder
from securechat.journal.store import Position, Store

if TYPE_CHECKING:
    from securechat.journal.jetstream.stream import Engine


def make_order(home: Path, config: Config, store: Store) -> Order:
    """The order by which the home's store goes on.

    Raises ClusterError where the store belongs to a cluster and the settings do not, or the other way round;
    ConfigError where the library is missing; CertificateError where what NATS is to be shown cannot be used.
    """
    limit, cluster = config.limits.journal_proposals, config.cluster
    followed = store.position() != Position()
    check_kind(home, cluster, followed=followed, is_used=any(room.head for room in store.load()))
    if not cluster.servers:
        return LocalOrder(limit)
    engine = engine_of(home, cluster)
    from securechat.journal.jetstream.order import JetStreamOrder

    return JetStreamOrder(limit, engine)


def check_kind(home: Path, cluster: Cluster, *, followed: bool, is_used: bool) -> None:
    """Raise ClusterError where the home's store, which has followed a stream or not and holds something or not, is a
    node's and the settings are not, or the other way round."""
    if followed and not cluster.servers:
        what = f"{home / 'chat.db'} belongs to a node of a cluster, and [cluster] names no servers."
        hint = "To leave the other nodes, and go on without them: securechat migrate --to-single"
        raise ClusterError(what, hint=hint)
    if cluster.servers and is_used and not followed:
        what = f"{home / 'chat.db'} has a history of its own, which the cluster does not know."
        hint = "To take it there: securechat migrate --to-cluster; to join: a home without chat.db."
        raise ClusterError(what, hint=hint)


def engine_of(home: Path, cluster: Cluster) -> "Engine":
    """The way to the cluster's stream. Raises ConfigError and CertificateError as `make_order` does."""
    try:
        from securechat.journal.jetstream.stream import Engine
    except ImportError:
        what = "[cluster] names servers, and the library that speaks to NATS is missing."
        raise ConfigError(what, hint="Install it: pip install 'securechat[nats]'") from None
    pair = KeyPair(home / cluster.certificate, home / cluster.key)
    tls = client_context(home / cluster.ca, pair) if _has_tls(cluster) else None
    return Engine(cluster.servers, cluster.stream, cluster.replicas, cluster.node, tls)


def _has_tls(cluster: Cluster) -> bool:
    return any(server.startswith("tls://") for server in cluster.servers)
