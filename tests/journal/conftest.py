"""Every implementation of the order of proposals, and a journal on each: one more is one more line of ORDERS."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Protocol

import pytest

from securechat.journal.journal import Order
from securechat.journal.local import LocalOrder
from securechat.limits import Limits
from tests.journal.support import RunningJournal, running_journal

MakeOrder = Callable[[int], Order]

ORDERS: Mapping[str, MakeOrder] = {"local": LocalOrder}
"""By name, what makes an order in which at most so many proposals wait."""


class Opener(Protocol):
    """Opens a journal on the store at a path, as `support.running_journal` does."""

    def __call__(
        self, path: Path, limits: Limits | None = None, clock: Callable[[], int] | None = None
    ) -> AbstractContextManager[RunningJournal]: ...


@pytest.fixture(params=ORDERS)
def make_order(request: pytest.FixtureRequest) -> MakeOrder:
    """Each implementation in its turn."""
    return ORDERS[request.param]


@pytest.fixture
def opened(make_order: MakeOrder) -> Opener:
    """Opens journals on an implementation of the order."""
    return partial(running_journal, order=make_order)
