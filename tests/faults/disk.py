"""A disk that forgets what was not synced when its power is cut, that can be full, and that can fail: a VFS for SQLite.

What the operating system shows lies in real files in one folder. Beside it the disk keeps what a power cut would leave:
of each file the bytes at its last sync, and what was written since; of the folder the names at its last sync. It knows
nothing of what SQLite writes, nor of who uses SQLite.
"""

import itertools
import random
from pathlib import Path
from typing import Final, Literal, NamedTuple

import apsw

SECTOR: Final = 512
"""Bytes that reach the disk together or not at all; SQLite counts on no more."""

STORE: Final = "chat.db"
"""The database file; SQLite's other files beside it begin with its name."""

JOURNALS: Final = apsw.SQLITE_OPEN_WAL | apsw.SQLITE_OPEN_MAIN_JOURNAL | apsw.SQLITE_OPEN_SUPER_JOURNAL
"""The first sync of such a file syncs its folder too (SQLite's os_unix.c, UNIXFILE_DIRSYNC)."""

_numbers: Final = itertools.count()


class DiskError(apsw.IOError):
    """What the disk says when it fails, with SQLite's code for what it failed at."""

    def __init__(self, code: int) -> None:
        super().__init__("injected by a test")
        self.extendedresult = code


class DiskFull(apsw.FullError):
    """What the disk says when it is full."""

    extendedresult = apsw.SQLITE_FULL


class Written(NamedTuple):
    """Bytes on their way to the disk."""

    offset: int
    data: bytes


class Content:
    """One file's bytes as the disk has them, and what was done to it since its last sync, oldest first."""

    def __init__(self, synced: bytes = b"") -> None:
        self.synced = bytearray(synced)
        self.size = len(synced)
        self.waiting: list[Written | int] = []
        """Bytes that were written, or the size that the file was cut to."""

    def change(self, step: Written | int) -> None:
        """Let the file have been written to, or cut to a size; the disk need not know it yet."""
        self.waiting.append(step)
        self.size = step if isinstance(step, int) else max(self.size, step.offset + len(step.data))

    def sync(self) -> None:
        """Bring everything to the disk."""
        for step in self.waiting:
            _apply(self.synced, step)
        self.waiting.clear()

    def left(self, chance: random.Random, kept: float) -> bytes:
        """What a power cut leaves: what was synced, and of the rest each sector with the probability `kept`."""
        left = bytearray(self.synced)
        for step in self.waiting:
            for part in [step] if isinstance(step, int) else _sectors(step):
                if chance.random() < kept:
                    _apply(left, part)
        return bytes(left)


