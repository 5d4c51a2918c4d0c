"""Reloading: everything that a running server may read anew is read and checked, then all of it is put in force, or
nothing. It knows what there is to reload, and none of the files.
"""

import threading
from collections.abc import Callable
from typing import Final

import msgspec

from securechat.config import Cluster, Config
from securechat.errors import SecurechatError
from securechat.protocols.frames import NodeList
from securechat.server.control import OPERATOR
from securechat.server.services import Services

_LIMITS_AT_START: Final = (
    "journal_proposals",
    "hash_workers",
    "hash_queue",
    "read_queue",
    "search_queue",
    "shared_bytes",
    "stop_seconds",
)

AT_START: Final = frozenset(("host", "port", "log_format", "durability", "reactors", "http_host", "http_port")).union(
    [f"limits.{name}" for name in _LIMITS_AT_START]
    + [f"cluster.{name}" for name in Cluster.__struct_fields__ if name != "nodes"]
)
"""Settings that are made into threads, sockets and queues at the start, and change with the next one."""


class Reloading:
    """Reloads one server; every thread may ask."""

    def __init__(self, services: Services, read: Callable[[], Config]) -> None:
        """`read` gives the settings as a start would find them now."""
        self._services = services
        self._read = read
        self._lock = threading.Lock()

    def reload(self, source: str) -> list[str]:
        """Put in force what the files say; returns what is new, a sentence each. `source` is how it was asked for.

        Raises SecurechatError for a file that cannot be used, and then nothing has changed.
        """
        try:
            changes = self._reload()
        except SecurechatError as error:
            self._services.trail.note("reload", OPERATOR, source=source, result=str(error))
            raise
        self._services.trail.note("reload", OPERATOR, " ".join(changes), source)
        return changes

    def _reload(self) -> list[str]:
        services = self._services
        with self._lock:
            before, config = services.config, self._read()
            services.authenticator.roll.check_file()
            certificate = services.certificate.reload(config)
            # From here on nothing can fail.
            ended = services.authenticator.roll.refresh()
            services.end_logins(ended)
            services.change(config)
            if config.cluster.nodes != before.cluster.nodes:
                for reactor in services.reactors:
                    reactor.tell_all(NodeList(nodes=config.cluster.nodes))
        told = [certificate[:1].upper() + certificate[1:] + "."] if certificate else []
        if ended:
            told.append(f"Accounts that have to log in again: {', '.join(sorted(ended))}.")
        return told + _differences(before, config)


def _differences(before: Config, after: Config) -> list[str]:
    old, new = _flat(before), _flat(after)
    return [
        f"{name} is {new[name]!r}, and was {old[name]!r}" + ("; it takes a restart." if name in AT_START else ".")
        for name in new
        if old[name] != new[name]
    ]


def _flat(config: Config) -> dict[str, object]:
    """Every setting by its name, those in tables behind the others."""
    named = msgspec.structs.asdict(config)
    for table in ("cluster", "limits"):
        named.update({f"{table}.{key}": value for key, value in msgspec.structs.asdict(named.pop(table)).items()})
    return named
