"""A thread that owns connections: it waits in its loop, and lets them read, write and time out.

Other threads only leave a note (`post`). It blocks on nothing but its selector: no disk, no hashing, no lock held over
I/O. It knows frames and batches; what a request means is the session's, what a byte means the protocol's.
"""

import collections
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterable
from typing import Protocol as Interface
from typing import TypeVarTuple

from securechat.counters import ReactorCounts
from securechat.errors import Code, SecurechatError
from securechat.journal.journal import Submission
from securechat.limits import Limits
from securechat.protocols.frames import Broadcast, Bye, NodeList
from securechat.server.audience import Audience
from securechat.server.connection import Connection
from securechat.server.fanout import Delivery, Origin
from securechat.server.loop import Loop
from securechat.server.own_account import session_name
from securechat.server.salts import Salts
from securechat.server.services import Services
from securechat.server.session import Session
from securechat.server.subscriptions import Subscriptions
from securechat.server.survey import ConnectionState

Arguments = TypeVarTuple("Arguments")

PAGES_A_TURN = 4
"""Pages queued for those who are behind before those who are level have their turn: half a megabyte at most, by
default."""

HANDSHAKES_A_TURN = 4
"""Steps of TLS handshakes in one turn, each about a millisecond of work: those who are in wait for no more of them,
however many come at once."""

log = logging.getLogger(__name__)


class Written(Interface):
    """Who wants to know that a batch has been written out."""

    def written(self, reactor: "Reactor", number: int) -> None: ...


