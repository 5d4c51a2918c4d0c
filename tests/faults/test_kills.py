"""A server that is killed again and again keeps what it acknowledged, once and in order."""

from pathlib import Path

from tests.faults.kills import kill_servers


def test_no_kill_loses_doubles_or_reorders_anything_for_authors_that_do_not_give_up(tmp_path: Path, seed: int) -> None:
    report = kill_servers(tmp_path, 3, seed)
    assert report.counts.flawless, report
    assert report.kills == 3
    assert report.interrupted > 0
    assert report.counts.acknowledged > 0
    assert report.misheard == 0
