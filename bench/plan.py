"""Which cases there are, by scenario, and what of each is shown. Nothing runs here."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from bench.scenarios import coming, past
from bench.scenarios.members import Figures
from bench.scenarios.talk import Talk, measure
from bench.subjects import Subject
from bench.subjects.asyncio_chat import AsyncioChat
from bench.subjects.inspircd import Inspircd
from bench.subjects.mosquitto import Mosquitto
from bench.subjects.securechat import Securechat
from bench.subjects.tutorial import Tutorial

SUBJECTS: Final[Sequence[Subject]] = (
    Securechat(),
    Inspircd(),
    Mosquitto(0),
    Mosquitto(1),
    AsyncioChat(),
    Tutorial(),
)

WRONG: Final = ("lost", "doubled", "out of order")
"""Figures that must be 0."""

PER_DELIVERY: Final = "CPU µs/delivery"


class Case(NamedTuple):
    """One row of work, done by each server in turn."""

    scenario: str
    title: str
    run: Callable[[Subject, Path], Figures]
    compared: str
    """The figure in which servers are compared: the less, the better."""
    shown: Sequence[str]
    full: bool = False
    """Takes long, and is left out unless asked for."""
    durable: bool = False
    """For servers alone that store what they acknowledge."""
    skipped: Sequence[str] = ()
    """Servers that cannot do it, or not in any useful time."""
    grows: bool = False
    """Compared with the first case of the scenario, and not with the first server."""


HEARD: Final = ("heard p50 ms", "heard p99 ms", "heard max ms")
ACKNOWLEDGED: Final = ("ack p50 ms", "ack p99 ms")


def burst(talk: Talk, *, full: bool = False, skipped: Sequence[str] = ()) -> Case:
    """Authors who say as much as acknowledgements let them, in one room."""
    many = "s" * (talk.authors > 1)
    title = f"{talk.readers:,} readers, {talk.authors} author{many}, {talk.in_flight} in flight"
    shown = ("wall s", "deliveries/s", PER_DELIVERY, *HEARD, *ACKNOWLEDGED, "PSS MiB")
    run = partial(measure, talk=talk)
    return Case("burst", title + ", pasted" * talk.pasted, run, PER_DELIVERY, shown, full, skipped=skipped)


ROOMS: Final = Case(
    "rooms",
    "100 rooms of 10, everybody says one thing after the other",
    partial(measure, talk=Talk(readers=10, authors=10, in_flight=1, rooms=100)),
    PER_DELIVERY,
    ("messages/s", PER_DELIVERY, *HEARD, *ACKNOWLEDGED),
)
PACED: Final = Case(
    "paced",
    "500 readers, 20 messages a second",
    partial(measure, talk=Talk(readers=500, authors=1, in_flight=0, rate=20, seconds=5)),
    PER_DELIVERY,
    ("messages/s", PER_DELIVERY, "server CPU", *HEARD, *ACKNOWLEDGED),
)
ACK: Final = Case(
    "ack",
    "one author, one thing after the other, an idle server",
    partial(measure, talk=Talk(readers=2, authors=1, in_flight=1, seconds=2)),
    "ack p50 ms",
    ("fsync p50 ms", *ACKNOWLEDGED, "ack max ms", "CPU µs/message"),
)
DURABLE: Final = Case(
    "durable",
    "10 authors in one room, 64 in flight each; 2 readers",
    partial(measure, talk=Talk(readers=12, authors=10, in_flight=64, deaf=True)),
    "CPU µs/message",
    ("messages/s", "CPU µs/message", "fsync p50 ms", *ACKNOWLEDGED),
    durable=True,
)


def idle(connections: int, *, by_password: bool = False, full: bool = False, skipped: Sequence[str] = ()) -> Case:
    """Many who log in and are silent."""
    title = f"{connections:,} logins with {'a password' if by_password else 'a token where there are some'}"
    run = partial(coming.idle, connections=connections, by_password=by_password)
    shown = ("logins/s", "CPU ms/login", "KiB/connection", "PSS MiB")
    return Case("idle", title, run, "CPU ms/login", shown, full, skipped=skipped)


def storm(connections: int, *, full: bool = False, skipped: Sequence[str] = ()) -> Case:
    """All of one room drop and come back."""
    shown = ("level s", "CPU ms/login", "server CPU")
    run = partial(coming.storm, connections=connections)
    return Case("storm", f"{connections:,} drop and come back", run, "level s", shown, full, skipped=skipped)


def late(readers: int, records: int, *, full: bool = False) -> Case:
    """Readers who are far behind."""
    shown = (
        "records/s",
        "CPU µs/record",
        "level s",
        "live p50 ms before",
        "live p50 ms meanwhile",
        "live p99 ms before",
        "live p99 ms meanwhile",
    )
    title = f"{readers} readers, {records:,} records behind each"
    run = partial(past.late, readers=readers, records=records)
    return Case("late", title, run, "CPU µs/record", shown, full, durable=True)


def history(records: int, *, full: bool = False) -> Case:
    """Pages and searches."""
    shown = ("page p50 ms", "page p99 ms", "search p50 ms", "search p99 ms")
    title = f"pages of 50, and searches for one message, in {records:,} records"
    run = partial(past.history, records=records)
    return Case("history", title, run, "page p50 ms", shown, full, durable=True)


def start(records: int, *, full: bool = False) -> Case:
    """A start."""
    run = partial(past.start, records=records)
    return Case("start", f"on {records:,} records", run, "listening s", ("listening s", "PSS MiB"), full, durable=True)


def more_readers(readers: int, *, full: bool = False) -> Case:
    """The same burst for more and more readers."""
    run = partial(measure, talk=Talk(readers, 1, 64))
    shown = ("deliveries/s", PER_DELIVERY, "PSS MiB")
    title = f"{readers:,} readers, 1 author, 64 in flight"
    return Case("growth-readers", title, run, PER_DELIVERY, shown, full, durable=True, grows=True)


def more_records(records: int, *, full: bool = False) -> Case:
    """The same acknowledgement on a larger and larger store."""
    run = partial(past.acknowledge, records=records)
    shown = (*ACKNOWLEDGED, "fsync p50 ms", "CPU µs/message", "PSS MiB")
    title = f"{records:,} records in the store"
    return Case("growth-records", title, run, "ack p50 ms", shown, full, durable=True, grows=True)


def more_connections(connections: int, *, full: bool = False) -> Case:
    """The same for more and more connections."""
    run = partial(coming.idle, connections=connections)
    shown = ("KiB/connection", "PSS MiB", "CPU ms/login")
    title = f"{connections:,} connections"
    return Case("growth-connections", title, run, "KiB/connection", shown, full, durable=True, grows=True)


SLOW: Final = ("tutorial", "asyncio", "mosquitto-qos1")
"""What takes minutes each in the largest cases, where the smaller ones have said it already."""

CASES: Final[Sequence[Case]] = (
    burst(Talk(1000, 1, 64)),
    burst(Talk(1000, 10, 8)),
    burst(Talk(1000, 10, 64)),
    burst(Talk(100, 1, 64)),
    burst(Talk(1000, 1, 64, pasted=True), full=True, skipped=SLOW),
    burst(Talk(100, 10, 8), full=True, skipped=SLOW),
    burst(Talk(100, 10, 64), full=True, skipped=SLOW),
    burst(Talk(500, 1, 64), full=True, skipped=SLOW),
    burst(Talk(500, 10, 8), full=True, skipped=SLOW),
    burst(Talk(500, 10, 64), full=True, skipped=SLOW),
    ROOMS,
    PACED,
    ACK,
    DURABLE,
    idle(1000),
    idle(100, by_password=True),
    idle(5000, full=True, skipped=SLOW),
    idle(10_000, full=True, skipped=SLOW),
    storm(1000, skipped=["tutorial"]),
    storm(5000, full=True, skipped=SLOW),
    late(100, 5_000),
    late(100, 50_000, full=True),
    history(10_000),
    history(1_000_000, full=True),
    start(100_000),
    start(1_000_000, full=True),
    more_readers(100),
    more_readers(1000),
    more_readers(5000, full=True),
    more_records(10_000),
    more_records(100_000),
    more_records(1_000_000, full=True),
    more_records(5_000_000, full=True),
    more_connections(1000),
    more_connections(5000, full=True),
    more_connections(10_000, full=True),
)


def doing(case: Case, subjects: Iterable[Subject]) -> list[Subject]:
    """Those of the servers that do this case."""
    return [one for one in subjects if (one.durable or not case.durable) and one.name not in case.skipped]


def scenarios() -> list[str]:
    """The names of all scenarios, in the order in which they run."""
    return list(dict.fromkeys(case.scenario for case in CASES))


def chosen(only: Iterable[str], *, full: bool) -> list[Case]:
    """The cases of these scenarios; of all, if none is named."""
    return [case for case in CASES if (not only or case.scenario in only) and (full or not case.full)]