class Reactor:
    """One thread's connections, their sessions and subscriptions."""

    def __init__(self, number: int, services: Services, pace: Written) -> None:
        self.number = number
        self.services = services
        self.limits: Limits = services.config.limits
        self.salts = Salts()
        self.counts = ReactorCounts()
        self.audience = Audience(self)
        self._pace = pace
        self._loop: Loop[Connection] = Loop()
        self.post = self._loop.post
        """Have the reactor's thread call this soon; safe from every thread."""
        self.watch = self._loop.watch
        """Wait for other things than before on a connection's socket; 0 is nothing."""
        self.expect = self._loop.expect
        """Call a connection's `check` at this time of the monotonic clock, or before."""
        self._connections: set[Connection] = set()
        self._strangers: dict[Connection, float] = {}
        """Those that have not logged in, since when, the oldest first."""
        self._dirty: list[Connection] = []
        self._proposals: list[Submission] = []
        self._behind: collections.deque[Subscriptions] = collections.deque()
        self._batch_number = 0
        self._ending = False
        self._thread = threading.Thread(target=self._run, name=f"reactor-{number}")

    # --- from other threads ----------------------------------------------------------------------

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def post_for(self, connection: Connection, note: Callable[[], None]) -> None:
        """`post`, where a bug in the note is the end of this connection's session."""
        self.post(lambda: self.guard(connection, note))

    def adopt(self, raw: socket.socket, address: str, source: str) -> None:
        """Own this accepted socket from now on; `source` is what its address counts as."""
        self.post(lambda: self._adopt(raw, address, source))

    def drop_strangers(self) -> None:
        """Close those that have been at the door for `crowded_seconds`."""
        self.post(self._drop_strangers)

    def deliver(self, number: int, delivery: Delivery) -> None:
        """Fan a committed batch out; `number` comes back through `written`."""

        def note() -> None:
            self._batch_number = number
            self.audience.deliver(delivery)

        self.post(note)

    def end_sessions(self, accounts: Iterable[str], bye: Bye, keep: Session | None = None) -> None:
        """End every session of these accounts but the one to keep."""
        names = frozenset(accounts)
        self.post(lambda: self.audience.end_sessions(names, bye, keep))

    def end_revoked(self) -> None:
        """End every session whose client certificate is revoked by now."""
        self.post(self.audience.end_revoked)

    def tell_presence(self, account: str, *, online: bool) -> None:
        """Tell those who share a room with the account, and read all their rooms, that it came or went."""
        self.post(lambda: self.audience.tell_presence(account, online=online))

    def tell_all(self, event: Broadcast | NodeList) -> None:
        """Tell every session that is logged in."""
        self.post(lambda: self.audience.tell_all(event))

    def survey(self, take: Callable[[list[ConnectionState]], None]) -> None:
        """Give the state of each connection to `take`, on the reactor's thread."""
        self.post(lambda: take([_state_of(connection) for connection in self._connections]))

    def quiesce(self, done: Callable[[], None]) -> None:
        """Hear no more requests; `done` is called when what was heard has been handed to the journal."""

        def note() -> None:
            for connection in tuple(self._connections):
                connection.deafen()
            self._submit()
            done()

        self.post(note)

    def end(self, bye: Bye) -> None:
        """Say goodbye to every peer, and end the thread when all are closed."""

        def note() -> None:
            self._ending = True
            for connection in tuple(self._connections):
                connection.finish(bye)

        self.post(note)

    def join(self, seconds: float) -> bool:
        """Wait for the thread's end; False when it is not there after `seconds`."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    @property
    def connections(self) -> int:
        """How many sockets it owns."""
        return len(self._connections)

    def load(self) -> tuple[int, int]:
        """The bytes that wait for its peers, and how many of these are behind; about, and any thread may ask."""
        connections = tuple(self._connections)
        # Taken once: on its own thread, a connection may lose its session at any moment.
        sessions = [one.session for one in connections]
        late = [one for one in sessions if isinstance(one, Session) and one.subscriptions.is_behind]
        return sum(one.queued for one in connections), len(late)

    # --- for its connections and sessions ----------------------------------------------------------

    def page_later(self, subscriptions: Subscriptions) -> None:
        """Let this session read on when it is its turn among those who are behind."""
        self._behind.append(subscriptions)

    def flush_later(self, connection: Connection) -> None:
        """Write this connection's queue at the end of the turn."""
        self._dirty.append(connection)

    def opened(self, connection: Connection) -> Session:
        """A session for a connection whose handshake is done."""
        return Session(connection, self)

    def closed(self, connection: Connection) -> None:
        """The connection is no more."""
        self._connections.discard(connection)
        self._is_no_stranger(connection)
        self.services.connection_closed()

    def propose(self, origin: Origin) -> None:
        """Hand a proposal to the journal at the end of the turn; its session hears the outcome."""
        self._proposals.append(Submission(origin.proposal, origin))

    def entered(self, session: Session) -> None:
        """The session is logged in."""
        self._is_no_stranger(session.connection)
        self.audience.entered(session)

    # --- the loop ----------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not (self._ending and not self._connections):
                self._turn()
        except Exception:
            log.exception("reactor %d stopped on a bug", self.number)
            self.services.fail(SecurechatError("A reactor stopped on a bug.", hint="See the log."))
        finally:
            for connection in tuple(self._connections):
                connection.drop()
            self._loop.close()

    def _turn(self) -> None:
        handshakes = 0
        for connection, mask in self._loop.ready(at_once=bool(self._dirty or self._proposals or self._behind)):
            if connection.is_new:
                handshakes += 1
                if handshakes > HANDSHAKES_A_TURN:
                    continue  # it is as ready in the next turn
            try:
                connection.ready(mask)
            except Exception:  # noqa: BLE001 - rule 6
                self._end_failed(connection)
        self._loop.take_notes()
        now = time.monotonic()
        for connection in self._loop.due(now):
            self.guard(connection, connection.check, now)
        self._submit()
        self._page()
        self._flush()

    def _submit(self) -> None:
        if not self._proposals:
            return
        proposals, self._proposals = self._proposals, []
        if not self.services.journal.submit(proposals):
            for submission in proposals:
                self.audience.tell_outcome(submission.origin, self.services.refusal())
        else:
            self.audience.handed(len(proposals))

    def _page(self) -> None:
        for _ in range(min(len(self._behind), PAGES_A_TURN)):
            subscriptions = self._behind.popleft()
            if subscriptions.is_due:  # else its session has ended meanwhile
                self.guard(subscriptions.session.connection, subscriptions.page)

    def _flush(self) -> None:
        dirty, self._dirty = self._dirty, []
        for connection in dirty:
            try:
                connection.flush()
            except Exception:  # noqa: BLE001 - rule 6
                self._end_failed(connection)
        if self._batch_number:
            self._pace.written(self, self._batch_number)
            self._batch_number = 0

    def guard(self, connection: Connection, act: Callable[[*Arguments], None], *arguments: *Arguments) -> None:
        """Rule 6: a bug in one session ends that session; the thread lives on."""
        try:
            act(*arguments)
        except Exception:  # noqa: BLE001 - rule 6
            self._end_failed(connection)

    def _end_failed(self, connection: Connection) -> None:
        """Say goodbye to the session whose bug is being handled."""
        log.exception("session failed", extra={"peer": connection.address})
        try:
            connection.finish(Bye(code=Code.INTERNAL, message="The server has a bug; its operator can see it."))
        except Exception:
            log.exception("the failed session could not be ended", extra={"peer": connection.address})
            connection.drop()

    # --- notes --------------------------------------------------------------------------------------

    def _adopt(self, raw: socket.socket, address: str, source: str) -> None:
        if self._ending:
            raw.close()
            self.services.strangers.gone(source)
            self.services.connection_closed()
            return
        try:
            connection = Connection(raw, address, source, self.services.certificate.context, self)
        except OSError as error:
            raw.close()
            self.services.strangers.gone(source)
            self.services.connection_closed()
            log.info("peer left before the handshake: %s", error.strerror, extra={"peer": address})
            return
        self._connections.add(connection)
        self._strangers[connection] = time.monotonic()

    def _is_no_stranger(self, connection: Connection) -> None:
        if self._strangers.pop(connection, None) is not None:
            self.services.strangers.gone(connection.source)

    def _drop_strangers(self) -> None:
        latest = time.monotonic() - self.limits.crowded_seconds
        for connection in [one for one, since in self._strangers.items() if since <= latest and not _is_checked(one)]:
            log.info("dropped early: too many have not logged in", extra={"peer": connection.address})
            connection.drop()


def _is_checked(connection: Connection) -> bool:
    # It is the server that takes its time then, and a hash that nobody waits for any more was worked out for nothing:
    # of many who came at once on a busy machine, next to none got in.
    return isinstance(connection.session, Session) and connection.session.is_checked


def _state_of(connection: Connection) -> ConnectionState:
    session = connection.session
    if not isinstance(session, Session):
        return ConnectionState(connection.address, "", "", 0.0, connection.queued, 0, 0)
    behind = session.subscriptions.behind()
    return ConnectionState(
        connection.address,
        session.username,
        session_name(session.token_hash),
        round(time.monotonic() - session.began, 1),
        connection.queued,
        sum(behind),
        len(behind),
    )
