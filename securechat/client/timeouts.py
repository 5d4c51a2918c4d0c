"""How long a client waits for what."""

import math
from typing import Self

import msgspec
from msgspec.structs import replace


class Timeouts(msgspec.Struct, frozen=True, kw_only=True):
    """How long a client waits, in seconds."""

    connect: float = 10.0
    """For each address of the host to accept."""

    greet: float = 10.0
    """For the TLS handshake, and as long again for the server's `hello`."""

    login: float = 30.0
    """For the answer to the login; longer than servers wait for one, for their hashing workers may be busy."""

    answer: float = 30.0
    """For the answer to a request."""

    silence: float = 120.0
    """Without a word from the server, which itself asks after 90 s whether the client is there: then it is asked,
    and is gone after as long again."""

    close: float = 0.9
    """For the last bytes and the server's goodbye, so that closing ends within a second."""

    retry: float = 0.25
    """Before the first try to come back after a loss; each further wait is twice as long."""

    retry_most: float = 30.0
    """For the longest wait between two tries, unless the server asks for a longer one."""

    node: float = 5.0
    """Where there is another node to go to: the longest of `connect`, `greet` and `silence`."""

    outage: float = math.inf
    """For the way back, all tries together; then the client gives up."""

    def among_nodes(self) -> Self:
        """The same where there is another node to go to: one that is gone, or cut off, costs seconds."""
        brief = {name: min(getattr(self, name), self.node) for name in ("connect", "greet", "silence")}
        return replace(self, **brief)
