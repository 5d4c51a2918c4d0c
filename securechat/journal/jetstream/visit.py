"""A short connection to NATS, for a question or a snapshot: nothing of it is on the journal's loop.

It fails where a node would try again for ever.
"""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Coroutine
from typing import Any, Final, TypeVar

from nats.aio.client import Client
from nats.errors import Error as NatsError

from securechat.errors import Unreachable
from securechat.journal.jetstream.link import Loop
from securechat.journal.jetstream.stream import Engine

CONNECT_SECONDS: Final = 1.5
"""How long a NATS server has to let us in, before the next is tried: it takes some milliseconds."""

CLOSE_SECONDS: Final = 0.5
"""With a server that has stopped, TLS would wait for half a minute."""

_HINT: Final = "Look whether nats-server runs there, and at [cluster] in securechat.toml."

_MEANINGS: Final = {
    "CERTIFICATE_VERIFY_FAILED": "its certificate is not from the CA in [cluster] ca, or for another name",
    "Connect call failed": "no server listens at the addresses in [cluster] servers",
    "Connection lost": "it ended the connection; it may not take the certificate that this node shows",
    "timeout": "its streams take too long; are most of its servers there?",
    "ServiceUnavailable": "its streams cannot be used; are most of its servers there?",
    "ALERT": "it does not take the certificate that this node shows",
    "Authorization Violation": "it knows nobody by the certificate that this node shows",
}

T = TypeVar("T")


def run(errand: Coroutine[Any, Any, T]) -> T:
    """Do it, on a loop of its own, and let go of everything then."""
    loop = Loop()
    try:
        return loop.run_until_complete(errand)
    finally:
        loop.run_until_complete(_end(loop))
        loop.abandon()


@contextlib.asynccontextmanager
async def visit(engine: Engine) -> AsyncIterator[Client]:
    """Connect until the end of the block. Raises Unreachable for whatever goes wrong with NATS there."""
    client: Client | None = None
    try:
        client = await _connected(engine)
        yield client
    except (NatsError, OSError, TimeoutError) as error:
        raise Unreachable(f"NATS does not answer: {_why(error)}.", hint=_HINT) from None
    finally:
        if client is not None:
            await _close(client)


async def _connected(engine: Engine) -> Client:
    """A connection to some server. Raises what went wrong with the last, where none lets us in."""
    # One by one: of several, the library gives all up at the first that takes a connection and then says nothing.
    for server in random.sample(engine.servers, len(engine.servers)):
        try:
            return await _connect(server, engine)
        except (NatsError, OSError, TimeoutError) as error:
            failure = error
    raise failure


async def _connect(server: str, engine: Engine) -> Client:
    client = Client()
    told = asyncio.Event()
    failures: list[Exception] = []

    async def hear(error: Exception) -> None:
        failures.append(error)
        told.set()

    # The library would try the one server again and again, and tells of each time.
    connecting = asyncio.create_task(
        client.connect(server, name="securechat cluster", tls=engine.tls, allow_reconnect=False, error_cb=hear)
    )
    hearing = asyncio.create_task(told.wait())
    await asyncio.wait([connecting, hearing], timeout=CONNECT_SECONDS, return_when=asyncio.FIRST_COMPLETED)
    hearing.cancel()
    if connecting.done() and connecting.exception() is None:
        return client
    connecting.cancel()
    await asyncio.wait([connecting])
    await _close(client)
    raise failures[0] if failures else TimeoutError


async def _close(client: Client) -> None:
    with contextlib.suppress(NatsError, OSError, TimeoutError):
        async with asyncio.timeout(CLOSE_SECONDS):
            await client.close()


async def _end(loop: Loop) -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    if others:
        await asyncio.wait(others)
    await loop.shutdown_default_executor()


def _why(error: Exception) -> str:
    """What went wrong, for who set this up."""
    said = str(error).removeprefix("nats: ").rstrip(".")
    for words, meaning in _MEANINGS.items():
        if words in said:
            return meaning
    return said or "it takes too long"
