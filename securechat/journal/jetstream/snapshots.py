"""Snapshots of a store in the object store of the cluster's NATS: what is there, put one there, take one.

One is a whole copy of some node's store, named by the last entry of the stream that it has and by when it was made.
Whoever takes one trusts neither NATS nor the library: bytes and SHA-256 are counted here. What is in the copy is for
others to judge.
"""

import asyncio
import base64
import hashlib
import re
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import IO, Final, TypeVar

import msgspec
from nats.aio.client import Client
from nats.js.api import ObjectInfo, ObjectStoreConfig, StorageType
from nats.js.errors import BucketNotFoundError, NotFoundError
from nats.js.errors import Error as JetStreamError
from nats.js.object_store import ObjectStore

from securechat.errors import SnapshotUnusable, StorageFailed, Unreachable
from securechat.journal.jetstream.stream import API_SECONDS, MAX_AGE_SECONDS, Engine, ready_stream
from securechat.journal.jetstream.visit import run, visit
from securechat.limits import SNAPSHOT_ENTRIES, SNAPSHOT_SECONDS

STUCK_SECONDS: Final = 5.0
"""Without a single chunk of 128 KiB, a transfer is given up: the library would wait for ever for one that is gone."""

KEPT: Final = 2
"""Whoever takes the last but one when another is put there can still finish; and where the last is damaged, there is
one more. Those before are removed, with what was deleted since."""

_NAME: Final = re.compile(r"([0-9]{1,16})-([0-9]{1,16})\Z")

T = TypeVar("T")


class Snapshot(msgspec.Struct, frozen=True, order=True):
    """One that can be taken: the last entry in it, when it was made (seconds since 1970 UTC, by its node's clock),
    bytes and SHA-256 in hexadecimal."""

    entry: int
    time: int
    bytes: int
    sum: str

    @property
    def name(self) -> str:
        """What it is called in the object store."""
        return f"{self.entry}-{self.time}"


class Shelf(msgspec.Struct, frozen=True):
    """From which entry to which the stream goes, and the snapshots from which it can be followed, the newest first."""

    first: int
    last: int
    snapshots: list[Snapshot]

    def is_due(self, now: float) -> bool:
        """Whether another snapshot is to be made; `now` is in seconds since 1970 UTC."""
        if not self.snapshots:
            return self.last > 0
        newest = self.snapshots[0]
        # A clock that went wrong by days must not keep everybody from making others.
        return abs(now - newest.time) >= SNAPSHOT_SECONDS or self.last - newest.entry >= SNAPSHOT_ENTRIES


def look(engine: Engine) -> Shelf:
    """Look at the stream, which is made where there is none, and at the snapshots.

    Raises Unreachable, and ClusterError as a node does.
    """
    return run(_look(engine))


def put(engine: Engine, path: Path, entry: int, is_over: Callable[[], bool] = bool) -> Snapshot:
    """Put the file there as the snapshot that has gone up to this entry, and remove those before the last two.

    It is there whole, or is not to be seen. Raises Unreachable, also where `is_over` says so in the middle of it, and
    StorageFailed where the file cannot be read.
    """
    return run(_put(engine, path, entry, is_over))


def take(engine: Engine, snapshot: Snapshot, path: Path, is_over: Callable[[], bool] = bool) -> None:
    """Write the snapshot to a new file, which is not synced.

    Raises SnapshotUnusable where what comes is not what was put there, Unreachable, also where `is_over` says so in the
    middle of it, and StorageFailed for the disk.
    """
    run(_take(engine, snapshot, path, is_over))


async def _look(engine: Engine) -> Shelf:
    async with visit(engine) as client:
        state = (await ready_stream(client, engine)).state
        bucket = await _bucket(client, engine)
        found = sorted(await _listed(bucket), reverse=True) if bucket else []
        return Shelf(
            state.first_seq,
            state.last_seq,
            [one for one in found if state.first_seq - 1 <= one.entry <= state.last_seq],
        )


