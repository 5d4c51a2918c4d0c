"""How long a client waits for what."""

import math

import msgspec


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

    outage: float = math.inf
    """For the way back, all tries together; then the client gives up."""
