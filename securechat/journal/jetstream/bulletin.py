"""What nodes tell each other beside the stream, on a plain subject: nothing of it is kept, and some of it may be lost.

A thread and a connection of its own: whatever it waits for holds up no order. It knows nothing of what is told.
"""

import asyncio
import contextlib
from collections.abc import Callable
from threading import Thread
from typing import Final

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from securechat.journal.jetstream.link import ROUND_SECONDS, Loop, cancel_others
from securechat.journal.jetstream.stream import Engine

STOP_SECONDS: Final = 0.5
"""How long a node that stops waits for its last word to leave."""

_FAILURES: Final = (NatsError, OSError, TimeoutError)


class Bulletin:
    """Tells the other nodes the newest word of this one, and hears theirs: `heard` is called on a thread of its own."""

    def __init__(self, engine: Engine, heard: Callable[[bytes], None]) -> None:
        self._engine = engine
        self._heard = heard
        self._word: bytes | None = None
        """What is to be told; a newer one takes its place."""
        self._is_over = False
        self._loop = Loop()
        self._news = asyncio.Event()
        self._client: Client | None = None
        """While there is a connection."""
        self._thread = Thread(target=self._run, name="bulletin", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._serving = self._loop.create_task(self._serve())
        self._thread.start()

    def tell(self, word: bytes) -> None:
        """Have the others told, in the place of what was to be told and has not left yet; safe from every thread."""
        self._word = word
        self._loop.call_soon_threadsafe(self._news.set)

    def stop(self, word: bytes) -> None:
        """Tell a last word, if there is a connection, and end the thread; once is enough."""
        self._word, self._is_over = word, True
        self._loop.call_soon_threadsafe(lambda: self._news.set() if self._client else self._serving.cancel())
        self._thread.join()

    def _run(self) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            self._loop.run_until_complete(self._serving)
        self._loop.run_until_complete(cancel_others())
        self._loop.abandon()

    async def _serve(self) -> None:
        """Go from one connection to the next; whoever follows the stream says in the log what is wrong with NATS."""
        while not self._is_over:
            with contextlib.suppress(*_FAILURES):
                await self._connection()
            self._client = None
            if not self._is_over:
                await asyncio.sleep(ROUND_SECONDS)

    async def _connection(self) -> None:
        async def heard(message: Msg) -> None:
            self._heard(message.data)

        async def closed() -> None:
            self._news.set()

        async def ignore(error: Exception) -> None:
            del error  # it ends the connection, and that is seen

        client = Client()
        try:
            await client.connect(
                list(self._engine.servers),
                name=f"securechat {self._engine.node} bulletin",
                tls=self._engine.tls,
                allow_reconnect=False,
                connect_timeout=2,
                ping_interval=3,
                max_outstanding_pings=2,
                error_cb=ignore,
                closed_cb=closed,
            )
            await client.subscribe(self._engine.whereabouts, cb=heard)
            self._client = client
            await self._tell(client)
        finally:
            with contextlib.suppress(*_FAILURES):
                async with asyncio.timeout(STOP_SECONDS):
                    await client.close()

    async def _tell(self, client: Client) -> None:
        """Tell each word, until the last or the connection's end."""
        while client.is_connected:
            word, self._word = self._word, None
            if word is not None:
                await client.publish(self._engine.whereabouts, word)
            if self._is_over:
                await client.flush(STOP_SECONDS)  # type: ignore[arg-type]  # typed int, only waited for
                return
            await self._news.wait()
            self._news.clear()
