"""People who talk: rooms with so many members, some of whom say so much. Burst, paced, rooms and the like are this."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from bench.load.crew import Crew
from bench.load.hearing import Losses
from bench.load.orders import Enter, Entered, Finish, Mark, Marked, Member, Report, Say, Spoken
from bench.measure import cpu_seconds, fsync_seconds, pss_bytes, quantile
from bench.scenarios.members import PROCESSES, Figures, addresses
from bench.subjects import Serving, Subject

WATCHED = 16
"""Members whose say-to-heard times are kept; they are in a process of their own together with the authors."""


class Talk(NamedTuple):
    """Who talks how."""

    readers: int
    """Members of each room; the authors are among them."""
    authors: int
    """Of each room."""
    in_flight: int
    rooms: int = 1
    rate: float = 0.0
    """Messages a second of all authors together; 0 for as fast as they are acknowledged."""
    seconds: float = 3.0
    messages: int = 0
    """Of each author, at most; 0 for as many as go into the time."""
    pasted: bool = False
    """What an author may say at once goes out in one write."""
    deaf: bool = False
    """Authors do not read the room; not every protocol has that."""


def measure(subject: Subject, folder: Path, talk: Talk) -> Figures:
    """Run the server, let them talk, and give what it cost. Raises RuntimeError where the run cannot be."""
    crowds = _crowds(talk)
    members = [member for crowd in crowds for member in crowd]
    rooms = {name: [m.account for m in members if m.rooms == [name]] for name in _rooms(talk)}
    fsync = fsync_seconds(folder)
    with subject.serve(folder, rooms, [m.account for m in members]) as serving, Crew(len(crowds)) as crew:
        crowds = [_dealt(crowd, serving) for crowd in crowds]
        for coming in _in_turn(crowds) if talk.rooms == 1 else [crowds]:
            crew.each({number: Enter(serving, crowd) for number, crowd in enumerate(coming) if crowd}, Entered)
        speakers = {member.rooms[0]: member.account for member in members if member.says}
        crew.all(Mark(list(speakers.values())), Marked)

        cpu, began = sum(map(cpu_seconds, serving.pids)), time.perf_counter()
        spoken = crew.all(Say(talk.in_flight, talk.seconds, talk.messages, talk.rate, talk.pasted), Spoken)
        said = {key: count for answer in spoken for key, count in answer.said.items()}
        reports = crew.all(Finish(said), Report)
        wall, cpu = time.perf_counter() - began, sum(map(cpu_seconds, serving.pids)) - cpu
        memory = sum(map(pss_bytes, serving.pids))

    messages = sum(said.values())
    deliveries = messages * (talk.readers - talk.authors * talk.deaf)
    losses = sum((report.losses for report in reports), Losses())
    heard = sorted(seconds for report in reports for seconds in report.heard)
    acknowledged = sorted(seconds for answer in spoken for seconds in answer.acknowledged)
    return {
        "wall s": wall,
        "messages/s": messages / wall,
        "deliveries/s": deliveries / wall,
        "CPU µs/delivery": cpu / deliveries * 1e6,
        "CPU µs/message": cpu / messages * 1e6,
        "server CPU": cpu / wall,
        **_quantiles("heard", heard),
        **_quantiles("ack", acknowledged),
        "lost": losses["lost"],
        "doubled": losses["doubled"],
        "out of order": losses["disordered"],
        "fsync p50 ms": fsync * 1e3,
        "PSS MiB": memory / 2**20,
        "generator idle": min(report.idle for report in reports),
    }


def _in_turn(crowds: Sequence[Sequence[Member]]) -> Iterator[list[Sequence[Member]]]:
    """Who comes in together, one after the other: the watched of the first crowd as a third before, between and behind
    the halves of the silent, since some servers write to those first who came first."""
    first, silent = crowds[0], crowds[1:]
    nobody: list[Sequence[Member]] = [[] for _ in silent]
    yield [first[0::3], *nobody]
    yield [[], *(crowd[0::2] for crowd in silent)]
    yield [first[1::3], *nobody]
    yield [[], *(crowd[1::2] for crowd in silent)]
    yield [first[2::3], *nobody]


def _dealt(crowd: Sequence[Member], serving: Serving) -> list[Member]:
    """The crowd with each member's way, from node to node where there are several."""
    ports = [port for _, port in serving.nodes] or [serving.port]
    return [member._replace(port=ports[number % len(ports)]) for number, member in enumerate(crowd)]


def _quantiles(name: str, seconds: Sequence[float]) -> Figures:
    parts = {"p50": 0.5, "p99": 0.99, "max": 1.0}
    return {f"{name} {part} ms": quantile(seconds, at) * 1e3 for part, at in parts.items()}


def _rooms(talk: Talk) -> list[str]:
    return [f"room{number}" for number in range(talk.rooms)]


def _crowds(talk: Talk) -> list[list[Member]]:
    """Who is in which process: with few authors they and the watched are in the first, and the silent in the others;
    where nearly all say something they are dealt out."""
    silent = talk.readers - talk.authors
    watched = min(WATCHED, -(-silent // 4)) if talk.rooms == 1 else 0
    others = PROCESSES - 1
    crowds: list[list[Member]] = [[] for _ in range(1 + others)]
    from_where = addresses()
    for number, room in enumerate(_rooms(talk)):
        for index in range(talk.readers):
            says = index < talk.authors
            # In each room of many, the first author's times; else those of some who are silent.
            watches = talk.authors <= index < talk.authors + watched or (talk.rooms > 1 and index == 0)
            member = Member(f"u{number}-{index}", [room], next(from_where), says, watches, says and talk.deaf)
            here = (number if talk.rooms > 1 else index) % len(crowds)
            if talk.rooms == 1:
                here = 0 if says or watches else 1 + index % others
            crowds[here].append(member)
    return crowds
