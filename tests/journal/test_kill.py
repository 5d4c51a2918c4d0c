"""A server that is killed at any moment has kept what it acknowledged, once and in order."""

import itertools
import random
import subprocess
import sys
from pathlib import Path

from securechat.chat.model import Record
from securechat.chat.names import LOBBY
from tests.journal.speaker import AUTHORS
from tests.journal.support import running_journal

ROUNDS = 5


def speak_until_killed(path: Path, turn: int, lines: int) -> dict[str, int]:
    """Let the speaker run until it has acknowledged so many messages, kill it; give the seq of each by its id."""
    command = [sys.executable, "-m", "tests.journal.speaker", str(path), str(turn)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as speaker:
        assert speaker.stdout is not None
        heard = [speaker.stdout.readline() for _ in range(lines)]
        speaker.kill()
        heard += speaker.stdout.readlines()
    assert speaker.returncode == -9
    # The last line may have been cut by the kill.
    whole = [line.decode().split() for line in heard if line.endswith(b"\n")]
    return {id: int(seq) for id, seq in whole}


def check_log(log: list[Record], acknowledged: dict[str, int]) -> None:
    assert [record.seq for record in log] == list(range(1, len(log) + 1))
    assert all(before.time <= after.time for before, after in itertools.pairwise(log))
    found = {record.id: record.seq for record in log if record.kind == "say"}
    assert len(found) == sum(record.kind == "say" for record in log)
    assert acknowledged.items() <= found.items()
    for turn in range(ROUNDS):
        for author in AUTHORS:
            mine = [id for id in found if id.startswith(f"{turn}-{author}-")]
            assert mine == [f"{turn}-{author}-{number}" for number in range(len(mine))]


def test_killed_at_any_moment_it_has_all_that_it_acknowledged_and_nothing_twice(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    acknowledged: dict[str, int] = {}
    for turn in range(ROUNDS):
        acknowledged |= speak_until_killed(path, turn, random.randint(1, 800))
    with running_journal(path) as running:
        check_log(running.log(LOBBY), acknowledged)
        assert running.journal.view.rooms[LOBBY].members == set(AUTHORS)
        assert running.journal.view.rooms[LOBBY].head == len(running.log(LOBBY))
