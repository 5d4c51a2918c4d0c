"""The nodes of one chat, and which of them a client tries next. It connects to nothing, and knows no time."""

import random
from collections.abc import Iterable
from itertools import islice
from typing import Final

from securechat.client.address import Address, read_address
from securechat.errors import UsageError
from securechat.limits import NODES, PLACE_LENGTH


class Nodes:
    """Where one account can come in: at the address that a person named, and at those that the server tells of."""

    def __init__(self, named: Address, told: Iterable[str] = ()) -> None:
        """`told` is what the server said the last time, an earlier run's too."""
        self.current = named
        """The one to connect to."""
        self._named: Final = named
        self.listed: tuple[str, ...] = ()
        """Those that the server told of, each as `HOST:PORT`."""
        self._all: list[Address] = []
        self._untried: list[Address] = []
        self.told(told)

    def told(self, nodes: Iterable[str]) -> None:
        """The current one let us in, and says that these are all, each as `HOST:PORT`. What is none is not tried."""
        read = [address for node in islice(nodes, NODES) if (address := self._read(node)) is not None]
        self.listed = tuple(map(str, read))
        self._all = list(dict.fromkeys([self._named, *read]))
        self._begin_anew()

    @property
    def are_several(self) -> bool:
        """Whether there is another one to go to."""
        return any(node != self.current for node in self._all)

    @property
    def has_untried(self) -> bool:
        """Whether one was not tried yet since the last time that one let us in."""
        return bool(self._untried)

    def move_on(self) -> None:
        """Go on to the next; behind the last one, from the beginning. An only one stays."""
        if not self._untried:
            self._begin_anew()
        if self._untried:
            self.current = self._untried.pop()

    def _begin_anew(self) -> None:
        # In no order: the clients of a node that is gone do not all go to the same one.
        others = [node for node in self._all if node != self.current]
        self._untried = random.sample(others, len(others))

    def _read(self, node: str) -> Address | None:
        # It comes from a server, and is kept and shown to people: in ASCII it can pass for nothing else.
        if len(node) > PLACE_LENGTH or not node.isascii() or "@" in node:
            return None
        try:
            return read_address(node)._replace(username=self._named.username)
        except UsageError:
            return None
