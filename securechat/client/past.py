"""The past of one room, from one number or time to another, page by page and proven by the chain: what an export or a
look back needs. It knows nothing of how it is shown.
"""

from collections.abc import Iterator
from typing import NamedTuple

from securechat.client.client import Client
from securechat.errors import ChainBroken
from securechat.limits import PAGE_RECORDS
from securechat.protocols.frames import AnyRecord


class Span(NamedTuple):
    """The records of a room behind the number `after` up to the number `last`; both may be where records are gone."""

    after: int
    last: int


def span(
    client: Client, room: str, *, since: int | None = None, until: int | None = None, newest: int | None = None
) -> Span:
    """The records from the time `since` on and before the time `until` (milliseconds since 1970 UTC); of these the
    `newest`, so many. Raises what `Client.history` does."""
    head = _head(client, room)
    last = head if until is None else _before(client, room, until, head)
    after = 0 if since is None else _before(client, room, since, last)
    return Span(after if newest is None else max(after, last - newest), last)


def records(client: Client, room: str, part: Span) -> Iterator[AnyRecord]:
    """Each record of that part in order, without those that are gone with their time.

    Raises ChainBroken where a page does not go on from the one before, and what `Client.history` does.
    """
    cursor, named = part.after, ""
    while cursor < part.last:
        page = client.history(room, after=cursor, limit=min(PAGE_RECORDS, part.last - cursor))
        if not page.records:
            return
        goes_on = page.records[0].seq == cursor + 1
        if named and goes_on and page.base and page.base != named:
            raise ChainBroken(room, cursor)
        for record in page.records:
            if record.seq > part.last:
                return
            yield record
        cursor, named = page.records[-1].seq, page.hash


def _head(client: Client, room: str) -> int:
    newest = client.history(room, limit=1).records
    return newest[-1].seq if newest else 0


def _before(client: Client, room: str, time: int, head: int) -> int:
    """The number of the last record before this time. A room's times never go backwards, so it is a binary search."""
    low, high = 0, head
    while low < high:
        middle = (low + high) // 2
        found = client.history(room, after=middle, limit=1).records
        if not found or found[0].time >= time:
            high = middle
        else:
            low = found[0].seq
    return low
