"""The way to the stream and back, in rounds: whatever happens to the connection, to publishing or to reading ends one,
and the next publishes again what was not acknowledged, under the same id, and reads on behind what was read.

It runs on the journal's loop, and knows nothing of proposals.
"""

import asyncio
import contextlib
import logging
import time
import weakref
from collections.abc import Callable
from typing import Any, Final, Protocol

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from securechat.journal.jetstream.stream import Engine, NodeReport, check_place, ready_stream

log = logging.getLogger(__name__)
# It warns of each connection that NATS ends, that its end could not be half of one.
logging.getLogger("asyncio").setLevel(logging.ERROR)

ACK_SECONDS: Final = 2.0
"""How long the stream has to acknowledge a pack before it is published again: a thousand times what it takes."""

TRIES: Final = 2
"""How often a pack is published over one server: a second time, for an election may have been on its way."""

ROUND_SECONDS: Final = 0.25
"""Between one try to reach NATS and the next."""

SHORT_SECONDS: Final = 30.0
"""How long a stream may end before what was read of it: an election, and what a new leader has to catch up with, take
some seconds."""

HEARTBEAT_SECONDS: Final = 1.0
"""How often NATS says that there is nothing to read; without a word for three times as long, a round is over."""

TROUBLES: Final = 16
"""Kinds of trouble with NATS that are logged until the stream is followed again; there are not so many."""

ENTRIES: Final = 64
"""Entries that are asked for at once: at most 4 MiB."""

_REQUEST: Final = msgspec.json.encode(
    {"batch": ENTRIES, "expires": 30_000_000_000, "idle_heartbeat": int(HEARTBEAT_SECONDS * 1e9)}
)
_FAILURES: Final = (NatsError, OSError, TimeoutError)


class Traffic(Protocol):
    """What goes to the stream and what comes from it."""

    @property
    def read(self) -> int:
        """The last entry that came in."""
        ...

    def begin(self, last: int) -> None:
        """A round begins: the stream answers, and goes up to this entry."""
        ...

    def report(self) -> NodeReport:
        """What is answered to whoever asks how far this node is."""
        ...

    @property
    def answer(self) -> Callable[[bytes], bytes]:
        """What answers another node's question about the chains (`journal.questions`)."""
        ...

    async def outgoing(self) -> tuple[str, bytes]:
        """Wait for what is to be published, and give it with its id: the same until it is stored."""
        ...

    def stored(self) -> None:
        """It was acknowledged."""
        ...

    async def room(self) -> None:
        """Wait until more may come in."""
        ...

    def incoming(self, data: bytes, sequence: int) -> None:
        """Take the next entry."""
        ...


class Loop(asyncio.SelectorEventLoop):
    """An event loop that can let go of its connections without waiting for the other side."""

    def __init__(self) -> None:
        super().__init__()
        self._connections: weakref.WeakSet[asyncio.Transport] = weakref.WeakSet()

    async def create_connection(self, *args: Any, **options: Any) -> Any:
        """Connect, as every loop does."""
        transport, protocol = await super().create_connection(*args, **options)
        self._connections.add(transport)
        return transport, protocol

    def abandon(self) -> None:
        """Cut every connection, and close."""
        for transport in self._connections:
            transport.abort()
        self.run_until_complete(asyncio.sleep(0))
        self.close()


