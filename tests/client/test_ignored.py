"""Whom one ignores is kept on disk, for each account, and for all clients of it."""

import stat
from pathlib import Path

import pytest

from securechat.client.ignored import MOST, Ignored
from securechat.errors import SecurechatError, UsageError


def test_who_is_ignored_is_kept_for_one_account_and_for_all_its_clients(tmp_path: Path) -> None:
    folder = tmp_path / "state" / "ignored"
    one, other = (Ignored(folder, "alice@[::1]:7443") for _ in range(2))
    assert one.turn("eve")
    assert other.turn("bob")
    (path,) = folder.glob("*7443")
    assert path.read_text() == "bob\neve\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert not one.turn("eve")
    assert "bob" in one, "it reads what the other has written when it writes"
    assert list(Ignored(folder, "alice@[::1]:7443")) == ["bob"]
    assert not Ignored(folder, "bob@[::1]:7443")


def test_what_is_no_name_is_not_taken_and_there_is_a_limit(tmp_path: Path) -> None:
    path = tmp_path / "alice@localhost%3A7443"
    path.write_text("".join(f"\x1b[2J{number}\neve{number}\n" for number in range(MOST)))
    ignored = Ignored(tmp_path, "alice@localhost:7443")
    assert len(ignored) == MOST
    for name in ("", "Eve", "eve\n", "\x1b"):
        with pytest.raises(UsageError, match="nobody's name"):
            ignored.turn(name)
    with pytest.raises(UsageError, match="are ignored already"):
        ignored.turn("bob")
    path.write_bytes(b"\xff")
    assert not Ignored(tmp_path, "alice@localhost:7443")


def test_what_cannot_be_kept_holds_until_the_end(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ignored = Ignored(tmp_path / "file", "alice@localhost:7443")
    with pytest.raises(SecurechatError, match=r"cannot be written .* It holds until you leave"):
        ignored.turn("eve")
    assert "eve" in ignored
    ignored = Ignored()
    assert ignored.turn("eve")
    assert not ignored.turn("eve")