async def _put(engine: Engine, path: Path, entry: int, is_over: Callable[[], bool]) -> Snapshot:
    async with visit(engine) as client:
        bucket = await _bucket(client, engine)
        if bucket is None:
            # The chunks of an upload that was cut off go with time, as everything in the stream does.
            config = ObjectStoreConfig(ttl=MAX_AGE_SECONDS, storage=StorageType.FILE, replicas=engine.replicas)
            bucket = await client.jetstream(timeout=API_SECONDS).create_object_store(engine.stream, config)
        now = int(time.time())
        with _Traced(path, "rb", is_over) as file:
            info = await _unless_stuck(bucket.put(f"{entry}-{now}", file), file)  # type: ignore[arg-type]  # it reads
        for older in sorted(await _listed(bucket), reverse=True)[KEPT:]:
            await bucket.delete(older.name)
        return Snapshot(entry, now, info.size or 0, _hexadecimal(info))


async def _take(engine: Engine, snapshot: Snapshot, path: Path, is_over: Callable[[], bool]) -> None:
    async with visit(engine) as client:
        bucket = await _bucket(client, engine)
        with _Traced(path, "xb", is_over) as file:
            try:
                if bucket is not None:
                    await _unless_stuck(bucket.get(snapshot.name, file), file)  # type: ignore[arg-type]  # it writes
            except (JetStreamError, TimeoutError, ValueError) as error:
                raise SnapshotUnusable(f"{snapshot.name} cannot be read: {type(error).__name__}.") from None
            if (file.bytes, file.sum.hexdigest()) != (snapshot.bytes, snapshot.sum):
                raise SnapshotUnusable(f"{snapshot.name} came with {file.bytes} bytes and has {snapshot.bytes}.")


async def _bucket(client: Client, engine: Engine) -> ObjectStore | None:
    try:
        return await client.jetstream(timeout=API_SECONDS).object_store(engine.stream)
    except BucketNotFoundError:
        return None


async def _listed(bucket: ObjectStore) -> list[Snapshot]:
    try:
        async with asyncio.timeout(API_SECONDS):
            found = await bucket.list(ignore_deletes=True)
    except NotFoundError:
        return []
    named = [(info, _NAME.match(info.name)) for info in found]
    return [Snapshot(int(name[1]), int(name[2]), info.size or 0, _hexadecimal(info)) for info, name in named if name]


def _hexadecimal(info: ObjectInfo) -> str:
    """The sum as the object store writes it ("SHA-256=" and base64), as everybody else does; "" where it is none."""
    try:
        return base64.urlsafe_b64decode((info.digest or "").partition("=")[2]).hex()
    except ValueError:
        return ""


class _Traced:
    """A file that knows what went through it, by which a transfer that stands still is known."""

    def __init__(self, path: Path, mode: str, is_over: Callable[[], bool] = bool) -> None:
        self.bytes = 0
        self.sum = hashlib.sha256()
        self._path = path
        self._is_over = is_over
        try:
            self._file: IO[bytes] = path.open(mode)
        except OSError as error:
            raise self._failure(error) from None

    def __enter__(self) -> "_Traced":
        return self

    def __exit__(self, *exc: object) -> None:
        self._file.close()

    def write(self, data: bytes) -> int:
        self._go_on()
        try:
            self._file.write(data)
        except OSError as error:
            raise self._failure(error) from None
        return self._count(data)

    def readinto(self, buffer: bytearray) -> int:
        self._go_on()
        try:
            size = self._file.readinto(buffer)  # type: ignore[attr-defined]  # a file of bytes has it
        except OSError as error:
            raise self._failure(error) from None
        return self._count(memoryview(buffer)[:size])

    def _go_on(self) -> None:
        if self._is_over():
            raise Unreachable("It was broken off.")

    def _count(self, data: bytes | memoryview) -> int:
        self.bytes += len(data)
        self.sum.update(data)
        return len(data)

    def _failure(self, error: OSError) -> StorageFailed:
        return StorageFailed(f"{self._path}: {error.strerror}.", hint="Look at the disk.")


async def _unless_stuck(transfer: Awaitable[T], file: _Traced) -> T:
    """What comes of the transfer. Raises TimeoutError when nothing moves."""
    task, before = asyncio.ensure_future(transfer), -1
    try:
        while not task.done():
            if file.bytes == before:
                raise TimeoutError("what is sent does not arrive")
            before = file.bytes
            await asyncio.wait([task], timeout=STUCK_SECONDS)
        return task.result()
    finally:
        task.cancel()
