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
        raise Unreachable(f"NATS does not answer: {str(error) or 'none of its servers was reached'}.") from None
    finally:
        if client is not None:
            await _close(client)


async def _connected(engine: Engine) -> Client:
    """A connection to some server. Raises what went wrong with the last, where none lets us in."""
    # One by one: of several, the library gives all up at the first that takes a connection and then says nothing.
    for server in random.sample(engine.servers, len(engine.servers)):
        client = Client()
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await client.connect(
                    server, name="securechat cluster", tls=engine.tls, allow_reconnect=False, error_cb=_ignore
                )
        except (NatsError, OSError, TimeoutError) as error:
            failure = error
            await _close(client)
        else:
            return client
    raise failure


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


async def _ignore(error: Exception) -> None:
    """What matters is raised."""
