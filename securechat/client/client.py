"""`Client`: blocking calls over one TLS connection at a time, which one thread owns and renews by itself.

Callers on any thread leave notes in the exchange, and wait there. What was said is sent until it is stored, with the
same id, so it is stored once; what is read goes on where it ended, so it is heard once. It knows nothing of terminals
and people.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Final, Self, TypeVar

from securechat.client.address import Address
from securechat.client.bell import Bell
from securechat.client.comeback import Comeback
from securechat.client.connection import Connection, require_verifying
from securechat.client.cursor import check_page
from securechat.client.exchange import Exchange
from securechat.client.following import Following
from securechat.client.hearing import Heard
from securechat.client.ids import new_id
from securechat.client.nodes import Nodes
from securechat.client.outbox import Outbox
from securechat.client.pending import Pending, Receipt
from securechat.client.reading import Counts
from securechat.client.timeouts import Timeouts
from securechat.errors import Unreachable
from securechat.protocols.frames import (
    Answer,
    AnyRecord,
    AnyRequest,
    Found,
    History,
    Login,
    Message,
    Page,
    Read,
    ReadMarker,
    Redeem,
    Resume,
    RoomList,
    Rooms,
    RoomState,
    Say,
    Search,
    Welcome,
)

if TYPE_CHECKING:
    import ssl

A = TypeVar("A", bound=Answer)

SECONDS: Final = Timeouts()
"""The timeouts of a client that was not given others."""


class Client:
    """One account's way to a server: made by `connect`, usable from every thread, ended by `close`.

    When the connection is lost it comes back by itself, with the token that the server gave it, and goes on where it
    was: at the same server, or at another node of the same chat, where the server has told of others. What ends it for
    good (a changed account, a revoked token, a server that is not proven, a broken chain, an outage longer than
    `timeouts.outage`) is raised by whatever is called then.

    Hear with `messages(room)`, or with `events()` for everything; take the events on a thread of its own while others
    make calls: an answer can stand behind more events than the client keeps.
    """

    def __init__(
        self, address: Address, connection: Connection, exchange: Exchange, bell: Bell, thread: Thread
    ) -> None:
        """For `connect`, which has made the parts."""
        self.address: Final = address
        self._connection = connection
        self._exchange = exchange
        self._bell = bell
        self._thread = thread
        self.timeouts: Final = connection.timeouts

    @classmethod
    def connect(
        cls,
        host: str,
        port: int,
        context: "ssl.SSLContext",
        username: str,
        password: str,
        *,
        device: str = "",
        authority: Path | None = None,
        nodes: Sequence[str] = (),
        outbox: Path | None = None,
        keep_password: bool = False,
        timeouts: Timeouts = SECONDS,
    ) -> Self:
        """Connect, verify, log in.

        `context` is made by `certificates.client_context(authority)`; `authority` is given again for the words of a
        failed verification. `device` is what the account's owner will know this session by, up to 64 characters.
        `nodes` are other addresses of the same chat, each as `HOST:PORT`, as an earlier client was told (`nodes`): they
        are tried where this one is gone. `outbox` is a folder where what is said is kept until it is stored: what an
        earlier run left there is sent first (`left_over`). `keep_password` keeps the password in memory, for a way back
        when the token is worth nothing any more; without it, that ends the client.

        Raises VerificationFailed (nothing was sent), Unreachable, Refused for a wrong username or password
        (`bad-credentials`) and for too many tries (`throttled`, with `retry_after`), and OutboxUnusable where the
        outbox cannot be used. It tries each address once: coming back begins when one was in.
        """
        login = Login(username=username, password=password, device=device)
        comeback = Comeback(login, timeouts, keep_password=keep_password)
        return cls._open(Nodes(Address(username, host, port), nodes), context, comeback, authority, outbox, timeouts)

    @classmethod
    def resume(
        cls,
        host: str,
        port: int,
        context: "ssl.SSLContext",
        username: str,
        token: str,
        *,
        authority: Path | None = None,
        nodes: Sequence[str] = (),
        outbox: Path | None = None,
        timeouts: Timeouts = SECONDS,
    ) -> Self:
        """Connect, verify, and come back with the token that an earlier login was given (`welcome.token`).

        The rest is as for `connect`; a token that is not in force any more is refused with `bad-credentials`.
        """
        comeback = Comeback(Resume(token=token), timeouts, keep_password=False)
        return cls._open(Nodes(Address(username, host, port), nodes), context, comeback, authority, outbox, timeouts)

    @classmethod
    def redeem(
        cls,
        host: str,
        port: int,
        context: "ssl.SSLContext",
        username: str,
        secret: str,
        password: str,
        *,
        device: str = "",
        authority: Path | None = None,
        timeouts: Timeouts = SECONDS,
    ) -> Self:
        """Connect, verify, and come in with the secret of an invitation, as an account that is made with this password.

        The rest is as for `connect`; a secret that is worth nothing is refused with `bad-invitation`, a password with
        `weak-password`.
        """
        opening = Redeem(username=username, secret=secret, password=password, device=device)
        comeback = Comeback(opening, timeouts, keep_password=False)
        return cls._open(Nodes(Address(username, host, port)), context, comeback, authority, None, timeouts)

    @classmethod
    def _open(
        cls,
        nodes: Nodes,
        context: "ssl.SSLContext",
        comeback: Comeback,
        authority: Path | None,
        outbox: Path | None,
        timeouts: Timeouts,
    ) -> Self:
        require_verifying(context)
        address = nodes.current
        kept = Outbox(outbox, f"{address.username}@{address}") if outbox else None
        bell = Bell()
        exchange = Exchange(bell.ring, kept)
        connection = Connection(nodes, context, authority, timeouts, exchange, bell)
        # The password is the thread's argument and nobody's attribute.
        thread = Thread(target=connection.live, args=(comeback,), name="securechat-client", daemon=True)
        client = cls(address, connection, exchange, bell, thread)
        thread.start()
        try:
            exchange.wait_in()
        except BaseException:
            client.close()
            raise
        return client

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Client({self.address.username!r} at {self.address})"

    @property
    def welcome(self) -> Welcome:
        """What the server said when it let us in the last time: the account's role, its rooms."""
        assert self._exchange.welcome is not None
        return self._exchange.welcome

    @property
    def proof(self) -> str:
        """How the server was proven the last time: the version of TLS and the CA, `TLS 1.3, CA 0F:1E:2D:3C`."""
        return self._exchange.proof

    @property
    def nodes(self) -> tuple[str, ...]:
        """The addresses of all nodes of the chat, as the server told the last time; none where it has but one."""
        return self._connection.nodes.listed

    @property
    def left_over(self) -> tuple[Pending, ...]:
        """The lines that an earlier run left in the outbox, the oldest first: sent again by now, or failed then."""
        return tuple(self._exchange.left_over)

    @property
    def counts(self) -> Counts:
        """How often records came again, too early, or not at all; nobody heard of it."""
        return self._exchange.reading.counts

    def say(
        self, room: str, text: str, *, id: str | None = None, reply_to: int | None = None, seconds: float | None = None
    ) -> Receipt:
        """Say something in a room, or to a person (`@bob`), and wait until the server has it on disk.

        `id` makes a repeat harmless: the same again, a year later, gives the same receipt. Without one a new one is
        made. Raises Refused where the server says no, and Unreachable where there is no word after `seconds` (default:
        `timeouts.answer`) or the client ended: then it may be stored, and to say it again with the same `id` is safe.
        """
        patience = self.timeouts.answer if seconds is None else seconds
        pending = self.send(room, text, id=id, reply_to=reply_to)
        try:
            return pending.wait(patience)
        except TimeoutError:
            raise Unreachable(f"It was not acknowledged within {patience:g} seconds; it is still on its way.") from None

    def send(
        self, room: str, text: str, *, id: str | None = None, reply_to: int | None = None, seconds: float | None = None
    ) -> Pending:
        """Say something without waiting; what becomes of it is told by the Pending. With an outbox it is on disk now.

        Waits while CLIENT_OUTBOX lines are on their way. Raises Unreachable when none of them gets anywhere within
        `seconds` (default: `timeouts.answer`), and what ended the client after its end.
        """
        say = Say(id=id or new_id(), room=room, text=text, reply_to=reply_to)
        return self._exchange.send(say, self.timeouts.answer if seconds is None else seconds)

    def forget(self, pending: Pending) -> None:
        """Drop a line that failed from the outbox: somebody has seen why."""
        self._exchange.forget(pending)

    def messages(self, room: str, *, after: int | None = None) -> Iterator[Message]:
        """What is said in a room, each message once and in order, over all reconnects, with no gap.

        `after` is the number of the record to begin behind (0: the whole past); without it, what is new. What was there
        when the reading began, or was missed while the connection was lost, has `replay` set. Ends when the client is
        closed or the account leaves the room. Raises Refused where it may not read the room, ChainBroken where what is
        read is not what was recorded, and what else ended the client.
        """
        return (record for record in self.records(room, after=after) if isinstance(record, Message))

    def records(self, room: str, *, after: int | None = None) -> Iterator[AnyRecord]:
        """As `messages`, and what else is recorded in the room: who came, edits, deletions."""
        return Following(self._exchange, room, after, self.timeouts.answer).records()

    def cursor(self, room: str, consumer: str) -> int:
        """The number up to which a consumer of this account has got in a room; 0 where it never said.

        Raises Refused, Unreachable.
        """
        return self.request(Read(room=room, seq=0, consumer=consumer), ReadMarker).seq

    def advance(self, room: str, consumer: str, seq: int) -> None:
        """Have the server remember, on its disk, that a consumer of this account has got so far; never back.

        Raises Refused, Unreachable.
        """
        self.request(Read(room=room, seq=seq, consumer=consumer), ReadMarker)

    @property
    def is_in(self) -> bool:
        """Whether there is a connection now, and the server has let us in."""
        return self._exchange.is_in

    def history(self, room: str, *, before: int | None = None, after: int | None = None, limit: int = 50) -> Page:
        """One page of a room's past: the newest records, or those next to `before` or `after`; up to PAGE_RECORDS.

        Raises Refused, Unreachable, and ChainBroken where the page is not a piece of the room's chain.
        """
        page = self.request(History(room=room, before=before, after=after, limit=limit), Page)
        check_page(page, room, self.welcome.username)
        return page

    def search(
        self,
        text: str,
        *,
        room: str | None = None,
        sender: str | None = None,
        before: int | None = None,
        after: int | None = None,
        limit: int = 20,
    ) -> Found:
        """What was said in the account's rooms and contains `text`, the newest first; up to SEARCH_HITS.

        `before` and `after` are times in milliseconds since 1970 UTC. Raises Refused, Unreachable.
        """
        asked = Search(text=text, room=room, from_=sender, before=before, after=after, limit=limit)
        return self.request(asked, Found)

    def rooms(self) -> tuple[RoomState, ...]:
        """All public rooms and the account's own. Raises Refused, Unreachable."""
        return self.request(Rooms(), RoomList).rooms

    def request(self, request: AnyRequest, answer: type[A]) -> A:
        """Ask for something and wait for the answer, of the kind `answer`: `request(Join(room="lobby"), Joined)`.

        While there is no connection it waits for the next. Raises Refused where the server answers with an error, and
        Unreachable where no answer comes in time, or the connection broke before it and asking twice could do harm.
        """
        return self._exchange.ask(request, answer, self.timeouts.answer)

    def events(self) -> Iterator[Heard]:
        """What is heard from this call on, each once, in order: records, `ack` and `error` for what was said, `bye`;
        and Lost and Back where the connection was lost and the client has come back.

        Rooms are read when `Join`, `Subscribe` or `Sync` asks for it, from then on over all connections. Ends after
        `close`. Raises what else ended the client.
        """
        return (event for batch in self.batches() for event in batch)

    def batches(self) -> Iterator[list[Heard]]:
        """What `events` gives, all that waits at a time: for who cannot keep up one by one."""
        self._exchange.hearing.listen()
        return self._exchange.hearing.batches()

    def close(self) -> None:
        """Log out and end the connection, within a second even if the server is stopped; twice is as good as once.

        What is not acknowledged then fails with Unreachable; in an outbox it stays, for the next client.
        """
        self._connection.closing.set()
        self._bell.ring()
        self._thread.join(self.timeouts.close + 0.1)
