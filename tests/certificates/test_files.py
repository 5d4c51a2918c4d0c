"""Files that matter are replaced whole, under a lock, and are closed to others from the first byte."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from securechat.errors import CredentialError
from securechat.files import locked, refuse_if_others_can_read, replace_file

DEADLINE = 20.0


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def permissions(path: Path) -> int:
    return path.stat().st_mode & 0o7777


def test_a_file_is_made_and_then_replaced_with_nothing_left_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "credentials"
    replace_file(path, b"old", 0o600)
    replace_file(path, b"new", 0o600)
    assert path.read_bytes() == b"new"
    assert [entry.name for entry in tmp_path.iterdir()] == ["credentials"]


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077, 0o777])
@pytest.mark.parametrize("mode", [0o400, 0o600, 0o644])
def test_the_mode_is_the_one_asked_for_under_any_umask(tmp_path: Path, mask: int, mode: int) -> None:
    path = tmp_path / "ca.key"
    with umask(mask):
        replace_file(path, b"secret", mode)
    assert permissions(path) == mode


def test_a_secret_is_closed_to_others_before_its_first_byte_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, int]] = []
    make, change = os.open, os.fchmod

    def look(descriptor: int) -> None:
        status = os.fstat(descriptor)
        seen.append((status.st_mode & 0o777, status.st_size))

    def opened(path: Any, flags: int, mode: int = 0o777, **rest: Any) -> int:
        descriptor = make(path, flags, mode, **rest)
        if flags & os.O_CREAT:
            look(descriptor)
        return descriptor

    def changed(descriptor: int, mode: int) -> None:
        change(descriptor, mode)
        look(descriptor)

    monkeypatch.setattr(os, "open", opened)
    monkeypatch.setattr(os, "fchmod", changed)
    with umask(0):
        replace_file(tmp_path / "credentials", b"secret", 0o600)
    assert seen == [(0o600, 0), (0o600, 0)]


STEPS = ("open", "fchmod", "fsync", "replace", "fsync of the folder")


@pytest.mark.parametrize("step", STEPS)
def test_a_step_that_fails_leaves_the_old_file_or_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    path = tmp_path / "credentials"
    replace_file(path, b"old", 0o600)
    fail_at(step, monkeypatch)
    with pytest.raises(OSError, match="injected"):
        replace_file(path, b"new", 0o600)
    monkeypatch.undo()
    assert path.read_bytes() == (b"new" if step == "fsync of the folder" else b"old")
    assert [entry.name for entry in tmp_path.iterdir()] == ["credentials"]


def fail_at(step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name = step.split(" ", maxsplit=1)[0]
    real = getattr(os, name)
    calls = 0
    wanted = 2 if step == "fsync of the folder" else 1

    def failing(*args: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == wanted:
            raise OSError(5, "injected")
        return real(*args, **options)

    monkeypatch.setattr(os, name, failing)


def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "credentials"
    replace_file(path, b"old", 0o600)
    program = (
        "import resource, signal, sys, pathlib\n"
        "from securechat.files import replace_file\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "limits = resource.getrlimit(resource.RLIMIT_FSIZE)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))\n"
        "try: replace_file(pathlib.Path(sys.argv[1]), b'n' * 8192, 0o600)\n"
        "except OSError: sys.exit(9)\n"
        "finally: resource.setrlimit(resource.RLIMIT_FSIZE, limits)\n"
    )
    ended = subprocess.run([sys.executable, "-c", program, str(path)], timeout=DEADLINE, check=False)
    assert ended.returncode == 9
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["credentials"]


@pytest.mark.parametrize("step", STEPS)
def test_a_writer_killed_at_a_step_leaves_the_old_file_or_the_new_one_and_the_next_writer_clears_up(
    tmp_path: Path, step: str
) -> None:
    path = tmp_path / "credentials"
    replace_file(path, b"old", 0o600)
    program = (
        "import os, signal, sys, pathlib\n"
        "from securechat.files import replace_file\n"
        "name, wanted = sys.argv[2], int(sys.argv[3])\n"
        "real, calls = getattr(os, name), [0]\n"
        "def dying(*args, **options):\n"
        "    calls[0] += 1\n"
        "    if calls[0] == wanted: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return real(*args, **options)\n"
        "setattr(os, name, dying)\n"
        "replace_file(pathlib.Path(sys.argv[1]), b'new', 0o600)\n"
    )
    name = step.split(" ", maxsplit=1)[0]
    nth = "2" if step == "fsync of the folder" else "1"
    ended = subprocess.run([sys.executable, "-c", program, str(path), name, nth], timeout=DEADLINE, check=False)
    assert ended.returncode == -signal.SIGKILL
    assert path.read_bytes() == (b"new" if step == "fsync of the folder" else b"old")

    replace_file(path, b"next", 0o600)
    assert [entry.name for entry in tmp_path.iterdir()] == ["credentials"]


def test_the_file_and_then_its_folder_are_on_disk_when_it_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    sync, rename = os.fsync, os.replace

    def synced(descriptor: int) -> None:
        order.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()).partition(".new-")[0])
        sync(descriptor)

    def renamed(*args: Any, **options: Any) -> None:
        order.append("rename")
        rename(*args, **options)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", renamed)
    replace_file(tmp_path / "credentials", b"data", 0o600)
    assert order == [str(tmp_path / "credentials"), "rename", str(tmp_path)]


def test_a_name_with_pattern_characters_clears_up_only_its_own_leftovers(tmp_path: Path) -> None:
    other = tmp_path / "a.new-12345678"
    other.write_bytes(b"another's")
    replace_file(tmp_path / "[a]*", b"data", 0o600)
    assert other.exists()


def test_a_second_writer_waits_until_the_lock_is_free(tmp_path: Path) -> None:
    path = tmp_path / "credentials"
    order: list[str] = []
    started, done = threading.Event(), threading.Event()

    def second() -> None:
        started.set()
        with locked(path):
            order.append("second")
        done.set()

    thread = threading.Thread(target=second)
    with locked(path):
        thread.start()
        assert started.wait(DEADLINE)
        # What is not excluded would get in here.
        assert not done.wait(0.05)
        order.append("first")
    assert done.wait(DEADLINE)
    thread.join(DEADLINE)
    assert order == ["first", "second"]


def test_writers_in_several_processes_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "count"
    replace_file(path, b"0", 0o600)
    program = (
        "import sys, pathlib\n"
        "from securechat.files import locked, replace_file\n"
        "path = pathlib.Path(sys.argv[1])\n"
        "for _ in range(20):\n"
        "    with locked(path):\n"
        "        replace_file(path, str(int(path.read_bytes()) + 1).encode(), 0o600)\n"
    )
    writers = [subprocess.Popen([sys.executable, "-c", program, str(path)]) for _ in range(3)]
    assert [writer.wait(DEADLINE) for writer in writers] == [0, 0, 0]
    assert path.read_bytes() == b"60"


def test_the_lock_is_free_again_after_an_error(tmp_path: Path) -> None:
    path = tmp_path / "credentials"
    with pytest.raises(ZeroDivisionError), locked(path):
        raise ZeroDivisionError
    with locked(path):
        assert permissions(tmp_path / "credentials.lock") == 0o600


def test_a_file_of_our_own_that_only_we_can_read_is_accepted(tmp_path: Path) -> None:
    path = tmp_path / "server.key"
    replace_file(path, b"secret", 0o600)
    refuse_if_others_can_read(path, CredentialError)
    assert (path.read_bytes(), permissions(path)) == (b"secret", 0o600), "looking at it changes nothing"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o644])
def test_a_file_that_others_can_read_or_change_is_refused_with_the_way_to_close_it(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "server.key"
    replace_file(path, b"secret", mode)
    with pytest.raises(CredentialError) as caught:
        refuse_if_others_can_read(path, CredentialError)
    assert caught.value.message == f"{path} is open to other users (mode 0{mode:o})."
    assert caught.value.hint == f"Close it: chmod go= {path}"


def test_a_file_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "server.key"
    replace_file(path, b"secret", 0o600)
    me = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: me + 1)
    with pytest.raises(CredentialError, match=f"belongs to another user \\(id {me}\\)"):
        refuse_if_others_can_read(path, CredentialError)
