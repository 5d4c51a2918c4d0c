"""A backup: one file with all that a server needs to live on elsewhere, and the way back into an empty home.

It is a tar file (anybody can look into it without us) of the files in PARTS, with a list of their SHA-256 at its end,
by which a copy that was cut short or altered is known. Reading one trusts nothing in it. It knows nothing of a running
server: the store is copied beside its writer, and the other files are replaced whole whenever they change.
"""

import hashlib
import io
import os
import secrets
import shutil
import tarfile
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO, Final, NoReturn

from securechat import audit
from securechat.errors import AlreadyExists, BackupError, NotFound
from securechat.files import sync_folder
from securechat.journal.reader import Reader
from securechat.limits import BACKUP_PART_BYTES

STORE: Final = "chat.db"
AUTHORITY_KEY: Final = "certs/ca.key"
SUMS: Final = "SHA256SUMS"
"""The last file in a backup, in the form in which `sha256sum` writes and checks it."""

PARTS: Final[Mapping[str, int]] = {
    STORE: 0o600,
    "credentials": 0o600,
    "hooks": 0o600,
    "securechat.toml": 0o600,
    "audit.head": 0o600,
    "audit.log": 0o600,
    "certs/ca.pem": 0o644,
    "certs/server.pem": 0o644,
    "certs/server.key": 0o600,
    "certs/crl.pem": 0o644,
    AUTHORITY_KEY: 0o400,
}
"""What a backup may hold, by its path in the home, and the mode in which each is put back."""

_CHUNK_BYTES: Final = 1 << 20


def backup(home: Path, file: Path, *, with_ca_key: bool = False) -> dict[str, int]:
    """Write `file` (mode 0600), whole or not at all, and give the parts that are in it with their bytes.

    A part that the home does not have is left out, but for the store and a CA key that is asked for: then it raises
    NotFound. Raises AlreadyExists where there is a file, BackupError and StorageFailed.
    """
    if file.exists() or file.is_symlink():
        raise AlreadyExists(f"There is a file {file} already.", hint="Name another; a backup replaces nothing.")
    if not (home / STORE).exists():
        raise NotFound(f"There is no {STORE} in {home.absolute()}.", hint="Name the folder of a server with --home.")
    if with_ca_key and not (home / AUTHORITY_KEY).exists():
        raise NotFound(f"There is no {home / AUTHORITY_KEY}.", hint="Without --with-ca-key the backup needs none.")
    try:
        # A folder that nobody else can look into, beside the file, so that the last step is a rename.
        with tempfile.TemporaryDirectory(prefix=f".{file.name}.", dir=file.parent) as work:
            whole = Path(work) / file.name
            parts = _write(home, Path(work), whole, with_ca_key)
            whole.replace(file)
        sync_folder(file.parent)
    except OSError as error:
        _failed(error, file)
    return parts


def restore(file: Path, home: Path) -> list[str]:
    """Put what is in a backup into `home`, which is empty or not there yet (it is made), and give the parts.

    Raises AlreadyExists for a home that is not empty, BackupError for a file that is no whole backup. A home is
    restored whole, or is left as it was.
    """
    try:
        new = not home.exists()
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(home.iterdir()):
            raise AlreadyExists(f"{home} is not empty.", hint="Name a new folder: securechat restore FILE --home DIR")
        try:
            parts = _restore_into(home, file)
        except BaseException:
            if new:
                home.rmdir()
            raise
        sync_folder(home.parent)
    except OSError as error:
        _failed(error, home)
    return parts


@contextmanager
def unpacked_store(file: Path) -> Iterator[Path]:
    """The store in a backup, as a file in a temporary folder that nobody else can look into. Raises BackupError."""
    with tempfile.TemporaryDirectory(prefix="securechat-") as folder:
        _unpack(file, Path(folder), (STORE,))
        yield Path(folder) / STORE


