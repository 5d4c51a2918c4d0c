"""What is loaded of a room: a run without gaps, grown at both ends, bounded, with edits and deletions in place."""

import random

from securechat.client.screen.scrollback import AMENDMENTS, Notice, Scrollback
from securechat.protocols.frames import AnyRecord
from tests.client.screen.records import delete, edit, message


def numbers(scrollback: Scrollback) -> list[int]:
    return [item.seq if not isinstance(item, Notice) else -1 for item in scrollback.items]


def test_pages_and_what_is_heard_join_without_a_repeat() -> None:
    scrollback = Scrollback()
    assert scrollback.add(message(11))
    scrollback.put_before([message(seq) for seq in range(6, 13)], more=True)
    assert not scrollback.add(message(11))
    assert scrollback.add(message(12))
    scrollback.put_before([message(seq) for seq in range(1, 6)], more=False)
    assert numbers(scrollback) == list(range(1, 13))
    assert (scrollback.first, scrollback.last, scrollback.has_older) == (1, 12, False)


def test_a_first_page_stands_before_a_notice_that_came_earlier() -> None:
    scrollback = Scrollback()
    scrollback.note("welcome", head=3)
    scrollback.put_before([message(1), message(2), message(3)], more=False)
    scrollback.add(message(4))
    assert numbers(scrollback) == [1, 2, 3, -1, 4]
    scrollback.clear_notices()
    assert numbers(scrollback) == [1, 2, 3, 4]


def test_amendments_have_no_place_of_their_own_and_are_found_by_what_they_are_about() -> None:
    scrollback = Scrollback()
    records: list[AnyRecord] = [message(1), edit(2, 1, "newer"), edit(3, 1, "newest"), message(4), delete(5, 4)]
    scrollback.put_before(records, more=False)
    assert numbers(scrollback) == [1, 4]
    assert scrollback.amendment(1) == records[2]
    assert scrollback.amendment(4) == records[4]
    assert scrollback.last == 5
    scrollback.put_before([edit(2, 1, "older again")], more=False)
    assert scrollback.amendment(1) == records[2]


def test_an_amendment_of_what_is_not_loaded_waits_for_it_and_there_is_an_end_to_that() -> None:
    scrollback = Scrollback()
    for seq in range(AMENDMENTS + 1):
        scrollback.add(edit(AMENDMENTS + 10 + seq, seq + 1, "x"))
    assert scrollback.amendment(1) is None
    assert scrollback.amendment(2) is not None


def test_past_its_limit_it_forgets_what_is_far_from_what_is_in_sight() -> None:
    scrollback = Scrollback()
    scrollback.put_before([message(seq) for seq in range(1, 101)], more=False)
    scrollback.trim(100)
    assert numbers(scrollback)[0] == 1
    scrollback.trim(90)
    assert (numbers(scrollback)[0], scrollback.first, scrollback.has_older) == (11, 11, True)
    scrollback.trim(50, keep=(12, 0))
    assert (numbers(scrollback)[-1], scrollback.last, scrollback.reaches_head) == (60, 60, False)
    assert not scrollback.add(message(101))
    scrollback.put_behind([message(seq) for seq in range(58, 70)])
    assert numbers(scrollback) == list(range(11, 70))


def test_it_is_without_gaps_and_repeats_whatever_comes_in_whatever_order() -> None:
    chance = random.Random(4)
    for _ in range(50):
        scrollback, head = Scrollback(), 200
        scrollback.add(message(head))
        for _ in range(60):
            match chance.randrange(4):
                case 0:
                    head += 1
                    scrollback.add(message(head))
                case 1 if scrollback.has_older:
                    first = scrollback.first
                    page = [message(seq) for seq in range(max(1, first - chance.randrange(1, 30)), first)]
                    scrollback.put_before(page, more=not page or page[0].seq > 1)
                case 2:
                    keep = chance.choice([None, scrollback.keys[0], scrollback.keys[-1]])
                    scrollback.trim(chance.randrange(20, 80), keep=keep)
                case _ if not scrollback.reaches_head:
                    after = scrollback.last
                    upto = min(head, after + chance.randrange(1, 30))
                    scrollback.put_behind([message(seq) for seq in range(after + 1, upto + 1)])
                    scrollback.reaches_head = upto == head
            shown = numbers(scrollback)
            assert shown == list(range(scrollback.first, scrollback.last + 1))
            assert not scrollback.reaches_head or scrollback.last == head
