"""What was said, what was acknowledged and what a room's log has: counted against each other.

The ids of an author count up: `alice-0`, `alice-1`, … It knows nothing of how anything was said.
"""

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from securechat.chat.model import Record


class Counts(NamedTuple):
    """What an audit found; all from `lost` on must be 0."""

    acknowledged: int = 0
    found: int = 0
    """Acknowledged, and in the log under that number with that text."""
    lost: int = 0
    """Acknowledged, and not found so."""
    duplicated: int = 0
    """Records of an id that has one already."""
    reordered: int = 0
    """Records before which their author's later ones stand, or that are older than the one before them."""
    invented: int = 0
    """Records of messages that nobody said, or not so."""
    gaps: int = 0
    """Numbers that are missing or come twice."""

    @property
    def flawless(self) -> bool:
        """Whether everything is in the log, once, in order, and nothing else."""
        return not any(self[2:])

    def plus(self, other: "Counts") -> "Counts":
        """The sum of two audits."""
        return Counts(*map(sum, zip(self, other, strict=True)))


def audit(log: Iterable[Record], said: Mapping[str, str], acknowledged: Mapping[str, int]) -> Counts:
    """Compare a whole room's log with what was said (id to text) and what was acknowledged of it (id to number)."""
    log = list(log)
    messages = [record for record in log if record.kind == "say"]
    places = Counter(record.id for record in messages)
    kept = {record.id: record for record in messages}
    found = sum(id in kept and kept[id].seq == seq and kept[id].text == said[id] for id, seq in acknowledged.items())
    newest: dict[str, int] = {}
    reordered = sum(before.time > after.time for before, after in itertools.pairwise(log))
    invented = 0
    for record in messages:
        author, _, number = record.id.rpartition("-")
        reordered += int(number) < newest.get(author, -1)
        newest[author] = int(number)
        invented += author != record.sender or said.get(record.id) != record.text
    return Counts(
        acknowledged=len(acknowledged),
        found=found,
        lost=len(acknowledged) - found,
        duplicated=len(messages) - len(places),
        reordered=reordered,
        invented=invented,
        gaps=sum(record.seq != seq for seq, record in enumerate(log, 1)),
    )
