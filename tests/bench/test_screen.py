"""A very small run of the full screen on a terminal: it is filled, typed in and redrawn, and each has its cost."""

from pathlib import Path

from bench.screen import Asked, measure


def test_a_screen_is_filled_typed_in_and_redrawn(tmp_path: Path) -> None:
    figures = measure(tmp_path, Asked(records=80, rate=2_000.0, columns=80, rows=24, keys=4))
    assert 0 < figures["said/s"] >= figures["shown/s"] > 0
    assert figures["CPU µs/message"] > 0
    for what in ("key", "key in the flood", "redraw"):
        assert 0 < figures[f"{what} seen p50 ms"] <= figures[f"{what} seen p99 ms"]
        assert figures[f"CPU ms/{what}"] > 0
    assert 1 < figures["PSS MiB"] < 200
