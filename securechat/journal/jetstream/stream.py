"""The stream that all nodes share: its settings, who makes it, and what a node refuses to follow."""

from enum import Enum
from typing import TYPE_CHECKING, Final

import msgspec
from nats.aio.client import Client
from nats.js.api import DiscardPolicy, RetentionPolicy, StorageType, StreamConfig, StreamInfo
from nats.js.errors import NotFoundError

from securechat.errors import ClusterError
from securechat.journal.jetstream.packs import PACK_BYTES

if TYPE_CHECKING:
    from ssl import SSLContext

API_SECONDS: Final = 3.0
"""How long NATS has to answer a question about the stream."""

OLDEST_SERVER: Final = (2, 12)
"""Before it, servers lost what they had acknowledged in cases that are mended since."""

_CHECKED: Final = (
    "subjects",
    "retention",
    "storage",
    "discard",
    "max_age",
    "max_msg_size",
    "duplicate_window",
    "num_replicas",
)
"""What of the settings a node looks at."""

DUPLICATE_SECONDS: Final = 86_400
"""How long the stream knows a pack that is sent again: a node tries for as long as it runs, but hardly for a day."""

MAX_AGE_SECONDS: Final = 7 * 86_400
"""How long the stream keeps what is said: a text that was deleted is gone from it then too. A node that was away for
longer goes on from a snapshot."""


class Engine(msgspec.Struct, frozen=True):
    """Which stream gives the order: where NATS is, what the stream is called, in how many copies, and who we are."""

    servers: tuple[str, ...]
    stream: str
    replicas: int
    node: str
    tls: "SSLContext | None" = None

    @property
    def subject(self) -> str:
        """What this node publishes to; the stream has the subjects of all."""
        return f"{self.stream}.log.{self.node}"

    @property
    def nodes(self) -> str:
        """Where all nodes are asked how far they are; nothing of it is kept."""
        return f"{self.stream}.nodes"

    @property
    def whereabouts(self) -> str:
        """Where nodes say who is connected to them; nothing of it is kept."""
        return f"{self.stream}.whereabouts"

    def questions(self, node: str) -> str:
        """Where this node is asked about its chains."""
        return f"{self.stream}.nodes.{node}"


class NodeReport(msgspec.Struct, frozen=True):
    """How far a node has followed the stream (to this entry, and so many proposals of the next), and what stands for
    all chains there (`journal.state.digest`)."""

    node: str
    entry: int
    is_level: bool
    digest: str
    proposals: int = 0

    @property
    def place(self) -> tuple[int, int]:
        """How far it is, to be compared."""
        return self.entry, self.proposals


def settings(engine: Engine) -> StreamConfig:
    """What the stream must be like."""
    return StreamConfig(
        name=engine.stream,
        subjects=[f"{engine.stream}.log.>"],
        retention=RetentionPolicy.LIMITS,
        storage=StorageType.FILE,
        # Full, it takes nothing more: to lose the oldest would lose what a node that is away has not read.
        discard=DiscardPolicy.NEW,
        num_replicas=engine.replicas,
        max_age=MAX_AGE_SECONDS,
        max_msg_size=PACK_BYTES,
        duplicate_window=DUPLICATE_SECONDS,
        deny_delete=True,
    )


async def ready_stream(client: Client, engine: Engine) -> StreamInfo:
    """The stream as it is, made where there is none. Raises ClusterError where it, or the server, is not fit."""
    found = await find_stream(client, engine)
    return found or await client.jetstream(timeout=API_SECONDS).add_stream(settings(engine))


async def find_stream(client: Client, engine: Engine) -> StreamInfo | None:
    """The stream as it is, None where there is none. Raises ClusterError where it, or the server, is not fit."""
    wanted = settings(engine)
    try:
        info = await client.jetstream(timeout=API_SECONDS).stream_info(engine.stream)
    except NotFoundError:
        info = None
    # Once it has answered: without a connection the library knows no version, and says 0.
    version = client.connected_server_version
    if version.major and (version.major, version.minor) < OLDEST_SERVER:
        oldest = ".".join(map(str, OLDEST_SERVER))
        raise ClusterError(f"NATS is {version}, and a cluster needs {oldest} or newer.", hint="Upgrade nats-server.")
    if info is None:
        return None
    found = info.config
    flaws = [
        f"{name} is {_shown(found, name)} and not {_shown(wanted, name)}"
        for name in _CHECKED
        if getattr(found, name) != getattr(wanted, name)
    ]
    if flaws:
        what = f"The stream {engine.stream} is not as a cluster needs it: {', '.join(flaws)}."
        raise ClusterError(what, hint="Look at [cluster] in securechat.toml, or change the stream: nats stream edit.")
    return info


def _shown(config: StreamConfig, name: str) -> object:
    value = getattr(config, name)
    return value.value if isinstance(value, Enum) else value


def check_place(stream: str, first: int, last: int, read: int) -> None:
    """Raise ClusterError unless a node that has read up to this entry can go on reading a stream that goes so far."""
    if last < read:
        what = f"This node has followed a stream up to entry {read}, and {stream} ends at {last}"
        raise ClusterError(f"{what}: it is another, or has lost some.")
    if first > read + 1:
        raise behind(stream, first, read)


def behind(stream: str, first: int, read: int) -> ClusterError:
    """The failure of a node whose next entry is gone from the stream."""
    what = f"This node has followed the stream {stream} up to entry {read}, and it begins at {first} now."
    return ClusterError(
        what,
        hint="Start it again when another node has made a snapshot, or restore a backup of that: securechat restore.",
    )
