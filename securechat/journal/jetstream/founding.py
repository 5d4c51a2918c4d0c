"""The first entry of a stream that goes on from the history of a server: it says so, and which history that is.

Nothing is decided by it. Who begins from a snapshot stands behind it; who reads it did not, and must not go on
(`packs.decode`).
"""

from nats.aio.client import Client
from nats.js.errors import APIError

from securechat.errors import ClusterError
from securechat.journal.jetstream.packs import Founding, decode_founding, encode_founding
from securechat.journal.jetstream.stream import API_SECONDS, Engine, ready_stream
from securechat.journal.jetstream.visit import run, visit

ENTRY = 1
"""Its number."""


def found(engine: Engine, digest: str) -> None:
    """Have the stream, which is made where there is none, begin with the history that this digest stands for.

    Once is enough: a second time, with the same digest, changes nothing. Raises ClusterError where the stream has begun
    otherwise, and Unreachable, after which it may have been done or not.
    """
    run(_found(engine, digest))


async def _found(engine: Engine, digest: str) -> None:
    async with visit(engine) as client:
        is_new = (await ready_stream(client, engine)).state.last_seq == 0
        is_ours = await (_begin if is_new else _has_begun)(client, engine, digest)
    if not is_ours:
        raise ClusterError(
            f"The stream {engine.stream} has begun with another history.",
            hint="Name a new one in [cluster] stream; to join the chat there, start with a home without chat.db.",
        )


async def _begin(client: Client, engine: Engine, digest: str) -> bool:
    """Write the entry; False where somebody was quicker."""
    expected = {"Nats-Expected-Last-Sequence": "0"}
    try:
        await client.jetstream(timeout=API_SECONDS).publish(engine.subject, encode_founding(digest), headers=expected)
    except APIError:
        return False
    return True


async def _has_begun(client: Client, engine: Engine, digest: str) -> bool:
    """Whether the stream begins with this history; False where the entry is not there any more."""
    try:
        message = await client.jetstream(timeout=API_SECONDS).get_msg(engine.stream, ENTRY)
    except APIError:
        return False
    return decode_founding(message.data or b"") == Founding(digest)
