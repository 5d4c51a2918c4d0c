"""A backup: whole or not there, taken beside a busy writer, and read back without trusting anything in it."""

import hashlib
import io
import os
import stat
import subprocess
import tarfile
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securechat.chat.names import LOBBY
from securechat.errors import AlreadyExists, BackupError, NotFound, StorageFailed
from securechat.journal import backup as backup_module
from securechat.journal.backup import AUTHORITY_KEY, PARTS, STORE, SUMS, backup, restore, unpacked_store
from securechat.journal.store import Store
from securechat.journal.verify import verify_store
from tests.journal.support import RunningJournal, change, running_journal, said

ALWAYS = [name for name in PARTS if name != AUTHORITY_KEY]


def fill_home(home: Path) -> Path:
    """A home with a little of everything, the CA's key too."""
    (home / "certs").mkdir(parents=True)
    for name in PARTS:
        if name != STORE:
            (home / name).write_text(f"what is in {name}\n")
    Store(home / STORE, "normal").close()
    return home


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return fill_home(tmp_path / "home")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "backups" / "monday.tar"


@pytest.fixture(autouse=True)
def a_folder_for_backups(file: Path) -> None:
    file.parent.mkdir()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of a backup."""
    folder = tmp_path_factory.mktemp("whole")
    backup(fill_home(folder / "home"), folder / "backup.tar")
    return (folder / "backup.tar").read_bytes()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def entries(file: Path) -> dict[str, bytes]:
    with tarfile.open(file, "r:") as archive:
        return {entry.name: content.read() for entry in archive if (content := archive.extractfile(entry))}


def _entry(name: str, kind: bytes = tarfile.REGTYPE, size: int = 0, **more: Any) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type = kind
    entry.size = size
    for field, value in more.items():
        setattr(entry, field, value)
    return entry


def forge(file: Path, *parts: tuple[str | tarfile.TarInfo, bytes], sums: bool = True) -> None:
    """Write an archive of these entries, with a true list of their sums at its end."""
    listed = "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in parts)
    with tarfile.open(file, "w") as archive:
        for name, data in [*parts, *([(SUMS, listed.encode())] if sums else [])]:
            if isinstance(name, str):
                archive.addfile(_entry(name, size=len(data)), io.BytesIO(data))
            else:
                # Its header alone, whatever that says of a content.
                assert archive.fileobj is not None
                header = name.tobuf()
                archive.fileobj.write(header)
                archive.offset += len(header)


def refusal(file: Path, home: Path) -> str:
    """Why a file is refused; a home that was not there is not there after it either."""
    with pytest.raises(BackupError) as refused:
        restore(file, home)
    assert not home.exists()
    assert str(file) in refused.value.message
    assert refused.value.hint
    return refused.value.message


def test_a_backup_holds_all_that_a_server_needs_and_comes_back_as_it_was(
    home: Path, file: Path, tmp_path: Path
) -> None:
    sizes = backup(home, file)
    assert list(sizes) == ALWAYS
    again = tmp_path / "deep" / "again"
    assert restore(file, again) == ALWAYS
    names = {"certs", STORE, "credentials", "hooks", "securechat.toml", "audit.head", "audit.log"}
    assert {path.name for path in again.iterdir()} == names
    for name in ALWAYS:
        assert (again / name).stat().st_size == sizes[name]
        assert name == STORE or (again / name).read_bytes() == (home / name).read_bytes()
    with closing(Store(again / STORE, "full")) as store:
        assert [room.name for room in store.load()] == [LOBBY]


def test_the_key_of_the_ca_goes_along_only_when_asked(home: Path, file: Path, tmp_path: Path) -> None:
    assert AUTHORITY_KEY not in backup(home, file)
    other = file.with_name("with.tar")
    assert AUTHORITY_KEY in backup(home, other, with_ca_key=True)
    restore(other, tmp_path / "again")
    assert (tmp_path / "again" / AUTHORITY_KEY).read_bytes() == (home / AUTHORITY_KEY).read_bytes()


def test_every_file_comes_back_with_the_mode_it_needs(home: Path, file: Path, tmp_path: Path) -> None:
    backup(home, file, with_ca_key=True)
    again = tmp_path / "again"
    umask = os.umask(0o077)
    try:
        restore(file, again)
    finally:
        os.umask(umask)
    assert {name: mode(again / name) for name in PARTS} == PARTS
    assert mode(again) == 0o700


def test_a_backup_is_its_owners_alone_from_the_first_byte(
    home: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: set[int] = set()
    add = backup_module._add

    def looking(*arguments: Any) -> int:
        for folder in file.parent.iterdir():
            seen.update({mode(folder), *(mode(path) for path in folder.iterdir())})
        return add(*arguments)

    monkeypatch.setattr(backup_module, "_add", looking)
    umask = os.umask(0)
    try:
        backup(home, file)
    finally:
        os.umask(umask)
    assert seen == {0o700, 0o600}
    assert mode(file) == 0o600


def test_anybody_can_check_a_backup_with_the_tools_of_the_system(home: Path, file: Path, tmp_path: Path) -> None:
    backup(home, file)
    subprocess.run(["tar", "--extract", "--file", file, "--directory", tmp_path], check=True)
    done = subprocess.run(["sha256sum", "--check", SUMS], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "".join(f"{name}: OK\n" for name in ALWAYS)


def test_a_backup_tells_nothing_of_the_machine(home: Path, file: Path) -> None:
    backup(home, file)
    with tarfile.open(file, "r:") as archive:
        assert {(entry.uid, entry.gid, entry.uname, entry.gname) for entry in archive} == {(0, 0, "", "")}


def test_what_a_home_does_not_have_is_left_out(home: Path, file: Path) -> None:
    (home / "securechat.toml").unlink()
    (home / "certs/ca.pem").unlink()
    (home / "certs/crl.pem").write_text("what is revoked must stay so")
    held = [
        STORE,
        "credentials",
        "hooks",
        "audit.head",
        "audit.log",
        "certs/server.pem",
        "certs/server.key",
        "certs/crl.pem",
    ]
    assert list(backup(home, file)) == held


@pytest.mark.parametrize("missing", [STORE, AUTHORITY_KEY])
def test_without_a_store_or_a_ca_key_that_is_asked_for_there_is_no_backup(home: Path, file: Path, missing: str) -> None:
    (home / missing).unlink()
    with pytest.raises(NotFound, match=missing):
        backup(home, file, with_ca_key=True)
    assert list(file.parent.iterdir()) == []


def test_a_backup_replaces_nothing(home: Path, file: Path) -> None:
    file.write_text("the last backup")
    with pytest.raises(AlreadyExists) as refused:
        backup(home, file)
    assert refused.value.exit_code == 7
    assert file.read_text() == "the last backup"


def _large(home: Path) -> None:
    (home / "credentials").write_bytes(b"#" * 100)


def _garbage(home: Path) -> None:
    (home / STORE).write_bytes(b"no database\n" * 1_000)


@pytest.mark.parametrize(("spoil", "error"), [(_large, BackupError), (_garbage, StorageFailed)])
def test_a_backup_that_fails_leaves_nothing(
    home: Path,
    file: Path,
    monkeypatch: pytest.MonkeyPatch,
    spoil: Callable[[Path], None],
    error: type[Exception],
) -> None:
    monkeypatch.setattr(backup_module, "BACKUP_PART_BYTES", 99)
    spoil(home)
    with pytest.raises(error):
        backup(home, file)
    assert list(file.parent.iterdir()) == []


def test_a_folder_that_is_not_there_is_named(home: Path, file: Path) -> None:
    with pytest.raises(BackupError, match=r"nowhere.* cannot be read or written: No such file or directory\."):
        backup(home, file.parent / "nowhere" / "monday.tar")


def _speak(running: RunningJournal, stop: threading.Event, said_so_far: list[int]) -> None:
    for number in count(1):
        if stop.is_set():
            return
        running.settle(said("alice", f"a{number}", f"words of the day {number}"))
        said_so_far.append(number)


def test_a_backup_under_load_is_the_store_at_one_moment(tmp_path: Path, file: Path) -> None:
    home = fill_home(tmp_path / "home")
    stop, so_far = threading.Event(), [0]
    with running_journal(home / STORE) as running:
        running.record(change("join", "alice"))
        speaker = threading.Thread(target=_speak, args=(running, stop, so_far))
        speaker.start()
        try:
            for attempt in range(200):
                before = so_far[-1]
                backup(home, file.with_name(f"{attempt}.tar"))
                after = so_far[-1]
                if before and after > before:
                    break
        finally:
            stop.set()
            speaker.join()
    assert after > before > 0
    restore(file.with_name(f"{attempt}.tar"), tmp_path / "again")
    with closing(Store(tmp_path / "again" / STORE, "full")) as store, closing(store.reader()) as reader:
        (lobby,) = store.load()
        records = reader.page(LOBBY, after=0, limit=1_000_000, max_bytes=1 << 40).records
    assert before <= lobby.head - 1 <= after + 1
    assert [record.seq for record in records] == list(range(1, lobby.head + 1))
    assert (records[-1].time, records[-1].hash) == (lobby.time, lobby.hash)
    report = verify_store(tmp_path / "again" / STORE)
    assert report.flaw is None
    assert [(room.head, room.hash) for room in report.rooms] == [(lobby.head, lobby.hash)]


def test_the_store_in_a_backup_can_be_seen_without_a_home(home: Path, file: Path, tmp_path: Path) -> None:
    backup(home, file)
    with unpacked_store(file) as store:
        assert mode(store.parent) == 0o700
        assert list(store.parent.iterdir()) == [store]
        assert store.read_bytes() == entries(file)[STORE]
    assert not store.parent.exists()


def test_a_home_that_is_not_empty_is_left_alone(home: Path, file: Path, tmp_path: Path) -> None:
    backup(home, file)
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "notes").write_text("mine")
    with pytest.raises(AlreadyExists) as refused:
        restore(file, taken)
    assert refused.value.exit_code == 7
    assert [path.name for path in taken.iterdir()] == ["notes"]


def test_an_empty_home_is_filled_and_stays_empty_when_that_fails(home: Path, file: Path, tmp_path: Path) -> None:
    backup(home, file)
    empty = tmp_path / "empty"
    empty.mkdir()
    spoilt = file.with_name("spoilt.tar")
    spoilt.write_bytes(file.read_bytes()[:20_000])
    with pytest.raises(BackupError):
        restore(spoilt, empty)
    assert list(empty.iterdir()) == []
    restore(file, empty)
    assert (empty / STORE).exists()


def test_a_home_that_cannot_be_made_is_named(home: Path, file: Path, tmp_path: Path) -> None:
    backup(home, file)
    (tmp_path / "plain").write_text("")
    with pytest.raises(BackupError, match="plain cannot be read or written"):
        restore(file, tmp_path / "plain")


def test_a_file_that_is_not_there_or_cannot_be_read_is_named(file: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="monday"):
        restore(file, tmp_path / "again")
    with pytest.raises(BackupError, match="backups cannot be read or written: Is a directory"):
        restore(file.parent, tmp_path / "again")


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        (_entry("/etc/passwd"), "it holds '/etc/passwd'"),
        (_entry("../credentials"), "it holds '../credentials'"),
        (_entry("certs/../credentials"), "it holds 'certs/../credentials'"),
        (_entry("./credentials"), "it holds './credentials'"),
        (_entry("search.db"), "it holds 'search.db'"),
        (_entry("\x1b[2J"), r"it holds '\x1b[2J'"),
        (_entry("certs", tarfile.DIRTYPE), "it holds 'certs'"),
        (_entry("credentials", tarfile.SYMTYPE, linkname="/etc/passwd"), "its credentials is no plain file"),
        (_entry("credentials", tarfile.LNKTYPE, linkname=STORE), "its credentials is no plain file"),
        (_entry("credentials", tarfile.FIFOTYPE), "its credentials is no plain file"),
        (_entry("credentials", tarfile.CHRTYPE), "its credentials is no plain file"),
        (_entry("credentials", pax_headers={"GNU.sparse.map": "0,0", "GNU.sparse.size": "9"}), "is no plain file"),
        (_entry("credentials", size=1 << 40), "its credentials has 1099511627776 bytes"),
        (_entry(STORE, size=1 << 40), "its chat.db has 1099511627776 bytes"),
    ],
    ids=lambda value: None if isinstance(value, str) else ascii(value.name) + ascii(value.type),
)
def test_nothing_but_plain_files_with_known_names_comes_out(
    file: Path, tmp_path: Path, entry: tarfile.TarInfo, why: str
) -> None:
    forge(file, (entry, b""))
    assert why in refusal(file, tmp_path / "again")


def test_a_part_that_comes_twice_or_after_the_end_is_refused(file: Path, tmp_path: Path) -> None:
    forge(file, (STORE, b"one"), (STORE, b"other"))
    assert "it holds chat.db where nothing more should be" in refusal(file, tmp_path / "again")
    forge(file, (STORE, b"one"), (SUMS, b""), ("credentials", b""))
    assert "it holds credentials where nothing more should be" in refusal(file, tmp_path / "again")


def test_a_backup_without_a_store_or_without_its_end_is_refused(file: Path, tmp_path: Path) -> None:
    forge(file, ("credentials", b"all of them"))
    assert "its end or its store is missing" in refusal(file, tmp_path / "again")
    forge(file, (STORE, b"records"), sums=False)
    assert "its end or its store is missing" in refusal(file, tmp_path / "again")


def test_a_part_that_was_exchanged_is_found(file: Path, tmp_path: Path) -> None:
    forge(file, (STORE, b"records"), (SUMS, f"{hashlib.sha256(b'other').hexdigest()}  chat.db\n".encode()), sums=False)
    assert "its files are not those of its SHA256SUMS" in refusal(file, tmp_path / "again")


@pytest.mark.parametrize("data", [b"", b"hello\n", bytes(10_240), b"\x1f\x8b\x08\x00" + bytes(600)])
def test_what_is_no_archive_is_refused(file: Path, tmp_path: Path, data: bytes) -> None:
    file.write_bytes(data)
    assert "is no whole backup of securechat" in refusal(file, tmp_path / "again")


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@given(st.data())
def test_a_backup_that_was_cut_short_anywhere_is_refused(whole: bytes, folder: Path, data: Any) -> None:
    # What follows the last entry is padding: two blocks of zeros and more, which hold nothing.
    end = len(whole.rstrip(b"\0"))
    spoilt = folder / "spoilt.tar"
    spoilt.write_bytes(whole[: data.draw(st.integers(0, end - 1))])
    refusal(spoilt, folder / "again")


@given(st.data())
def test_one_flipped_bit_never_brings_back_anything_else(whole: bytes, folder: Path, data: Any) -> None:
    at = data.draw(st.integers(0, len(whole) - 1))
    spoilt = folder / "spoilt.tar"
    spoilt.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << data.draw(st.integers(0, 7))]) + whole[at + 1 :])
    with tempfile.TemporaryDirectory(dir=folder) as again:
        try:
            restore(spoilt, Path(again))
        except BackupError:
            assert list(Path(again).iterdir()) == []
        else:
            intact = folder / "intact.tar"
            intact.write_bytes(whole)
            for name, content in entries(intact).items():
                assert name == SUMS or (Path(again) / name).read_bytes() == content
