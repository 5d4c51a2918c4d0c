"""A server with a long past: how soon it listens, how soon it gives a page, and how it serves those who are behind."""

import random
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

from bench.load.crew import Crew
from bench.load.orders import Enter, Entered, Finish, Mark, Marked, Member, Report, Say, Spoken
from bench.measure import cpu_seconds, pss_bytes, quantile
from bench.scenarios.members import PROCESSES, Figures, addresses
from bench.scenarios.talk import Talk, measure
from bench.subjects import Serving, Subject
from bench.subjects.past import AUTHOR, ROOM, filled
from bench.subjects.securechat import Securechat, make_home, serving_home, token_of

LIVE_READERS: Final = 10
LIVE_RATE: Final = 100
"""Messages a second in a room in which people talk while others catch up: a hundredth of what is heard is to be more
than one or two of them."""

ASKED: Final = 200
"""Pages, and searches, in one run."""

PAGE: Final = 50
"""Records in a page."""

ANSWER_SECONDS: Final = 30.0


def start(subject: Subject, folder: Path, records: int) -> Figures:
    """Start on so many records."""
    del subject  # only securechat keeps anything
    make_home(folder, {}, ["u0"], filled(records))
    began = time.perf_counter()
    with serving_home(folder) as serving:
        return {"listening s": time.perf_counter() - began, "PSS MiB": pss_bytes(serving.pid) / 2**20}


def acknowledge(subject: Subject, folder: Path, records: int) -> Figures:
    """Have one author say one thing after the other in a new room, on a store of so many records."""
    del subject
    return measure(Securechat(filled(records)), folder, Talk(readers=2, authors=1, in_flight=1, seconds=2))


def history(subject: Subject, folder: Path, records: int) -> Figures:
    """Ask for pages, from anywhere in a room of so many records, and search for words in it."""
    del subject
    chosen = random.Random(1)  # noqa: S311 - no secret
    with (
        Securechat(filled(records, indexed=True)).serve(folder, {ROOM: ["u0"]}, ["u0"]) as serving,
        asking(serving, "u0") as client,
    ):
        pages, searches = [], []
        for _ in range(ASKED):
            before = chosen.randint(PAGE + 1, records)
            pages.append(client.ask("page", PAGE, {"type": "history", "room": ROOM, "before": before, "limit": PAGE}))
            # Each message holds its number, and few hold the same digits elsewhere.
            text = f"{AUTHOR} {chosen.randrange(records)}"
            searches.append(client.ask("found", 1, {"type": "search", "room": ROOM, "text": text, "limit": 20}))
    return {
        "page p50 ms": quantile(sorted(pages), 0.5) * 1e3,
        "page p99 ms": quantile(sorted(pages), 0.99) * 1e3,
        "search p50 ms": quantile(sorted(searches), 0.5) * 1e3,
        "search p99 ms": quantile(sorted(searches), 0.99) * 1e3,
    }


def late(subject: Subject, folder: Path, readers: int, records: int) -> Figures:
    """Have so many readers come who are so many records behind, while others talk in another room."""
    del subject
    where = addresses()
    live = [
        Member(f"live{number}", ["live"], next(where), says=number == 0, watched=number > 0)
        for number in range(LIVE_READERS)
    ]
    behind = [Member(f"late{number}", [ROOM], next(where)) for number in range(readers)]
    rooms = {"live": [member.account for member in live], ROOM: [member.account for member in behind]}
    others = range(1, PROCESSES)
    with (
        Securechat(filled(records)).serve(folder, rooms, [*rooms["live"], *rooms[ROOM]]) as serving,
        Crew(PROCESSES) as crew,
    ):
        crew.each({0: Enter(serving, live)}, Entered)
        crew.each({0: Mark(["live0"])}, Marked)
        quiet = sorted(_talk(crew) + _talk(crew) + _talk(crew))
        cpu = cpu_seconds(serving.pid)
        crew.tell(
            {number: Enter(serving, behind[number - 1 :: PROCESSES - 1], after=0, missed=records) for number in others}
        )
        meanwhile: list[float] = []
        while not all(crew.has_answered(number) for number in others):
            meanwhile += _talk(crew)
        entered = crew.answers(others, Entered)
        cpu = cpu_seconds(serving.pid) - cpu
    seconds = max(answer.seconds for answer in entered)
    meanwhile.sort()
    return {
        "records/s": readers * records / seconds,
        "CPU µs/record": cpu / readers / records * 1e6,
        "level s": seconds,
        "live p50 ms before": quantile(quiet, 0.5) * 1e3,
        "live p99 ms before": quantile(quiet, 0.99) * 1e3,
        "live p50 ms meanwhile": quantile(meanwhile, 0.5) * 1e3,
        "live p99 ms meanwhile": quantile(meanwhile, 0.99) * 1e3,
        "generator idle": min(answer.idle for answer in entered),
    }


def _talk(crew: Crew) -> list[float]:
    """Have the first crowd talk for a second; what was heard took so long."""
    (spoken,) = crew.each({0: Say(in_flight=0, seconds=1, rate=LIVE_RATE)}, Spoken)
    (report,) = crew.each({0: Finish(spoken.said)}, Report)
    if any(report.losses.values()):
        raise RuntimeError(f"Those who talked did not hear it right: {dict(report.losses)}.")
    return list(report.heard)


class Asking:
    """A client that asks one thing after the other."""

    def __init__(self, client: ssl.SSLSocket) -> None:
        self._client = client
        self._lines = client.makefile("rb")

    def ask(self, answer: str, least: int, request: dict[str, str | int]) -> float:
        """Seconds until the answer of this type is there. Raises RuntimeError if it has too few records."""
        before = time.perf_counter()
        self._client.sendall(msgspec.json.encode(request) + b"\n")
        while True:
            line = self._lines.readline()
            seconds = time.perf_counter() - before
            event: dict[str, Any] = msgspec.json.decode(line)
            if event["type"] == "error":
                raise RuntimeError(event["message"])
            if event["type"] == answer:
                if len(event.get("records", event.get("hits", event))) < least:
                    raise RuntimeError(f"Too few records for {request}.")
                return seconds


@contextmanager
def asking(serving: Serving, account: str) -> Iterator[Asking]:
    """A client of this account, logged in."""
    context = ssl.create_default_context(cafile=str(serving.ca_file))
    with (
        socket.create_connection(("127.0.0.1", serving.port), ANSWER_SECONDS) as raw,
        context.wrap_socket(raw, server_hostname=serving.host_name) as client,
    ):
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        asker = Asking(client)
        asker.ask("welcome", 0, {"type": "resume", "token": token_of(account)})
        yield asker
