"""The long form: kill servers, cut the power and break connections many times, and print what was counted.

Run as `python -m tests.faults [--kills 200] [--cuts 100] [--breaks 200] [--records 50000] [--comings 5000] [--seed
SEED]`. Exits with 1 unless every fault came to pass, nothing was lost, doubled, reordered or invented, and those who
came and went left nothing behind; what a failure left is kept then.
The seed decides what is tried; when threads and processes get to run is the machine's.
"""

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from tests.faults import breaks, comings, kills, powercuts, readers

AnyReport = kills.Report | powercuts.Report | breaks.Report | readers.Report | comings.Report
Report = TypeVar("Report", kills.Report, powercuts.Report, breaks.Report, readers.Report, comings.Report)

CONTROL: Final = 10
"""Power cuts without a sync at each commit: they must lose something, or the simulation shows nothing."""

JUDGED: Final = 40_000
"""Records from which on the memory is judged: with fewer, filling caches take more than what is said."""


def told(title: str, report: AnyReport, seconds: float) -> str:
    """One report as a paragraph: a name and a number each."""
    own = {name: value for name, value in report._asdict().items() if name not in ("counts", "acts")}
    if isinstance(report, breaks.Report):
        own |= report.acts
    if isinstance(report, comings.Report):
        own = {name: "/".join(map(str, n)) if isinstance(n, tuple) else n for name, n in own.items()}
    figures = own if isinstance(report, comings.Report) else own | report.counts._asdict()
    return f"{title} ({seconds:.0f} s)\n  " + ", ".join(f"{name.replace('_', ' ')} {n}" for name, n in figures.items())


def timed(title: str, act: Callable[[], Report]) -> Report:
    """Do it, and print what came of it."""
    began = time.monotonic()
    report = act()
    print(told(title, report, time.monotonic() - began), flush=True)
    return report


def main() -> int:
    """Do everything once; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description="Break securechat, and count.")
    parser.add_argument("--kills", type=int, default=200, help="servers killed with kill -9 (default %(default)s)")
    parser.add_argument("--cuts", type=int, default=100, help="simulated power cuts (default %(default)s)")
    parser.add_argument("--breaks", type=int, default=200, help="connections broken by a proxy (default %(default)s)")
    parser.add_argument("--records", type=int, default=50_000, help="said past two readers (default %(default)s)")
    parser.add_argument("--comings", type=int, default=5_000, help="logins, and as many drops (default %(default)s)")
    parser.add_argument("--seed", type=int, help="the seed that an earlier run printed")
    asked = parser.parse_args()
    seed = random.SystemRandom().randrange(2**32) if asked.seed is None else asked.seed
    print(f"seed {seed}", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="securechat-faults-"))
    for name in ("kills", "cuts", "control", "breaks", "readers", "comings"):
        (folder / name).mkdir()

    cut = timed("Power cuts", lambda: powercuts.cut_power(folder / "cuts", asked.cuts, seed))
    control = timed(
        "Control: power cuts without a sync at each commit",
        lambda: powercuts.cut_power(folder / "control", CONTROL, seed, "normal"),
    )
    broken = timed("Broken connections", lambda: breaks.break_connections(folder / "breaks", asked.breaks, seed))
    behind = timed("Readers that fell behind", lambda: readers.fall_behind(folder / "readers", asked.records))
    killed = timed("kill -9", lambda: kills.kill_servers(folder / "kills", asked.kills, seed))

    come = timed(
        "Those who came and went (threads/descriptors/KiB)",
        lambda: comings.come_and_go(folder / "comings", asked.comings),
    )

    wrong = come.grown() + [
        said
        for said, so in (
            ("a power cut did harm", not cut.counts.flawless or cut.damaged),
            ("a power cut did not happen, or hit nobody", cut.cuts != asked.cuts or not cut.unfinished),
            ("the simulated power cuts cannot lose anything", not control.counts.lost),
            ("a broken connection did harm", not broken.counts.flawless or broken.misheard),
            ("a break did not happen, or hit nobody", broken.breaks != asked.breaks or not broken.resent),
            ("somebody noticed another one's broken connection", broken.undisturbed != 1),
            ("a reader that fell behind missed something", not behind.counts.flawless or behind.misheard),
            ("a reader did not get all", (behind.away, behind.stopped) != (asked.records, asked.records)),
            (
                "the server's memory grew with what was said past a reader",
                asked.records >= JUDGED and behind.memory_grown_kib >= behind.text_said_kib,
            ),
            ("a kill did harm", not killed.counts.flawless or killed.misheard),
            ("a kill did not happen, or hit nobody", killed.kills != asked.kills or not killed.interrupted),
        )
        if so
    ]
    for sentence in wrong:
        print(f"WRONG: {sentence}")
    if wrong:
        print(f"What was left is in {folder}")
        return 1
    shutil.rmtree(folder)
    print("Nothing was lost, doubled, reordered or invented.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
