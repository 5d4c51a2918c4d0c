"""A very small run of each scenario: the figures that it gives, and that it sees what goes wrong."""

from pathlib import Path

import pytest

from bench.scenarios.talk import Talk, measure
from bench.subjects import Subject
from bench.subjects.asyncio_chat import AsyncioChat
from bench.subjects.securechat import Securechat

MESSAGES = 20


@pytest.mark.parametrize("subject", [Securechat(), AsyncioChat()], ids=lambda subject: str(subject.name))
def test_a_burst_is_heard_by_all_and_costs_something(subject: Subject, tmp_path: Path) -> None:
    figures = measure(subject, Talk(readers=3, authors=1, in_flight=4, seconds=60, messages=MESSAGES), tmp_path)
    assert (figures["lost"], figures["doubled"], figures["out of order"]) == (0, 0, 0)
    assert figures["deliveries/s"] * figures["wall s"] == pytest.approx(3 * MESSAGES)
    assert 0 < figures["heard p50 ms"] <= figures["heard p99 ms"] <= figures["heard max ms"]
    assert 0 < figures["ack p50 ms"] <= figures["ack p99 ms"]
    assert figures["CPU µs/delivery"] > 0
    assert figures["PSS MiB"] > 1
    assert 0 < figures["generator idle"] < 1