def _write(home: Path, work: Path, whole: Path, with_ca_key: bool) -> dict[str, int]:
    """Write the archive to `whole`, on the disk when it returns."""
    copy = work / "copy"
    with closing(Reader(home / STORE)) as reader:
        reader.copy_to(copy)
    left_out = (STORE,) if with_ca_key else (STORE, AUTHORITY_KEY)
    names = [name for name in PARTS if name not in left_out and (home / name).exists()]
    sums: dict[str, str] = {}
    sizes: dict[str, int] = {}
    descriptor = os.open(whole, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as raw:
        with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as archive:
            with copy.open("rb") as store:
                sums[STORE] = hashlib.file_digest(store, "sha256").hexdigest()
                sizes[STORE] = _add(archive, STORE, store)
            with audit.held(home / audit.FILE):
                contents = [(name, _read(home / name)) for name in names]
            for name, data in contents:
                sums[name] = hashlib.sha256(data).hexdigest()
                sizes[name] = _add(archive, name, io.BytesIO(data))
            _add(archive, SUMS, io.BytesIO(_list(sums)))
        raw.flush()
        os.fsync(raw.fileno())
    return sizes


def _list(sums: Mapping[str, str]) -> bytes:
    return "".join(f"{digest}  {name}\n" for name, digest in sums.items()).encode()


def _add(archive: tarfile.TarFile, name: str, content: IO[bytes]) -> int:
    """Put the whole content into the archive, and give its bytes."""
    # Nothing of the machine goes in: no user's name, no path.
    entry = tarfile.TarInfo(name)
    entry.size = content.seek(0, os.SEEK_END)
    entry.mode = PARTS.get(name, 0o600)
    entry.mtime = int(time.time())
    content.seek(0)
    archive.addfile(entry, content)
    return entry.size


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        data = file.read(BACKUP_PART_BYTES + 1)
    if len(data) > BACKUP_PART_BYTES:
        raise BackupError(f"{path} has more than {BACKUP_PART_BYTES} bytes.", hint="It cannot be what it should be.")
    return data


def _restore_into(home: Path, file: Path) -> list[str]:
    work = home / f"restore.new-{secrets.token_hex(4)}"
    work.mkdir(mode=0o700)
    try:
        (work / "certs").mkdir(mode=0o755)
        parts = _unpack(file, work, PARTS)
        sync_folder(work / "certs")
        # The store first, the certificates last: without those no server starts on what is half there.
        for name in dict.fromkeys(part.partition("/")[0] for part in PARTS if part in parts):
            (work / name).replace(home / name)
        sync_folder(home)
    finally:
        shutil.rmtree(work)
    return parts


def _unpack(file: Path, folder: Path, wanted: Collection[str]) -> list[str]:
    """Write the wanted parts below `folder`, and give the names of all; the whole archive is checked in any case."""
    try:
        with file.open("rb") as raw:
            return _extract(raw, file, folder, wanted)
    except FileNotFoundError:
        raise NotFound(f"There is no file {file}.") from None
    except OSError as error:
        _failed(error, file)
    except (tarfile.TarError, ValueError, EOFError) as error:
        _no_backup(file, str(error))


def _extract(raw: IO[bytes], file: Path, folder: Path, wanted: Collection[str]) -> list[str]:
    whole = os.fstat(raw.fileno()).st_size
    sums: dict[str, str] = {}
    listed: bytes | None = None
    # As a stream of plain tar: nothing is looked for, nothing is decompressed.
    with tarfile.open(fileobj=raw, mode="r|") as archive:
        for entry in archive:
            content = _content(archive, entry, file, whole)
            if listed is not None or entry.name in sums:
                _no_backup(file, f"it holds {entry.name} where nothing more should be")
            if entry.name == SUMS:
                listed = content.read()
            else:
                target = folder / entry.name if entry.name in wanted else None
                sums[entry.name] = _copy(content, target, PARTS[entry.name])
    if listed is None or STORE not in sums:
        _no_backup(file, "its end or its store is missing")
    if listed != _list(sums):
        _no_backup(file, f"its files are not those of its {SUMS}")
    return list(sums)


def _content(archive: tarfile.TarFile, entry: tarfile.TarInfo, file: Path, whole: int) -> IO[bytes]:
    """The bytes of an entry that is a plain file, has a known name and cannot be larger than it should be."""
    if entry.name not in PARTS and entry.name != SUMS:
        _no_backup(file, f"it holds {entry.name!a}")
    if entry.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or entry.issparse():
        _no_backup(file, f"its {entry.name} is no plain file")
    if not 0 <= entry.size <= (whole if entry.name == STORE else BACKUP_PART_BYTES):
        _no_backup(file, f"its {entry.name} has {entry.size} bytes")
    content = archive.extractfile(entry)
    assert content is not None, "a plain file has content"
    return content


def _copy(content: IO[bytes], target: Path | None, mode: int) -> str:
    """Write the content to a new file at `target`, if any, on the disk when it returns; give its SHA-256."""
    digest = hashlib.sha256()
    path = os.devnull if target is None else target
    new = 0 if target is None else os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    with os.fdopen(os.open(path, os.O_WRONLY | new, 0o600), "wb") as out:
        while data := content.read(_CHUNK_BYTES):
            digest.update(data)
            out.write(data)
        if target is not None:
            out.flush()
            os.fchmod(out.fileno(), mode)
            os.fsync(out.fileno())
    return digest.hexdigest()


def _no_backup(file: Path, why: str) -> NoReturn:
    raise BackupError(
        f"{file} is no whole backup of securechat: {why}.", hint="Nothing was changed; take another copy of it."
    )


def _failed(error: OSError, path: Path) -> NoReturn:
    where = error.filename or path
    raise BackupError(
        f"{where} cannot be read or written: {os.strerror(error.errno or 0)}.",
        hint="Look at the disk and at who owns it.",
    ) from None
