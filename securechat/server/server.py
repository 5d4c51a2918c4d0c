"""The only file that knows all the parts: start, stop, and what happens when the disk fails. It serves one home."""

import contextlib
import logging
import math
import queue
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from socket import socket

from securechat.accounts.authentication import Authenticator
from securechat.accounts.credentials import CredentialFile
from securechat.accounts.hooks import HookFile
from securechat.accounts.roll import FileRoll
from securechat.config import Config
from securechat.counters import ListenerCounts
from securechat.errors import ClusterError, Code, SecurechatError, StorageFailed, Unreachable
from securechat.journal.journal import Journal
from securechat.journal.migration import is_behind
from securechat.journal.store import Store
from securechat.protocols.frames import Bye
from securechat.server import fitness
from securechat.server.certificate import ServerCertificate
from securechat.server.control import Control
from securechat.server.health import Health
from securechat.server.hooks import FollowedHooks, Hooks
from securechat.server.http_listener import HttpListener
from securechat.server.indexer import Indexer
from securechat.server.keeper import Keeper
from securechat.server.listener import Listener, listen, show_address
from securechat.server.locking import only_server
from securechat.server.metrics import metrics_route
from securechat.server.node import Node
from securechat.server.ordering import make_order
from securechat.server.pages import Finder
from securechat.server.publisher import Publisher
from securechat.server.reactor import Reactor
from securechat.server.reloading import Reloading
from securechat.server.retention import Retention
from securechat.server.services import Services
from securechat.server.shared_roll import SharedRoll
from securechat.server.snapshots import begin_from_snapshot
from securechat.server.steering import Steering
from securechat.server.survey import Pace
from securechat.server.trail import Trail
from securechat.server.workers import Workers

RETRY_SECONDS = 2.0
"""When clients are told to come back after a shutdown: a restart takes about a second."""

BLIND_SECONDS = 0.5
"""How long the main thread waits before it looks up: Python acts on a signal that comes in the moment in which the wait
begins, in C, only then (one in about a hundred did, right after a start)."""

ACCOUNTS_SECONDS = 3.0
"""How long a start waits to know the accounts of its cluster: a hundred times what it takes where NATS is there."""

log = logging.getLogger(__name__)


def check(home: Path, config: Config) -> str:
    """Look at everything that a start needs, without listening: keys, certificates, accounts, store, the cluster.

    Returns what a start would wait for ("": nothing). Raises SecurechatError at the first thing that it would refuse.
    """
    ServerCertificate(home, config)
    if not config.cluster.servers:
        FileRoll(CredentialFile(home / "credentials"))
    store = home / "chat.db"
    if not is_behind(store):  # to look at it must not change it
        with contextlib.closing(Store(store, config.durability)) as opened:
            make_order(home, config, opened)
    if config.cluster.servers:
        try:
            fitness.check(home, config.cluster)
        except Unreachable as error:
            return f"{error} A start tries again and again, and lets nobody in until then."
    return ""


