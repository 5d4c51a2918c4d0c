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
    if not cluster.servers:
        if followed:
            what = f"{home / 'chat.db'} belongs to a node of a cluster, and [cluster] names no servers."
            raise ClusterError(
                what, hint="To leave the other nodes, and go on without them: securechat migrate --to-single"
            )
        return LocalOrder(limit)
    if not followed and any(room.head for room in store.load()):
        what = f"{home / 'chat.db'} has a history of its own, which the cluster does not know."
        raise ClusterError(
            what, hint="To take it there: securechat migrate --to-cluster; to join: a home without chat.db."
        )
    engine = engine_of(home, cluster)
    from securechat.journal.jetstream.order import JetStreamOrder

    return JetStreamOrder(limit, engine)


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
