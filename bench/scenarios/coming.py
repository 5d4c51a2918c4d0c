"""People who come, stay silent, and come back: what a login and a connection cost, and a storm of all at once."""

import time
from collections import defaultdict
from pathlib import Path
from typing import Final

from bench.load.crew import Crew
from bench.load.orders import Enter, Entered, Finish, Leave, Left, Mark, Marked, Member, Report, Say, Spoken
from bench.measure import cpu_seconds, pss_bytes
from bench.scenarios.members import PROCESSES, Figures, addresses
from bench.subjects import Subject

ROOM_SIZE: Final = 10
"""Members of each room of those who are idle: a team."""

MISSED: Final = 20
"""Messages that each one missed who comes back in a storm."""


def idle(subject: Subject, folder: Path, connections: int, *, by_password: bool = False) -> Figures:
    """Have so many log in and stay."""
    members = [
        Member(f"u{number}", [f"room{number // ROOM_SIZE}"], address)
        for number, address in zip(range(connections), addresses(), strict=False)
    ]
    rooms: defaultdict[str, list[str]] = defaultdict(list)
    for member in members:
        rooms[member.rooms[0]].append(member.account)
    with subject.serve(folder, rooms, [member.account for member in members]) as serving, Crew(PROCESSES) as crew:
        if by_password and serving.by_password:
            serving = serving._replace(talker=serving.by_password)
        cpu = cpu_seconds(serving.pid)
        orders = {number: Enter(serving, members[number::PROCESSES]) for number in range(PROCESSES)}
        entered = crew.each(orders, Entered)
        cpu = cpu_seconds(serving.pid) - cpu
        memory = pss_bytes(serving.pid)
    return {
        "logins/s": connections / max(answer.seconds for answer in entered),
        "CPU ms/login": cpu / connections * 1e3,
        "KiB/connection": memory / connections / 1024,
        "PSS MiB": memory / 2**20,
        "generator idle": min(answer.idle for answer in entered),
    }


def storm(subject: Subject, folder: Path, connections: int) -> Figures:
    """Have all that are in one room drop at once, and come back; where messages are stored, to what they missed."""
    members = [
        Member(f"u{number}", ["room"], address, says=number == 0)
        for number, address in zip(range(connections), addresses(), strict=False)
    ]
    accounts = [member.account for member in members]
    with subject.serve(folder, {"room": accounts}, accounts) as serving, Crew(PROCESSES) as crew:
        enter = {number: Enter(serving, members[number::PROCESSES]) for number in range(PROCESSES)}
        crew.each(enter, Entered)
        crew.all(Mark([members[0].account]), Marked)
        crew.all(Say(in_flight=MISSED, seconds=60, messages=MISSED), Spoken)
        crew.all(Finish({("room", members[0].account): MISSED}), Report)
        cpu, began = cpu_seconds(serving.pid), time.perf_counter()
        crew.all(Leave(), Left)
        if subject.durable:
            # Behind the mark, which is the room's first record.
            enter = {number: order._replace(after=1, missed=MISSED) for number, order in enter.items()}
        entered = crew.each(enter, Entered)
        seconds, cpu = time.perf_counter() - began, cpu_seconds(serving.pid) - cpu
    return {
        "level s": seconds,
        "CPU ms/login": cpu / connections * 1e3,
        "server CPU": cpu / seconds,
        "generator idle": min(answer.idle for answer in entered),
    }
