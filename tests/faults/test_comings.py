"""Those who come and go leave threads, descriptors and memory where they were (the short form of thousands)."""

from pathlib import Path

from tests.faults.comings import JUDGED, LOOKS, Report, come_and_go
from tests.soak.sampling import TOLERANCE, Usage


def test_those_who_come_and_go_leave_nothing_behind(tmp_path: Path) -> None:
    report = come_and_go(tmp_path, LOOKS)
    assert report.grown() == [], report


def test_what_stays_is_told() -> None:
    rest = Usage(9, 20, 50_000)
    assert Report(1, 1, rest, rest, rest).grown() == []
    worse = Usage(10, 21, 50_001 + TOLERANCE.memory_kib)
    assert len(Report(JUDGED, JUDGED, rest, rest, worse).grown()) == 3