class Server:
    """A chat server on the files of one home; start it once, stop it once."""

    services: Services
    """What its parts share, once it is started."""

    def __init__(self, home: Path, config: Config, reread: Callable[[], Config] | None = None) -> None:
        """`reread` gives the settings anew at a reload; without it they stay as they are."""
        self._home = home
        self._config = config
        self._reread = reread or (lambda: config)
        self._asked_to_reload = False
        self._node: Node | None = None
        self._drained_by: float | None = None
        self.since = time.monotonic()
        """When it was made, of the monotonic clock."""
        self.pace = Pace()
        self._parts = contextlib.ExitStack()
        self._asked_to_stop = False
        # Not an Event: a signal that comes while its thread has the Event's lock would wait for itself for ever.
        self._wake: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._failure: SecurechatError | None = None
        self.address = ""
        """Where it listens, as `host:port`, once it is started."""
        self.port = 0
        self.http_port = 0
        """Where it answers over HTTP, if it does."""

    def start(self) -> None:
        """Open the home, listen, and serve on threads of its own.

        Raises SecurechatError when anything that it needs is missing, malformed or taken; nothing is left open then.
        """
        try:
            self._start()
        except BaseException:
            self._parts.close()
            raise

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until a stop is asked for, or the disk has failed; False when that has not happened in this time."""
        end = math.inf if seconds is None else time.monotonic() + seconds
        while not self._asked_to_stop and (left := end - time.monotonic()) > 0:
            with contextlib.suppress(queue.Empty):
                self._wake.get(timeout=min(left, BLIND_SECONDS))
        return self._asked_to_stop

    def answers(self, seconds: float) -> bool:
        """Whether every reactor does what it is asked within this time."""
        answered = threading.Semaphore(0)
        for reactor in self.services.reactors:
            reactor.post(answered.release)
        deadline = time.monotonic() + seconds
        return all(answered.acquire(timeout=max(0.0, deadline - time.monotonic())) for _ in self.services.reactors)

    def ask_to_stop(self) -> None:
        """End `wait`; safe from signal handlers and every thread."""
        self._asked_to_stop = True
        self._wake.put(None)

    def ask_to_reload(self) -> None:
        """Take settings, accounts and certificate anew within a second; safe from signal handlers and every thread."""
        self._asked_to_reload = True

    def drain(self, seconds: float) -> None:
        """Take no new connections; `wait` ends when the last one is closed, or after so many seconds."""
        self._drained_by = time.monotonic() + seconds
        self._listener.stop()
        log.info("draining: no new connections; the end comes with the last one, or in %.0f seconds", seconds)

    @property
    def is_draining(self) -> bool:
        """Whether it takes no new connections, and is about to stop."""
        return self._drained_by is not None or self._asked_to_stop

    def stop(self) -> None:
        """Stop accepting, commit what is queued, tell the peers and close, within `stop_seconds`; once is enough.

        Raises what made the server stop by itself, once.
        """
        self.ask_to_stop()
        self._parts.close()
        log.info("stopped")
        failure, self._failure = self._failure, None
        if failure:
            raise failure

    def _start(self) -> None:
        config, limits, parts = self._config, self._config.limits, self._parts
        parts.enter_context(only_server(self._home))
        certificate = ServerCertificate(self._home, config)
        alone = None if config.cluster.servers else FileRoll(CredentialFile(self._home / "credentials"))
        begin_from_snapshot(self._home, config, lambda: self._asked_to_stop)
        store = parts.enter_context(contextlib.closing(Store(self._home / "chat.db", config.durability)))
        listening = parts.enter_context(contextlib.closing(listen(config.host, config.port)))

        publisher, order = Publisher(), make_order(self._home, config, store)
        journal = Journal(order, store, publisher, limits, _clock, self._failed)
        authenticator = Authenticator(alone or SharedRoll(self._home, journal))
        indexer = parts.enter_context(
            contextlib.closing(Indexer(self._home / "search.db", store.reader, lambda: journal.view))
        )
        services = self.services = Services(
            config,
            certificate,
            authenticator,
            Workers("hashing", limits.hash_workers, limits.hash_queue, lambda: authenticator),
            Workers("reading", 1, limits.read_queue, store.reader),
            Workers("searching", 1, limits.search_queue, lambda: Finder(indexer.searcher(), store.reader())),
            journal,
            Trail(self._home),
            self._failed,
        )
        services.reactors = [Reactor(number, services, publisher) for number in range(config.reactors)]
        certificate.when_swapped = services.end_revoked
        publisher.serve(services, indexer.wake)
        self._start_threads(services, indexer, listening, store)
        self.port = listening.getsockname()[1]
        self.address = show_address((config.host or listening.getsockname()[0], self.port))
        log.info("listening on %s", self.address)

    def _start_threads(self, services: Services, indexer: Indexer, listening: socket, store: Store) -> None:
        """Start every thread; they are stopped in the opposite order, the listener first and the indexer last."""
        parts, journal, config = self._parts, services.journal, self._config
        control = parts.enter_context(contextlib.closing(Control(self._home, self._steering(services).act)))
        keeper = Keeper(
            services.authenticator.roll,
            services.certificate,
            services.trail,
            services.end_logins,
            store.reader,
            lambda reader: Retention(reader, journal, lambda: services.config, services.shared_pages),
            self._each_second,
        )
        listener = self._listener = Listener(listening, services.reactors, services)
        indexer.start()
        parts.callback(indexer.stop)
        services.trail.start()
        parts.callback(services.trail.stop)
        for workers in (services.hashing, services.reading, services.searching):
            workers.start()
            parts.callback(workers.stop)
        for reactor in services.reactors:
            reactor.start()
        parts.callback(self._end_reactors, services.reactors)
        journal.start()
        parts.callback(self._stop_journal, services)
        if config.cluster.servers:
            self._node = Node(self._home, config, services)
            self._node.start()
            parts.callback(self._node.stop)
        else:  # in a cluster, tokens end with what is decided about their account
            services.end_stale_tokens()
        for part in (keeper, control):
            part.start()
            parts.callback(part.stop)
        self._await_accounts(services)
        listener.start()
        parts.callback(listener.stop)
        if config.http_port is not None:
            self._start_http(config.http_port, listener.counts)

    def _await_accounts(self, services: Services) -> None:
        """Listen when people can come in; a node of a cluster that does not get to know them in time listens all the
        same, and says so to each."""
        deadline = time.monotonic() + ACCOUNTS_SECONDS
        while not services.authenticator.roll.is_ready and time.monotonic() < deadline and not self.wait(0.02):
            pass

    def _steering(self, services: Services) -> Steering:
        self._reloading = Reloading(services, self._reread)
        return Steering(self, self._home, services, self._reloading)

    def _each_second(self) -> None:
        if self._node:
            self._node.each_second()
        self.pace.tick(self.services.journal.counts.messages)
        if self._asked_to_reload:
            self._asked_to_reload = False
            self._reload()
        if self._drained_by is not None and (not self.services.connections or time.monotonic() > self._drained_by):
            self.ask_to_stop()

    def _reload(self) -> None:
        try:
            changes = self._reloading.reload("SIGHUP")
        except SecurechatError as error:
            log.error("nothing was reloaded: %s", error)  # noqa: TRY400 - the sentence says it all
        else:
            log.info("reloaded: %s", " ".join(changes) or "nothing is new")

    def _start_http(self, port: int, listener: ListenerCounts) -> None:
        certificate, journal = self.services.certificate, self.services.journal
        health = Health(self._home, journal, lambda: certificate.expires, lambda: self.is_draining)
        alone = None if self._config.cluster.servers else FollowedHooks(HookFile(self._home / "hooks"))
        current = alone.current if alone else lambda: journal.view.hooks
        hooks = Hooks(current, self.services.authenticator, journal, self._config.limits)
        # A part that answers over HTTP adds its routes here.
        routes = [*health.routes(), metrics_route(self.services, listener), *hooks.routes()]
        http = HttpListener(self._config.http_host, port, routes)
        self.http_port = http.port
        http.start()
        self._parts.callback(http.stop)
        log.info("answering over HTTP on %s", http.address)

    def _stop_journal(self, services: Services) -> None:
        share = self._config.limits.stop_seconds / 4
        quiet = [threading.Event() for _ in services.reactors]
        for reactor, event in zip(services.reactors, quiet, strict=True):
            reactor.quiesce(event.set)
        for event in quiet:
            event.wait(share / len(quiet))
        if not services.journal.stop(2 * share):
            log.error("the journal did not finish in time: what it had not acknowledged is not stored")

    def _end_reactors(self, reactors: Sequence[Reactor]) -> None:
        if self._failure:
            bye = _farewell(self._failure)
        else:
            bye = Bye(code=Code.SHUTDOWN, message="The server stops.", retry_after=RETRY_SECONDS)
        for reactor in reactors:
            reactor.end(bye)
        deadline = time.monotonic() + self._config.limits.close_seconds + self._config.limits.stop_seconds / 4
        for reactor in reactors:
            if not reactor.join(max(0.0, deadline - time.monotonic())):
                log.error("reactor %d did not end in time", reactor.number)

    def _failed(self, error: SecurechatError) -> None:
        log.critical("the server cannot go on: %s", error)
        self._failure = error
        self.ask_to_stop()


def _farewell(failure: SecurechatError) -> Bye:
    match failure:
        case StorageFailed():
            return Bye(code=Code.STORAGE, message="The server's disk failed.")
        case ClusterError():
            return Bye(code=Code.UNAVAILABLE, message="This node of the cluster cannot go on.")
    return Bye(code=Code.INTERNAL, message="The server's program has a bug.")


def _clock() -> int:
    """Wall time in milliseconds, for stamping records."""
    return time.time_ns() // 1_000_000
