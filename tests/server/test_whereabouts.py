"""Who is connected at other nodes: told whole each time, kept for a while, and let go without a flicker."""

import msgspec
import pytest

from securechat.limits import WHEREABOUTS_LIFE_SECONDS, WHEREABOUTS_NODES, WHEREABOUTS_SECONDS
from securechat.server.presence import Presence
from securechat.server.whereabouts import Whereabouts


class Node:
    """One node, its clock, and what it told; `others` hear it."""

    def __init__(self, name: str) -> None:
        self.told: list[tuple[str, bool]] = []
        self.words: list[bytes] = []
        self.now = 100.0
        self.presence = Presence(lambda account, *, online: self.told.append((account, online)))
        self.whereabouts = Whereabouts(name, self.presence, lambda: self.now)

    def tell(self, word: bytes) -> None:
        self.words.append(word)

    def tick(self, *others: "Node") -> int:
        """Look, and have the others hear what it told; how many words that were."""
        before = len(self.words)
        self.whereabouts.tick(self)
        for word in self.words[before:]:
            for other in others:
                other.whereabouts.heard(word)
        return len(self.words) - before


def test_who_comes_to_one_node_is_online_at_the_other_and_goes_when_it_is_looked_at_twice() -> None:
    one, two = Node("one"), Node("two")
    two.presence.came("bob", b"phone", "here")
    assert two.tick(one) == 1
    assert one.told == [("bob", True)]
    two.presence.went("bob", b"phone", "here")
    two.tick(one)
    one.tick()
    assert one.told == [("bob", True)]
    one.tick()
    assert one.told == [("bob", True), ("bob", False)]


def test_who_moves_from_node_to_node_is_online_all_the_time() -> None:
    one, two, three = Node("one"), Node("two"), Node("three")
    two.presence.came("bob", b"phone", "here")
    two.tick(one)
    two.presence.went("bob", b"phone", "here")
    two.tick(one)
    one.tick()
    three.presence.came("bob", b"phone", "here")
    three.tick(one)
    for _ in range(3):
        one.tick()
    assert one.told == [("bob", True)]


def test_nothing_new_is_told_now_and_again_and_who_is_not_heard_of_is_forgotten() -> None:
    one, two = Node("one"), Node("two")
    two.presence.came("bob", b"phone", "here")
    assert (two.tick(one), two.tick(one)) == (1, 0)
    two.now += WHEREABOUTS_SECONDS
    one.now += WHEREABOUTS_LIFE_SECONDS - 1
    assert two.tick(one) == 1
    one.now += WHEREABOUTS_LIFE_SECONDS - 1
    one.tick()
    assert one.presence.is_online("bob")
    one.now += 1
    one.tick()
    assert one.told == [("bob", True), ("bob", False)]


def test_a_node_that_stops_has_nobody_and_an_older_word_of_it_changes_nothing() -> None:
    one, two = Node("one"), Node("two")
    two.presence.came("bob", b"phone", "here")
    two.tick(one)
    one.whereabouts.heard(two.whereabouts.word(last=True))
    one.whereabouts.heard(two.words[0])
    one.tick()
    one.tick()
    assert not one.presence.is_online("bob")
    # Started anew, it counts from the beginning, and is heard.
    again = Node("two")
    again.presence.came("bob", b"phone", "here")
    again.tick(one)
    assert one.presence.is_online("bob")


@pytest.mark.parametrize(
    "word",
    [
        b"",
        b"\xc1",
        b"\x91" * 100_000,
        msgspec.msgpack.encode(("two", b"run", 1, {"bob": [b"far too long for a mark"]})),
        msgspec.msgpack.encode(("two", b"run", 1, {"bob": "nothing"})),
        msgspec.msgpack.encode(("", b"run", 1, {"bob": []})),
        msgspec.msgpack.encode(("two", b"run", 1, {"Bob\x1b[2J": []})),
        msgspec.msgpack.encode(("one", b"run", 1, {"bob": []})),  # in its own name
    ],
)
def test_what_is_no_word_changes_nothing(word: bytes) -> None:
    one = Node("one")
    one.whereabouts.heard(word)
    one.tick()
    assert one.told == []


def test_so_many_nodes_are_kept_and_no_more() -> None:
    one = Node("one")
    for number in range(WHEREABOUTS_NODES + 1):
        one.whereabouts.heard(msgspec.msgpack.encode((f"n{number}", b"run", 1, {f"u{number}": []})))
    assert len(one.told) == WHEREABOUTS_NODES
