"""The short form of `python -m tests.soak`: everything that it does, for some seconds."""

from collections import Counter
from pathlib import Path

from tests.soak.sampling import Usage, by_period, grown
from tests.soak.soaking import SETTINGS, Form, soak

SHORT = Form(
    clients=20,
    rooms=3,
    seconds=4.0,
    periods=3,
    pace=0.4,
    attack_pause=0.6,
    operator_pause=0.5,
    settings=SETTINGS + "handshake_seconds = 1.0\nframe_seconds = 1.0\n",
)


def test_clients_attackers_and_an_operator_at_once_cost_nothing_that_was_said(tmp_path: Path, seed: int) -> None:
    report = soak(tmp_path, SHORT, seed)
    assert report.wrong() == []
    totals = report.totals()
    assert min(report.said, totals["heard"], totals["connections"] - SHORT.clients) > 0
    assert report.operator.rounds
    # And it would have told.
    for flawed, told in (
        (report._replace(counts=report.counts._replace(lost=1)), "1 lost"),
        (report._replace(behind=["client1"]), "client1 has not heard all"),
        (report._replace(got={**report.got, "plaintext": Counter(["spoken to"])}), "plaintext got 'spoken to'"),
        (
            report._replace(periods=[*report.periods, Usage(99, 0, 0)]),
            f"threads grew from {report.periods[2].threads} to 99",
        ),
    ):
        assert told in flawed.wrong()


def test_what_grows_within_the_tolerance_is_flat_and_connections_that_come_and_go_do_not_count() -> None:
    calm, crowded = Usage(3, 20, 50_000), Usage(3, 90, 50_000)
    first, last = by_period([calm, crowded, calm, calm, calm, crowded], 2)
    assert grown(first, last) == []
    assert grown(first, Usage(4, 31, 60_000)) == [
        "threads grew from 3 to 4",
        "descriptors grew from 20 to 31",
        "memory (KiB) grew from 50000 to 60000",
    ]
