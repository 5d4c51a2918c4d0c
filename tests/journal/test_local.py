"""What the order of one process alone does: whoever waits for more is left to wait while too little comes."""

from collections.abc import Callable
from threading import Event, Thread
from typing import Any

import pytest

from securechat.journal.journal import Submission
from securechat.journal.local import LocalOrder
from tests.journal.support import PATIENCE
from tests.journal.test_order import origins, submissions


def test_who_waits_for_more_is_woken_when_it_is_there_and_not_before(monkeypatch: pytest.MonkeyPatch) -> None:
    order = LocalOrder(10)
    waits, woken = Event(), []
    wait_for, notify = order._changed.wait_for, order._changed.notify

    def wait(there: Callable[[], Any], *seconds: float) -> Any:
        if seconds:  # the lock is held until it really waits, so that nothing is submitted before
            waits.set()
        return wait_for(there, *seconds)

    def wake() -> None:
        woken.append(order.waiting)
        notify()

    monkeypatch.setattr(order._changed, "wait_for", wait)
    monkeypatch.setattr(order._changed, "notify", wake)
    taken: list[Submission] = []
    assert order.submit(submissions(1))
    thread = Thread(target=lambda: taken.extend(order.take(10, 3, PATIENCE)))
    thread.start()
    assert waits.wait(PATIENCE)
    assert order.submit(submissions(2))
    assert order.submit(submissions(3))
    thread.join(PATIENCE)
    assert origins(taken) == [1, 2, 3]
    assert woken == [1, 3]