class Disk(apsw.VFS):
    """The folder's disk, under the VFS name `name` while it is plugged in; `unplug` it at the end.

    `cut_at` is the number of the step (a write, a cut to a size, a sync, a deletion) in which the power goes, None for
    never; `image` is then what is left of each file. All randomness comes from `chance`.
    """

    def __init__(self, folder: Path, chance: random.Random, cut_at: int | None = None) -> None:
        self.name = f"disk-{next(_numbers)}"
        super().__init__(self.name, "")
        self.folder = folder
        self.steps = 0
        self.image: dict[str, bytes] | None = None
        self.cut_in_checkpoint = False
        """The power went while the database file itself had unsynced writes."""
        self.capacity: int | None = None
        """Bytes that all files together may have; None for enough."""
        self.failing: Literal["write", "sync"] | None = None
        """What the disk can no longer do."""
        self.refused: set[str] = set()
        """The kinds of file that the full disk would not let grow."""
        self.touched = ""
        """The kind of file that was written or synced last, or should have been: `main`, `journal`."""
        self._chance = chance
        self._cut_at = cut_at
        self._shown = {path.name: Content(path.read_bytes()) for path in folder.glob(f"{STORE}*")}
        self._names = dict(self._shown)
        """The names that the disk has, and the file that each stands for."""

    @property
    def used(self) -> int:
        """Bytes of all files together."""
        return sum(content.size for content in self._shown.values())

    def unplug(self) -> None:
        """Forget the disk; every connection to it is closed before."""
        self.unregister()

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:
        """Open a file of the folder, or make it."""
        if name is None:  # a temporary file, which no power cut leaves
            return super().xOpen(name, flags)
        path = Path(name if isinstance(name, str) else name.filename())
        file = DiskFile(self, path, name, flags)
        file.content = self._shown.setdefault(path.name, Content())
        return file

    def xDelete(self, filename: str, syncdir: bool) -> None:
        """Take a name away; the disk knows it for sure when the folder is synced."""
        self.step()
        super().xDelete(filename, syncdir)
        self._shown.pop(Path(filename).name, None)
        if syncdir:
            self.sync_names()

    def cut(self) -> dict[str, bytes]:
        """Cut the power, where it has not gone yet; gives what is left of each file."""
        if self.image is None:
            self.cut_in_checkpoint = self._writing_back()
            self.image = self._left()
        return self.image

    def sync_names(self) -> None:
        """Bring the folder itself to the disk."""
        self._names = dict(self._shown)

    def step(self) -> None:
        """Count what is about to be done; the power may go in it. Raises DiskError from then on."""
        self.steps += 1
        if self.steps == self._cut_at:
            self.cut()
        if self.image is not None:
            raise DiskError(apsw.SQLITE_IOERR)

    def allow(self, act: Literal["write", "sync"], kind: str, growth: int = 0) -> None:
        """Let a file be written or synced. Raises DiskError on a disk that fails, DiskFull on a full one."""
        self.touched = kind
        if self.failing == act:
            raise DiskError(apsw.SQLITE_IOERR_WRITE if act == "write" else apsw.SQLITE_IOERR_FSYNC)
        if growth > 0 and self.capacity is not None and self.used + growth > self.capacity:
            self.refused.add(kind)
            raise DiskFull

    def _writing_back(self) -> bool:
        return any(content.waiting for name, content in self._shown.items() if not name.endswith(("-wal", "-journal")))

    def _left(self) -> dict[str, bytes]:
        kept = self._chance.choice((0.0, 0.5, 0.95))
        left = {}
        for name in sorted({*self._names, *self._shown}):
            # A name that came or went since the folder's last sync may be there or not.
            content = (self._shown if self._chance.random() < kept else self._names).get(name)
            if content is not None:
                left[name] = content.left(self._chance, kept)
        return left


class DiskFile(apsw.VFSFile):
    """One opened file of a disk."""

    content: Content

    def __init__(self, disk: Disk, path: Path, name: str | apsw.URIFilename, flags: list[int]) -> None:
        super().__init__("", name, flags)
        self._disk = disk
        self._unsynced_name = bool(flags[0] & JOURNALS)
        self._kind = "journal" if self._unsynced_name else "main"

    def xWrite(self, data: bytes, offset: int) -> None:
        """Write, as far as anybody can see; when the power goes meanwhile, the disk may have any part of it."""
        step = Written(offset, bytes(data))
        self._disk.allow("write", self._kind, offset + len(step.data) - self.content.size)
        self.content.change(step)
        self._disk.step()
        super().xWrite(data, offset)

    def xTruncate(self, newsize: int) -> None:
        """Cut to a size, as far as anybody can see."""
        self.content.change(newsize)
        self._disk.step()
        super().xTruncate(newsize)

    def xSync(self, flags: int) -> None:
        """Bring the file to the disk, and after the first time of a journal its name too."""
        self._disk.allow("sync", self._kind)
        self._disk.step()
        super().xSync(flags)
        self.content.sync()
        if self._unsynced_name:
            self._unsynced_name = False
            self._disk.sync_names()


def _apply(data: bytearray, step: Written | int) -> None:
    if isinstance(step, int):
        del data[step:]
        return
    data.extend(bytes(max(0, step.offset - len(data))))
    data[step.offset : step.offset + len(step.data)] = step.data


def _sectors(step: Written) -> list[Written]:
    """The write in parts that lie in one sector each."""
    end = step.offset + len(step.data)
    edges = [step.offset, *range(step.offset // SECTOR * SECTOR + SECTOR, end, SECTOR), end]
    return [
        Written(start, step.data[start - step.offset : stop - step.offset]) for start, stop in itertools.pairwise(edges)
    ]
