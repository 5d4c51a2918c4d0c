"""The long form: two hundred clients, attackers and an operator for ten minutes, and a table of what came of it.

Run as `python -m tests.soak [--minutes 10] [--seed SEED]`. Exits with 1 when anything is lost, doubled, out of order or
misheard, when a bad file changed something or an attacker got what it must not, or when threads, descriptors or memory
grew; the home is kept then. The seed decides what clients do; when it happens is the machine's.
"""

import argparse
import random
import shutil
import sys
import tempfile
from pathlib import Path

from tests.soak.sampling import TOLERANCE
from tests.soak.soaking import Form, Report, soak

PERIOD_SECONDS = 60


def table(report: Report) -> str:
    """What came of it, for people."""
    counts, totals = report.counts, report.totals()
    misheard = [f"{one.name} {one.misheard}" for one in report.clients if one.misheard]
    refused = [f"{one.name} {code}" for one in report.clients for code in one.refused]
    rows = [
        ("said", report.said),
        ("acknowledged", counts.acknowledged),
        ("found in the store", counts.found),
        ("lost", counts.lost),
        ("doubled", counts.duplicated),
        ("out of order", counts.reordered),
        ("invented", counts.invented),
        ("gaps", counts.gaps),
        *totals.items(),
        ("misheard, by reader", ", ".join(misheard) or "nobody"),
        ("refused, by whom and why", ", ".join(refused) or "nobody"),
        ("not level at the end", ", ".join(report.behind) or "nobody"),
        ("behind at once, at most", f"{report.operator.most_behind['readers']} readers"),
        ("behind, at most", f"{report.operator.most_behind['records']} records"),
    ]
    lines = ["Messages", *(f"  {name:<26} {value}" for name, value in rows), "", "Attackers"]
    for name, answers in report.got.items():
        lines.append(f"  {name:<26} {', '.join(f'{answer} {count}' for answer, count in sorted(answers.items()))}")
    lines += ["", "Operator", *(f"  {name:<38} {count}" for name, count in sorted(report.operator.done.items()))]
    lines += ["", f"Server{'threads':>18}{'descriptors':>14}{'PSS MiB':>10}"]
    before, after = report.at_rest
    usages = [
        ("before", before),
        *((f"{number}", one) for number, one in enumerate(report.periods, 1)),
        ("after", after),
    ]
    for name, one in usages:
        lines.append(f"  {name:<10}{one.threads:>12}{one.descriptors:>14}{one.memory_kib / 1024:>10.1f}")
    lines.append(
        f"  flat: the last period at most {TOLERANCE.threads} threads, {TOLERANCE.descriptors} descriptors and "
        f"{TOLERANCE.memory_kib / 1024:.0f} MiB above the first one\n"
        "        behind the warm-up, which is the first half; threads and descriptors after as before"
    )
    return "\n".join(lines)


def main() -> int:
    """Do it once; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description="Soak securechat, and count.")
    parser.add_argument("--minutes", type=int, default=10, help="at least 3 (default %(default)s)")
    parser.add_argument("--seed", type=int, help="the seed that an earlier run printed")
    asked = parser.parse_args()
    if asked.minutes < 3:
        parser.error("the first half is the warm-up, and two minutes are compared: --minutes is 3 or more.")
    seed = random.SystemRandom().randrange(2**32) if asked.seed is None else asked.seed
    print(f"seed {seed}", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="securechat-soak-"))
    report = soak(folder, Form(seconds=asked.minutes * PERIOD_SECONDS, periods=asked.minutes), seed)
    print(table(report))
    wrong = report.wrong()
    for sentence in wrong:
        print(f"WRONG: {sentence}")
    if wrong:
        print(f"What was left is in {folder}")
        return 1
    shutil.rmtree(folder)
    print("Nothing was lost, and nothing grew.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
