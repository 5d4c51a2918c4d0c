"""What the counters say, in the form that Prometheus reads: `/metrics`. It counts nothing itself, and names nobody.

The library is the extra `metrics`; without it the route says what to install.
"""

from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from securechat.counters import Histogram, ListenerCounts
from securechat.server.http_listener import Request, Response, Route
from securechat.server.services import Services

if TYPE_CHECKING:
    from prometheus_client import Metric

MISSING: Final = "Metrics need the extra of that name: pip install 'securechat[metrics]'\n"


def metrics_route(services: Services, listener: ListenerCounts) -> Route:
    """What the HTTP listener answers to `/metrics`."""
    return Route("GET", "/metrics", _answer(services, listener))


def _answer(services: Services, listener: ListenerCounts) -> Callable[[Request], Response]:
    try:
        from prometheus_client import CollectorRegistry
        from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
        from prometheus_client.registry import Collector
    except ImportError:
        return lambda _: Response(HTTPStatus.NOT_IMPLEMENTED, MISSING)

    class Numbers(Collector):
        """Everything that is told, read when it is asked for."""

        def collect(self) -> "Iterable[Metric]":
            return _numbers(services, listener)

        def describe(self) -> "Iterable[Metric]":
            return ()  # else it would be asked before there is anybody to answer

    registry = CollectorRegistry()
    registry.register(Numbers())
    return lambda _: Response(HTTPStatus.OK, generate_latest(registry).decode(), CONTENT_TYPE_PLAIN_0_0_4)


def _numbers(services: Services, listener: ListenerCounts) -> "Iterable[Metric]":
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

    def counter(name: str, help: str, value: float) -> "Metric":
        return CounterMetricFamily(f"securechat_{name}", help, value=value)

    def gauge(name: str, help: str, value: float) -> "Metric":
        return GaugeMetricFamily(f"securechat_{name}", help, value=value)

    def histogram(name: str, help: str, values: Iterable[Histogram]) -> "Metric":
        buckets, total = _cumulated(tuple(values))
        return HistogramMetricFamily(f"securechat_{name}", help, buckets=buckets, sum_value=total)

    certificate = services.certificate
    journal, reactors = services.journal.counts, [reactor.counts for reactor in services.reactors]
    loads = [reactor.load() for reactor in services.reactors]
    logins = CounterMetricFamily("securechat_logins", "Logins by what came of them.", labels=["outcome"])
    for outcome in reactors[0].logins:
        logins.add_metric([outcome], sum(one.logins[outcome] for one in reactors))
    return (
        counter("connections_accepted", "Connections that were accepted.", listener.accepted),
        counter("connections_refused", "Connections that were closed for want of a place.", listener.refused),
        gauge("connections", "Connections that are open.", services.connections),
        logins,
        counter("records", "Records of every kind that were stored.", journal.records),
        counter("messages", "Messages that were stored.", journal.messages),
        counter("deliveries", "Records that live readers have been given.", sum(one.deliveries for one in reactors)),
        histogram(
            "acknowledgement_seconds", "From a proposal to its answer, the commit in between.",
            (one.answer_seconds for one in reactors),
        ),
        histogram("commit_seconds", "From a transaction's begin until it is on disk.", [journal.commit_seconds]),
        histogram("commit_records", "Records in one commit.", [journal.batch_records]),
        gauge("queue_bytes", "Bytes that wait to be written to clients.", sum(queued for queued, _ in loads)),
        gauge("readers_behind", "Connections that read on from the store.", sum(late for _, late in loads)),
        gauge("certificate_expiry_seconds", "Until the certificate in use expires.", certificate.seconds_left()),
        gauge("disk_full", "1 when the disk had no room for the last commit.", services.journal.is_full),
    )  # fmt: skip


def _cumulated(parts: tuple[Histogram, ...]) -> tuple[list[tuple[str, float]], float]:
    """Histograms of the same bounds as one, each count with all below it, as Prometheus wants them; and their sum."""
    buckets, seen = [], 0
    for number, bound in enumerate([*map(str, parts[0].bounds), "+Inf"]):
        seen += sum(one.counts[number] for one in parts)
        buckets.append((bound, float(seen)))
    return buckets, sum(one.total for one in parts)
