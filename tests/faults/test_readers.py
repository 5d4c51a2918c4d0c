"""Readers that were away or stopped get every record, in order, as `python -m tests.faults` shows it at length."""

from pathlib import Path

from tests.faults.readers import fall_behind


def test_who_was_away_and_who_stopped_get_every_record_once_in_order(tmp_path: Path) -> None:
    report = fall_behind(tmp_path, 2_000)
    assert report.counts.flawless, report
    assert (report.away, report.stopped, report.misheard) == (2_000, 2_000, 0)
