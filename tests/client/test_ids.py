"""Ids are unique, in the order of their making, and taken by every server."""

import time

from securechat.chat.names import is_id
from securechat.client.ids import new_id


def test_an_id_is_taken_by_the_server_and_unique() -> None:
    made = {new_id() for _ in range(2_000)}
    assert len(made) == 2_000
    assert all(is_id(one) and len(one) == 26 for one in made)


def test_an_id_begins_with_its_time_and_sorts_by_it() -> None:
    digits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
    before = time.time_ns() // 1_000_000
    made = new_id()
    after = time.time_ns() // 1_000_000
    stamp = 0
    for digit in made[:10]:
        stamp = stamp * 32 + digits.index(digit)
    assert before <= stamp <= after