async def cancel_others() -> None:
    """End every other task of the loop."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    while others:
        # Again and again: the library takes some for the end of a wait of its own.
        for task in others:
            task.cancel()
        _, others = await asyncio.wait(others, timeout=0.05)


class Link:
    """The connection of one node to its stream."""

    def __init__(self, engine: Engine, traffic: Traffic) -> None:
        self.is_reading = False
        """Whether what is new in the stream comes in."""
        self._engine = engine
        self._traffic = traffic
        self._troubles: set[str] = set()
        self._is_followed = False
        """Whether the stream was heard since it was last in trouble."""
        self._short_since: float | None = None
        """Since when the stream has ended before what was read."""

    async def serve(self) -> None:
        """Go from round to round, on one connection after the other. Raises ClusterError where there is no way on."""
        while True:
            try:
                await self._connection()
            except _FAILURES as error:
                self._note(error)
            await asyncio.sleep(ROUND_SECONDS)

    async def _connection(self) -> None:
        """Connect, and go from round to round on this connection for as long as it is good for one."""
        news = asyncio.Event()

        async def told(error: Exception | None = None) -> None:
            # What goes wrong in closing is nobody's matter.
            if error is not None and not client.is_closed:
                self._note(error)
            news.set()

        async def asked(question: Msg) -> None:
            await question.respond(msgspec.json.encode(self._traffic.report()))

        async def questioned(question: Msg) -> None:
            await question.respond(self._traffic.answer(question.data))

        client = Client()
        try:
            await client.connect(
                list(self._engine.servers),
                name=f"securechat {self._engine.node}",
                tls=self._engine.tls,
                max_reconnect_attempts=-1,
                reconnect_time_wait=ROUND_SECONDS,  # type: ignore[arg-type]  # typed int, only slept for
                connect_timeout=2,
                ping_interval=3,
                max_outstanding_pings=2,
                error_cb=told,
                disconnected_cb=told,
                reconnected_cb=told,
                closed_cb=told,
            )
            await client.subscribe(self._engine.nodes, cb=asked)
            await client.subscribe(self._engine.questions(self._engine.node), cb=questioned)
            while True:
                news.clear()
                if client.is_reconnecting:
                    await news.wait()
                else:
                    await self._round(client, news)
        finally:
            # With a server that has stopped, TLS would wait for half a minute.
            with contextlib.suppress(*_FAILURES):
                async with asyncio.timeout(ROUND_SECONDS):
                    await client.close()

    async def _round(self, client: Client, news: asyncio.Event) -> None:
        info = await ready_stream(client, self._engine)
        self._check_end(info.state.last_seq)
        check_place(self._engine.stream, info.state.first_seq, info.state.last_seq, self._traffic.read)
        self._traffic.begin(info.state.last_seq)
        tasks = [asyncio.create_task(one) for one in (news.wait(), self._publish(client), self._follow(client))]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.is_reading = False
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            task.result()

    def _check_end(self, last: int) -> None:
        """Raise TimeoutError while the stream ends before what was read: a server that has just become its leader may
        not have got there yet itself (seen where the leader was killed). After SHORT_SECONDS it is another stream."""
        now = time.monotonic()
        if last >= self._traffic.read:
            self._short_since = None
        else:
            self._short_since = self._short_since or now
            if now < self._short_since + SHORT_SECONDS:
                raise TimeoutError(f"the stream ends at entry {last}, and {self._traffic.read} was read already")

    def _note(self, error: Exception) -> None:
        """Log what is wrong with NATS once until the stream is followed again, and not at each try."""
        self._is_followed = False
        trouble = f"{type(error).__name__}: {error}".rstrip(": ")
        if trouble not in self._troubles and len(self._troubles) < TROUBLES:
            self._troubles.add(trouble)
            log.warning("NATS: %s", trouble)

    def _note_followed(self) -> None:
        """Log that the stream is followed, once it is heard: a stream that has no room or no leader takes requests for
        what is in it, too, and each round fails a moment later."""
        if not self._is_followed:
            self._is_followed = True
            self._troubles.clear()
            log.info("following the stream %s behind entry %d", self._engine.stream, self._traffic.read)

    async def _publish(self, client: Client) -> None:
        stream = client.jetstream(timeout=ACK_SECONDS)
        failed = 0
        while True:
            id, data = await self._traffic.outgoing()
            try:
                await stream.publish(self._engine.subject, data, headers={"Nats-Msg-Id": id})
            except _FAILURES as error:
                # It may be stored or not: the same again.
                self._note(error)
                failed += 1
                if failed == TRIES:
                    raise  # this server may be cut off from the others, and another one not be
                await asyncio.sleep(ROUND_SECONDS)
            else:
                failed = 0
                self._traffic.stored()

    async def _follow(self, client: Client) -> None:
        """Read on behind what was read, entry by entry. Raises when that does not go on."""
        traffic, stream = self._traffic, client.jetstream(timeout=ACK_SECONDS)
        heard: asyncio.Queue[Msg] = asyncio.Queue()
        inbox = client.new_inbox()
        subscription = await client.subscribe(inbox, cb=heard.put)
        try:
            consumer = await stream.add_consumer(
                self._engine.stream,
                ConsumerConfig(
                    deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
                    opt_start_seq=traffic.read + 1,
                    ack_policy=AckPolicy.NONE,
                    mem_storage=True,
                    num_replicas=1,
                    inactive_threshold=60,
                ),
            )
            more = f"$JS.API.CONSUMER.MSG.NEXT.{self._engine.stream}.{consumer.name}"
            self.is_reading = True
            while True:
                await traffic.room()
                await client.publish(more, _REQUEST, reply=inbox)
                await self._read_some(heard)
        finally:
            with contextlib.suppress(*_FAILURES):
                await subscription.unsubscribe()

    async def _read_some(self, heard: asyncio.Queue[Msg]) -> None:
        """Read what one request brings, until it is answered in full or has expired."""
        left = ENTRIES
        while left:
            if heard.empty():
                async with asyncio.timeout(3 * HEARTBEAT_SECONDS):
                    message = await heard.get()
            else:
                message = heard.get_nowait()
            self._note_followed()
            status = message.headers.get("Status") if message.headers else None
            if status == "100":  # a heartbeat
                continue
            if status is not None:
                return
            left -= 1
            sequence = message.metadata.sequence.stream
            if sequence > self._traffic.read + 1:
                raise TimeoutError(f"entry {self._traffic.read + 1} was not delivered")
            if sequence > self._traffic.read:
                self._traffic.incoming(message.data, sequence)
