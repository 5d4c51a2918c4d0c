"""What counts as lost, doubled and out of order, and readers who share a tape."""

import pytest

from bench.load.hearing import Tally, Tape, text_of
from bench.talker import Heard
from bench.talkers.lines import Lines


def heard(*numbers: int, author: str = "u1", room: str = "lobby") -> list[Heard]:
    return [Heard(room, text_of(author, number)) for number in numbers]


@pytest.mark.parametrize(
    ("numbers", "lost", "doubled", "disordered"),
    [
        ((0, 1, 2, 3), 0, 0, 0),
        ((0, 1, 2), 1, 0, 0),
        ((1, 2, 3), 1, 0, 0),
        ((0, 3), 2, 0, 0),
        ((0, 1, 1, 2, 3), 0, 1, 0),
        ((0, 1, 2, 3, 0), 0, 1, 0),
        ((0, 2, 1, 3), 0, 0, 1),
        ((3, 2, 1, 0), 0, 0, 3),
        ((), 4, 0, 0),
    ],
)
def test_numbers_tell_what_is_wrong(numbers: tuple[int, ...], lost: int, doubled: int, disordered: int) -> None:
    tally = Tally()
    for number in numbers:
        tally.hear(heard(number))
    assert (tally.lost({("lobby", "u1"): 4}), tally.doubled, tally.disordered) == (lost, doubled, disordered)


def test_authors_and_rooms_are_counted_apart() -> None:
    tally = Tally()
    tally.hear(heard(0, author="u1") + heard(0, author="u2") + heard(0, room="tea"))
    assert tally.lost({("lobby", "u1"): 1, ("lobby", "u2"): 1, ("tea", "u1"): 2}) == 1
    assert (tally.doubled, tally.disordered) == (0, 0)


def tape() -> Tape:
    talker = Lines("u9", ["lobby"], password="pw")
    talker.receive(b"Welcome u9\nJoined lobby\n")
    return Tape(talker)


def test_a_tape_is_decoded_once_and_compared_by_all_others() -> None:
    data = b"".join(f"u1: {text_of('u1', number)}\n".encode() for number in range(5))
    shared = tape()
    assert shared.hear(0, data[:130])
    assert shared.hear(0, data[:250])  # another reader is ahead of the first by now
    assert shared.hear(130, data[130:200])
    assert shared.hear(250, data[250:])
    assert shared.hear(200, data[200:])
    assert shared.tally.lost({("lobby", "u1"): 5}) == 0
    assert len(shared) == len(data)
    assert shared.until(130) == data[:130]


def test_a_tape_tells_who_hears_something_else() -> None:
    shared = tape()
    one, other = (f"u1: {text_of('u1', 0)}\n".encode() for _ in range(2))
    assert shared.hear(0, one)
    assert not shared.hear(0, other)
    assert not shared.hear(10, other[10:] + one)
    assert shared.hear(len(one), other)
