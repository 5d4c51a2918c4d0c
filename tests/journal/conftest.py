"""Every implementation of the order of proposals, and a journal on each: one more is one more line of ORDERS."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Protocol

import pytest

from securechat.journal.jetstream.order import JetStreamOrder
from securechat.journal.journal import Order, Terms
from securechat.journal.local import LocalOrder
from securechat.journal.store import Position
from securechat.limits import Limits
from tests.cluster.servers import NatsServer, engine
from tests.journal.support import RunningJournal, running_journal

MakeOrder = Callable[[int], Order]


def local(_: NatsServer) -> MakeOrder:
    return LocalOrder


def jetstream(server: NatsServer) -> MakeOrder:
    """On a stream of its own, which is the same for all that this makes."""
    shared = engine([server])
    return lambda limit: JetStreamOrder(limit, shared)


ORDERS: Mapping[str, Callable[[NatsServer], MakeOrder]] = {"local": local, "jetstream": jetstream}
"""By name, what makes an order in which at most so many proposals wait."""


class Opener(Protocol):
    """Opens a journal on the store at a path, as `support.running_journal` does."""

    def __call__(
        self, path: Path, limits: Limits | None = None, clock: Callable[[], int] | None = None
    ) -> AbstractContextManager[RunningJournal]: ...


@pytest.fixture(params=ORDERS)
def make_order(request: pytest.FixtureRequest, nats_server: NatsServer) -> MakeOrder:
    """Each implementation in its turn."""
    return ORDERS[request.param](nats_server)


@pytest.fixture
def start_order(make_order: MakeOrder) -> Iterator[MakeOrder]:
    """Makes orders that have begun, from nothing, and ends them."""
    orders: list[Order] = []

    def start(limit: int) -> Order:
        order = make_order(limit)
        order.start(Position, lambda: Terms(1_000, 100), str, bytes)
        orders.append(order)
        return order

    yield start
    for order in orders:
        order.end()


@pytest.fixture
def opened(make_order: MakeOrder) -> Opener:
    """Opens journals on an implementation of the order."""
    return partial(running_journal, order=make_order)


@pytest.fixture
def opened_alone() -> Opener:
    """Opens journals of a server that stands alone, which can refuse what it has no room for: what a cluster has
    ordered, no node can."""
    return running_journal
