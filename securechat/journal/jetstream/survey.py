"""What can be asked of a cluster from outside: how its stream is, and how far each node has followed it."""

import asyncio
import contextlib

import msgspec
from nats.aio.client import Client
from nats.errors import TimeoutError as NatsTimeout

from securechat.errors import ClusterError
from securechat.journal.jetstream.stream import Engine, NodeReport, find_stream
from securechat.journal.jetstream.visit import run, visit


class Survey(msgspec.Struct, frozen=True):
    """The stream, from its first to its last entry, its bytes, where its leader is, its other copies by their
    servers (whether they have all that the leader has), and the nodes that answered, by name."""

    stream: str
    first: int
    last: int
    bytes: int
    leader: str
    copies: dict[str, bool]
    nodes: list[NodeReport]

    @property
    def differ(self) -> bool:
        """Whether nodes that are equally far have come to different histories, which must never be."""
        return len({(node.place, node.digest) for node in self.nodes}) > len({node.place for node in self.nodes})


def survey(engine: Engine, seconds: float = 1.0) -> Survey:
    """Look at the cluster; nodes have so long to answer. Raises Unreachable, and ClusterError as a node does, and where
    there is no stream."""
    return run(_survey(engine, seconds))


def extent(engine: Engine) -> tuple[int, int] | None:
    """From which entry to which the stream goes; None where there is none. Raises Unreachable, and ClusterError where
    the stream or the server is not fit."""
    return run(_extent(engine))


async def _extent(engine: Engine) -> tuple[int, int] | None:
    async with visit(engine) as client:
        info = await find_stream(client, engine)
    return None if info is None else (info.state.first_seq, info.state.last_seq)


async def _survey(engine: Engine, seconds: float) -> Survey:
    async with visit(engine) as client:
        info = await find_stream(client, engine)
        if info is None:
            raise ClusterError(f"There is no stream {engine.stream} yet.", hint="The first node that starts makes it.")
        nodes = await _nodes(client, engine, seconds)
    where, state = info.cluster, info.state
    copies = {peer.name or "": bool(peer.current) for peer in (where and where.replicas) or ()}
    leader = (where and where.leader) or ""
    return Survey(engine.stream, state.first_seq, state.last_seq, state.bytes, leader, copies, nodes)


async def _nodes(client: Client, engine: Engine, seconds: float) -> list[NodeReport]:
    """What all nodes say that answer in time."""
    inbox = client.new_inbox()
    answers = await client.subscribe(inbox)
    await client.publish(engine.nodes, reply=inbox)
    found: dict[str, NodeReport] = {}
    deadline = asyncio.get_running_loop().time() + seconds
    with contextlib.suppress(NatsTimeout):
        while (left := deadline - asyncio.get_running_loop().time()) > 0:
            report = msgspec.json.decode((await answers.next_msg(left)).data, type=NodeReport)
            found[report.node] = report
    return [found[name] for name in sorted(found)]
