"""A very small run of each scenario: the figures that it gives, and that it sees what goes wrong."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import pytest

from bench.__main__ import main, run_all
from bench.plan import Case
from bench.scenarios import coming, past
from bench.scenarios.members import Figures
from bench.scenarios.talk import Talk, measure
from bench.subjects import Serving, Subject
from bench.subjects.asyncio_chat import AsyncioChat
from bench.subjects.past import ROOM, filled
from bench.subjects.programs import free_port
from bench.subjects.securechat import Securechat
from securechat.chat import chain
from securechat.journal.reader import Reader

MESSAGES = 20
PAST = 600


@pytest.mark.parametrize("subject", [Securechat(), AsyncioChat()], ids=lambda subject: str(subject.name))
def test_a_burst_is_heard_by_all_and_costs_something(subject: Subject, tmp_path: Path) -> None:
    figures = measure(subject, tmp_path, Talk(readers=3, authors=1, in_flight=4, seconds=60, messages=MESSAGES))
    assert (figures["lost"], figures["doubled"], figures["out of order"]) == (0, 0, 0)
    assert figures["deliveries/s"] * figures["wall s"] == pytest.approx(3 * MESSAGES)
    assert 0 < figures["heard p50 ms"] <= figures["heard p99 ms"] <= figures["heard max ms"]
    assert 0 < figures["ack p50 ms"] <= figures["ack p99 ms"]
    assert figures["CPU µs/delivery"] > 0
    assert figures["PSS MiB"] > 1
    assert 0 < figures["generator idle"] < 1


@pytest.mark.parametrize(
    ("talk", "deliveries"),
    [
        (Talk(readers=3, authors=3, in_flight=1, rooms=2, seconds=60, messages=7), 2 * 3 * 7 * 3),
        (Talk(readers=3, authors=2, in_flight=5, seconds=60, messages=MESSAGES, deaf=True), 2 * MESSAGES),
        (Talk(readers=4, authors=1, in_flight=1, seconds=60, messages=7, rate=200), 7 * 4),
        (Talk(readers=3, authors=1, in_flight=5, seconds=60, messages=MESSAGES, pasted=True), 3 * MESSAGES),
    ],
    ids=["rooms", "deaf-authors", "paced", "pasted"],
)
def test_all_is_heard(talk: Talk, deliveries: int, tmp_path: Path) -> None:
    figures = measure(AsyncioChat(), tmp_path, talk)
    assert (figures["lost"], figures["doubled"], figures["out of order"]) == (0, 0, 0)
    assert figures["deliveries/s"] * figures["wall s"] == pytest.approx(deliveries)
    assert figures["fsync p50 ms"] > 0


@pytest.mark.parametrize("subject", [Securechat(), AsyncioChat()], ids=lambda subject: str(subject.name))
def test_who_dropped_comes_back_to_what_it_missed(subject: Subject, tmp_path: Path) -> None:
    figures = coming.storm(subject, tmp_path, 3)
    assert figures["level s"] > 0
    assert figures["CPU ms/login"] > 0


def test_a_server_gets_a_port_that_the_system_gives_to_nobody_else() -> None:
    first, _ = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    assert all(free_port() < first for _ in range(50))


def test_logins_and_connections_have_their_cost(tmp_path: Path) -> None:
    figures = coming.idle(Securechat(), tmp_path, 3, by_password=True)
    assert figures["logins/s"] > 0
    assert figures["CPU ms/login"] > 0
    assert figures["KiB/connection"] * 3 == pytest.approx(figures["PSS MiB"] * 1024)


def test_readers_who_are_behind_hear_all_while_others_talk(tmp_path: Path) -> None:
    figures = past.late(Securechat(), tmp_path, readers=2, records=PAST)
    assert figures["records/s"] * figures["level s"] == pytest.approx(2 * PAST)
    assert figures["live p50 ms before"] > 0
    assert figures["live p50 ms meanwhile"] > 0


def test_pages_searches_and_a_start_take_their_time(tmp_path: Path) -> None:
    for name in ("history", "start"):
        (tmp_path / name).mkdir()
    figures = past.history(Securechat(), tmp_path / "history", PAST)
    assert 0 < figures["page p50 ms"] <= figures["page p99 ms"]
    assert 0 < figures["search p50 ms"] <= figures["search p99 ms"]
    assert past.start(Securechat(), tmp_path / "start", PAST)["listening s"] > 0


def test_a_past_is_chained_as_any_log_is() -> None:
    with closing(Reader(filled(PAST).folder / "chat.db")) as reader:
        records = reader.page(ROOM, after=0, limit=PAST + 1).records
    link = chain.start(ROOM)
    for number, record in enumerate(records, start=1):
        link = chain.link_record(link, record)
        assert (record.seq, record.hash) == (number, link)
    assert len(records) == PAST


def test_a_server_that_refuses_ends_the_run(tmp_path: Path) -> None:
    class Strangers(AsyncioChat):
        @contextmanager
        def serve(self, folder: Path, rooms: Mapping[str, Sequence[str]], accounts: Sequence[str]) -> Iterator[Serving]:
            with super().serve(folder, rooms, accounts[:1]) as serving:
                yield serving

    with pytest.raises(RuntimeError, match=r"refused|closed the connection"):
        coming.idle(Strangers(), tmp_path, 3)


def test_the_command_runs_servers_in_turn_and_compares_them(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["--readers", "3", "--in-flight", "2", "--messages", "10", "--seconds", "60", "--repeat", "2"]
    assert main([*asked, "--subjects", "tutorial,asyncio"]) == 0
    printed = capsys.readouterr()
    assert re.search(r"^3 readers, 1 author, 2 in flight +asyncio +2 +1\.00 .*%", printed.out, re.MULTILINE)
    assert re.search(r"^3 readers, 1 author, 2 in flight +tutorial +2 +\d+\.\d\d .*%", printed.out, re.MULTILINE)
    turns = re.findall(r"(\w+), (\d) of 2", printed.err)
    assert turns == [("asyncio", "1"), ("tutorial", "1"), ("asyncio", "2"), ("tutorial", "2")]


def test_the_largest_cases_are_run_as_often_as_is_asked_for_them() -> None:
    ran: list[str] = []

    def run(subject: Subject, folder: Path, *, name: str) -> Figures:
        ran.append(name)
        return {"cost": 1.0}

    cases = [
        Case("scenario", name, partial(run, name=name), "cost", ("cost",), full=name == "large")
        for name in ("small", "large")
    ]
    results = run_all(cases, [AsyncioChat()], repeat=3, full_repeat=1, quiet=True)
    assert ran == ["small", "small", "small", "large"]
    assert [len(one.runs) for one in results] == [3, 1]
