"""The power goes at random moments, and everything that was acknowledged is there; and the simulation can tell."""

import random
from pathlib import Path

import apsw

from tests.faults.disk import SECTOR, STORE, Content, Disk, Written
from tests.faults.powercuts import cut_power


def test_every_acknowledged_message_is_there_after_a_power_cut_at_any_moment(tmp_path: Path, seed: int) -> None:
    report = cut_power(tmp_path, 12, seed)
    assert report.counts.flawless, report
    assert report.damaged == 0
    assert report.cuts == 12
    assert report.counts.acknowledged > 0
    assert report.unfinished > 0


def test_without_a_sync_at_each_commit_the_same_cuts_lose_what_was_acknowledged(tmp_path: Path, seed: int) -> None:
    report = cut_power(tmp_path, 5, seed, durability="normal")
    assert report.counts.lost > 0, report
    # It loses the end of the log, and does no other harm.
    assert report.counts._replace(acknowledged=0, found=0, lost=0).flawless
    assert report.damaged == 0


def test_what_was_not_synced_is_left_in_whole_sectors_or_not_at_all() -> None:
    content = Content(b"o" * 3 * SECTOR)
    content.change(Written(SECTOR // 2, b"n" * 2 * SECTOR))
    assert content.left(random.Random(), 0.0) == b"o" * 3 * SECTOR
    seen = {content.left(random.Random(seed), 0.5) for seed in range(100)}
    # Three sectors were touched; each part of them is new or old.
    assert len(seen) == 8
    content.sync()
    assert content.left(random.Random(), 0.0) == b"o" * 256 + b"n" * 2 * SECTOR + b"o" * 256


def test_a_new_file_is_left_only_when_its_folder_was_synced(tmp_path: Path) -> None:
    def left(*settings: str) -> dict[str, bytes]:
        disk = Disk(tmp_path, random.Random(0))
        flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
        connection = apsw.Connection(str(tmp_path / STORE), flags, disk.name)
        for statement in (*settings, "CREATE TABLE t (a)"):
            connection.execute(statement)
        image = disk.cut()
        connection.close(True)
        disk.unplug()
        (tmp_path / STORE).unlink()
        return image

    assert STORE not in left("PRAGMA synchronous = OFF")
    assert left("PRAGMA synchronous = FULL")[STORE].startswith(b"SQLite format 3\0")
