"""Whether a home can go on as a node of its cluster: what a start would look at, and what somebody should know before.

It looks and changes nothing: a stream that is not there is not made.
"""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Literal, NamedTuple

from securechat.certificates import inspect_certificate
from securechat.config import Cluster
from securechat.errors import ClusterError
from securechat.journal.backup import STORE
from securechat.journal.migration import is_behind
from securechat.journal.reader import Reader
from securechat.server.ordering import check_kind, engine_of

SOON: Final = timedelta(days=14)
"""A certificate for NATS that ends within this time is told of: nothing renews it by itself."""


class Sign(NamedTuple):
    """One thing that was looked at, and what to do about it ("" where nothing is to be done)."""

    level: Literal["ok", "warning"]
    message: str
    fix: str = ""


def signs(home: Path, cluster: Cluster) -> Iterator[Sign]:
    """What there is to say. Raises Unreachable where NATS does not answer, and SecurechatError where a start ends."""
    if cluster.certificate:
        yield _certificate(home / cluster.certificate, cluster)
    extent = check(home, cluster)
    if extent is None:
        yield Sign("ok", f"NATS answers; there is no stream {cluster.stream} yet, which the first start makes.")
    else:
        yield Sign("ok", f"NATS answers, and the stream {cluster.stream} (entries {extent[0]} to {extent[1]}) is fit.")


def check(home: Path, cluster: Cluster) -> tuple[int, int] | None:
    """From which entry to which the stream goes; None where there is none yet.

    Raises ClusterError where it, or the NATS server, is not fit, or where this home cannot go on from it; Unreachable,
    ConfigError, CertificateError, and StorageFailed.
    """
    engine = engine_of(home, cluster)
    from securechat.journal.jetstream.snapshots import look
    from securechat.journal.jetstream.stream import check_place
    from securechat.journal.jetstream.survey import extent

    store = home / STORE
    entry = 0
    if store.exists() and not is_behind(store):
        with closing(Reader(store)) as reader:
            place, is_used = reader.followed(), any(room.head for room in reader.rooms())
        check_kind(home, cluster, followed=place != (0, 0), is_used=is_used)
        entry, _ = place
    found = extent(engine)
    first, last = found or (0, 0)
    try:
        check_place(cluster.stream, first, last, entry)
    except ClusterError:
        if last < entry or not any(one.entry >= entry for one in look(engine).snapshots):
            raise
    return found


def _certificate(path: Path, cluster: Cluster) -> Sign:
    left = inspect_certificate(path).expires - datetime.now(UTC)
    shown = f"The certificate that this node shows to NATS is valid for {max(0, left.days)} days."
    if left > SOON:
        return Sign("ok", shown)
    return Sign("warning", shown, f"securechat cert client {cluster.node}, copy both files, and restart the node.")
