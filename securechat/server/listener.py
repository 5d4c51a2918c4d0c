"""Accept, count, hand over; nothing else happens on this thread, so that a silent peer cannot hold up the next one.

No TLS here: the handshake is the reactor's. It knows sockets and reactors, no account and no frame.
"""

import errno
import itertools
import logging
import os
import selectors
import socket
import threading
from collections.abc import Sequence

from securechat.accounts.throttle import source_of
from securechat.counters import ListenerCounts
from securechat.errors import SecurechatError
from securechat.server.reactor import Reactor
from securechat.server.services import Services

BACKLOG = 1024
"""Connections that the kernel completes before they are accepted: a whole team that comes back at once."""

PAUSE_SECONDS = 0.2
"""How long nothing is accepted when there is no descriptor or no place left: a listening socket stays readable then,
and trying on would only spin."""

CROWD_SECONDS = 0.02
"""The same while too many connections have not logged in: an honest crowd gets in within a moment of each other."""

_SHORT = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

log = logging.getLogger(__name__)


def listen(host: str, port: int, *, option: str = "--port", host_option: str = "--host") -> socket.socket:
    """Open a listening socket; an empty host is every address, IPv6 and IPv4. Port 0 takes a free one.

    The options are what the operator is told to change.
    Raises SecurechatError when the address is not this machine's or the port is taken.
    """
    try:
        if host in ("", "::") and socket.has_dualstack_ipv6():
            return socket.create_server(("::", port), family=socket.AF_INET6, backlog=BACKLOG, dualstack_ipv6=True)
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = found[0]
        return socket.create_server((str(address[0]), port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise _explain(error, host, port, option, host_option) from None


def _explain(error: OSError, host: str, port: int, option: str, host_option: str) -> SecurechatError:
    where = show_address((host or "every address", port))
    if error.errno == errno.EADDRINUSE:
        return SecurechatError(
            f"Cannot listen on {where}: another program has this port.",
            hint=f"Stop it, or choose another port with {option}.",
        )
    if error.errno == errno.EACCES:
        return SecurechatError(
            f"Cannot listen on {where}: ports below 1024 are the administrator's.",
            hint=f"Choose another with {option}.",
        )
    if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
        return SecurechatError(
            f"Cannot listen on {where}: that is no address of this machine.",
            hint=f"Use one of its own with {host_option}, or {host_option} '' for all.",
        )
    return SecurechatError(f"Cannot listen on {where}: {error.strerror or os.strerror(error.errno or 0)}.")


def show_address(address: Sequence[object]) -> str:
    """An address as people write it: host:port, an IPv6 host in brackets."""
    host = str(address[0])
    return f"[{host}]:{address[1]}" if ":" in host else f"{host}:{address[1]}"


class Listener:
    """The thread that accepts."""

    def __init__(self, listening: socket.socket, reactors: Sequence[Reactor], services: Services) -> None:
        self._socket = listening
        self._reactors = itertools.cycle(reactors)
        self._services = services
        self._near, self._far = socket.socketpair()
        self._thread = threading.Thread(target=self._run, name="listener")
        self._short = False
        self.counts = ListenerCounts()
        listening.setblocking(False)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Accept nothing more, close the socket and end the thread."""
        self._far.close()
        if self._thread.ident is not None:
            self._thread.join()
        self._near.close()
        self._socket.close()

    def _run(self) -> None:
        try:
            self._accept_all()
        except Exception:
            log.exception("the listener stopped on a bug")
            self._services.fail(SecurechatError("The listener stopped on a bug.", hint="See the log."))

    def _accept_all(self) -> None:
        with selectors.DefaultSelector() as waiting, selectors.DefaultSelector() as pausing:
            waiting.register(self._near, selectors.EVENT_READ)
            waiting.register(self._socket, selectors.EVENT_READ)
            pausing.register(self._near, selectors.EVENT_READ)
            while True:
                if any(key.fileobj is self._near for key, _ in waiting.select()):
                    return
                if (pause := self._accept()) and pausing.select(pause):
                    return

    def _accept(self) -> float:
        """Take one connection; the seconds to wait when there is no room for it."""
        if self._services.strangers.are_many:
            self._tell_shortage(f"{self._services.strangers.limit} have not logged in yet")
            for reactor in self._services.reactors:
                reactor.drop_strangers()
            return CROWD_SECONDS
        try:
            raw, address = self._socket.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return 0.0  # it left before we came
        except OSError as error:
            if error.errno not in _SHORT:
                raise
            self._tell_shortage(error.strerror or "no resources")
            return PAUSE_SECONDS
        source = source_of(str(address[0]))
        if not self._services.take_place():
            raw.close()
            self.counts.refused += 1
            self._tell_shortage(f"{self._services.config.limits.connections} connections are open")
            return PAUSE_SECONDS
        if not self._services.strangers.came(source):
            raw.close()
            self._services.connection_closed()
            self.counts.refused += 1
            return 0.0
        self._short = False
        self.counts.accepted += 1
        next(self._reactors).adopt(raw, show_address(address), source)
        return 0.0

    def _tell_shortage(self, reason: str) -> None:
        # Once for each shortage: the log must not grow with what strangers do.
        if not self._short:
            self._short = True
            log.error("cannot accept more connections: %s", reason)
