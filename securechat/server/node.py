"""What a server does besides as a node of a cluster: it tells who is connected to it, and makes snapshots.

It is made only in a cluster, and knows the parts, not what they do.
"""

from pathlib import Path

from securechat.config import Config
from securechat.server.ordering import engine_of
from securechat.server.services import Services
from securechat.server.snapshots import SnapshotMaker
from securechat.server.whereabouts import Whereabouts


class Node:
    """The parts of one node that run beside its journal."""

    def __init__(self, home: Path, config: Config, services: Services) -> None:
        """Raises what `engine_of` does."""
        from securechat.journal.jetstream.bulletin import Bulletin

        engine = engine_of(home, config.cluster)
        self._whereabouts = Whereabouts(config.cluster.node, services.presence)
        self._bulletin = Bulletin(engine, self._whereabouts.heard)
        self._maker = SnapshotMaker(home, engine, lambda: services.journal.is_level)

    def start(self) -> None:
        """Start its threads."""
        self._bulletin.start()
        self._maker.start()

    def stop(self) -> None:
        """End them; the others are told that nobody is connected here any more."""
        self._maker.stop()
        self._bulletin.stop(self._whereabouts.word(last=True))

    def each_second(self) -> None:
        """Tell the others what is new, and forget whom they do not speak of any more."""
        self._whereabouts.tick(self._bulletin)
