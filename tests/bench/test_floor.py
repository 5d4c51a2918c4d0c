"""The floor: all that is written arrives, and is counted."""

import re

import pytest

from bench.floor import Floor, main, measure


def test_each_round_is_measured() -> None:
    times = measure(Floor("small", 3, 2, 0.0, rounds=4))
    assert len(times) == 4
    assert all(seconds > 0 for seconds in times)


def test_it_says_what_a_write_and_a_message_cost(capsys: pytest.CaptureFixture[str]) -> None:
    main([Floor("small", 2, 4, 0.0, rounds=3)])
    said = r"small: 2 connections, 964 bytes a write: [\d.]+ µs of CPU, [\d.]+ for each of 4 messages \(median of 3"
    assert re.match(said, capsys.readouterr().out)
