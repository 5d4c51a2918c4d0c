"""What every order of proposals keeps to: bounded, all or nothing, waited for, and drained at the end."""

from queue import SimpleQueue
from threading import Thread

from securechat.chat.model import Mark
from securechat.journal.journal import Submission
from tests.journal.conftest import MakeOrder
from tests.journal.support import PATIENCE


def submissions(*numbers: int) -> list[Submission]:
    return [Submission(Mark("alice", "lobby", number), number) for number in numbers]


def origins(taken: list[Submission]) -> list[object]:
    return [submission.origin for submission in taken]


def test_what_comes_first_is_taken_first_and_no_more_than_asked_for(start_order: MakeOrder) -> None:
    order = start_order(10)
    assert order.submit(submissions(1, 2))
    assert order.submit(submissions(3))
    assert order.waiting == 3
    assert origins(order.take(2)) == [1, 2]
    assert order.waiting == 1
    assert origins(order.take(2)) == [3]
    assert order.waiting == 0


def test_a_full_order_takes_all_of_a_list_or_nothing_of_it(start_order: MakeOrder) -> None:
    order = start_order(3)
    assert order.submit(submissions(1, 2))
    assert not order.submit(submissions(3, 4))
    assert order.submit(submissions(5))
    assert origins(order.take(10)) == [1, 2, 5]
    assert order.submit(submissions(6, 7, 8))


def test_taking_waits_until_something_comes(start_order: MakeOrder) -> None:
    order = start_order(10)
    taken: SimpleQueue[list[object]] = SimpleQueue()
    thread = Thread(target=lambda: taken.put(origins(order.take(10))))
    thread.start()
    assert order.submit(submissions(1))
    assert taken.get(timeout=PATIENCE) == [1]
    thread.join(PATIENCE)


def test_taking_waits_a_moment_until_there_are_enough_and_no_longer(start_order: MakeOrder) -> None:
    order = start_order(10)
    assert order.submit(submissions(1))
    taken: SimpleQueue[list[object]] = SimpleQueue()
    thread = Thread(target=lambda: taken.put(origins(order.take(10, 3, PATIENCE))))
    thread.start()
    assert order.submit(submissions(2, 3))
    assert taken.get(timeout=PATIENCE / 2) == [1, 2, 3]
    thread.join(PATIENCE)
    assert order.submit(submissions(4))
    assert origins(order.take(10, 3, 0.001)) == [4]
    assert order.submit(submissions(5))
    thread = Thread(target=lambda: taken.put(origins(order.take(10, 3, PATIENCE))))
    thread.start()
    order.close()
    assert taken.get(timeout=PATIENCE / 2) == [5]
    thread.join(PATIENCE)


def test_a_closed_order_takes_nothing_and_gives_out_what_waits(start_order: MakeOrder) -> None:
    order = start_order(10)
    assert order.submit(submissions(1, 2, 3))
    order.close()
    assert not order.submit(submissions(4))
    assert origins(order.take(2)) == [1, 2]
    assert origins(order.take(2)) == [3]
    assert order.take(2) == []


def test_closing_ends_the_waiting(start_order: MakeOrder) -> None:
    order = start_order(10)
    taken: SimpleQueue[list[object]] = SimpleQueue()
    thread = Thread(target=lambda: taken.put(origins(order.take(10))))
    thread.start()
    order.close()
    assert taken.get(timeout=PATIENCE) == []
    thread.join(PATIENCE)
