"""What the bench tells a crowd to do, and what a crowd answers; they travel between processes."""

from collections.abc import Sequence
from typing import NamedTuple

from bench.load.hearing import Losses, Said
from bench.subjects import Serving


class Member(NamedTuple):
    """One connection of the generator."""

    account: str
    rooms: Sequence[str]
    address: str
    """Where it comes from: each has an address of its own in 127.0.0.0/8, as people have."""
    says: bool = False
    """It is one of the authors, and says things in the first of its rooms."""
    watched: bool = False
    """It keeps how long after it was said it heard each message."""
    deaf: bool = False
    """It does not read the rooms that it is a member of."""
    port: int = 0
    """Where it goes, if not to the server's own."""


class Enter(NamedTuple):
    """Connect and log in. Answered by Entered when all are in all their rooms."""

    serving: Serving
    members: Sequence[Member]
    after: int | None = None
    """Come back: read the room from this cursor on."""
    missed: int = 0
    """Messages behind the cursor; all are in when they have heard them."""


class Entered(NamedTuple):
    """All are in."""

    seconds: float
    """From the first connection to the last login."""
    idle: float
    """The part of this time in which this process waited for the server."""


class Leave(NamedTuple):
    """Close all connections at once, without a goodbye. Answered by Left."""


class Left(NamedTuple):
    """They are closed."""


class Mark(NamedTuple):
    """Have these authors say the mark. Every crowd gets it; answered by Marked when all have heard it in all rooms."""

    authors: Sequence[str]


class Marked(NamedTuple):
    """All have heard everything that logging in brought, and every author's mark was acknowledged."""


class Say(NamedTuple):
    """Say things. Answered by Spoken when everything is acknowledged."""

    in_flight: int
    """Messages of one author that are not yet acknowledged; past it, the author waits."""
    seconds: float
    messages: int = 0
    """How many each author says at most; 0 for as many as go into the time."""
    rate: float = 0.0
    """Messages a second of all authors of this crowd together; 0 for as fast as acknowledgements come."""
    pasted: bool = False
    """What may be said at once goes out in one write; else each message has its own, as when a client says it."""


class Spoken(NamedTuple):
    """All that the authors of this crowd said was acknowledged."""

    said: Said
    acknowledged: Sequence[float]
    """Seconds from saying to the acknowledgement, for each message."""


class Finish(NamedTuple):
    """Hear the rest. Answered by Report, when all has come or nothing comes any more."""

    said: Said


class Report(NamedTuple):
    """What the members of this crowd heard."""

    losses: Losses
    heard: Sequence[float]
    """Seconds from saying to hearing, for each message and each watched member."""
    idle: float
    """The part of the time, since Say, in which this process waited for the server."""


class Failure(NamedTuple):
    """The crowd cannot go on."""

    reason: str


Order = Enter | Leave | Mark | Say | Finish
Answer = Entered | Left | Marked | Spoken | Report | Failure
