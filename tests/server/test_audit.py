"""The audit log: what is in it, what is not, and that a line which is changed or taken out is found."""

import errno
import itertools
import json
import stat
import threading
from pathlib import Path
from typing import Any

import pytest

from securechat import audit
from securechat.errors import AuditBroken
from securechat.server import trail
from securechat.server.trail import Trail
from tests.cli.calling import Done, call
from tests.server.support import DEADLINE, PASSWORD, Peer, peer, running_server


def command(home: Path, *words: str) -> Done:
    return call(*words, "--home", str(home))


def rows(home: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (home / audit.FILE).read_text().splitlines()]


def test_who_did_what_is_written_whether_a_server_runs_or_not(home: Path) -> None:
    command(home, "mute", "bob")
    with running_server(home) as server, Peer(server.port) as stranger, peer(server, "alice", room="lobby") as alice:
        stranger.receive()
        stranger.send({"type": "login", "username": "bob", "password": "wrong canary"})
        stranger.receive()
        stranger.send({"type": "login", "username": "a text canary", "password": "wrong canary"})
        stranger.receive()
        stranger.send({"type": "redeem", "username": "frank", "secret": "canary", "password": "a canary in a mine"})
        stranger.receive()
        alice.say("a canary", id="one")
        alice.send({"type": "password", "old": "wrong canary", "new": "a canary in a mine"})
        alice.expect("error")
        alice.send({"type": "create", "room": "den"})
        for asked in ("ban", "unban", "kick"):
            alice.send({"type": asked, "room": "den", "username": "carol"})
            alice.expect("ack")
        alice.send({"type": "ban", "room": "lobby", "username": "bob", "seconds": 60})
        alice.expect("error")
        command(home, "ban", "carol", "--for", "7d")
        command(home, "server", "reload")
        command(home, "room", "create", "ops", "--owner", "alice")
    command(home, "user", "disable", "bob")
    found = rows(home)
    acts = [(row["act"], row["who"], row["what"], row["result"]) for row in found]
    session = next(row["what"] for row in found if row["result"] == "ok" and row["act"] == "login")
    assert acts == [
        ("mute", "@operator", "bob", "ok"),
        ("login", "alice", session, "ok"),
        ("login", "bob", "", "bad-credentials"),
        ("login", "", "", "bad-credentials"),
        ("redeem", "frank", "", "bad-invitation"),
        ("password", "alice", "", "bad-credentials"),
        ("room ban", "alice", "den carol", "ok"),
        ("room unban", "alice", "den carol", "ok"),
        ("room kick", "alice", "den carol", "unchanged"),
        ("room ban", "alice", "lobby bob for 60 s", "forbidden"),
        ("ban", "@operator", "carol for 604800 s", "ok"),
        ("reload", "@operator", "", "ok"),
        ("room create", "@operator", "ops", "ok"),
        ("user disable", "@operator", "bob", "ok"),
    ]
    assert found[1]["source"].startswith("127.0.0.1:")
    assert found[0]["source"].startswith("user ")
    text = (home / audit.FILE).read_text()
    assert "canary" not in text
    assert PASSWORD not in text
    assert stat.S_IMODE((home / audit.FILE).stat().st_mode) == 0o600
    verified = command(home, "verify", "--audit")
    assert (verified.code, verified.out) == (0, f"{found[-1]['hash']}  audit.log\n")
    facts = {"lines": 14, "hash": found[-1]["hash"], "first": 1, "end_known": True}
    assert json.loads(command(home, "verify", "--audit", "--json").out) == facts
    shown = command(home, "server", "audit").out.splitlines()
    assert len(shown) == 14
    assert "@operator" in shown[0]
    assert command(home, "server", "audit", "--json").out == text


def test_a_line_that_is_changed_or_taken_out_is_found(tmp_path: Path) -> None:
    path = tmp_path / audit.FILE
    for number in range(4):
        audit.append(path, [audit.entry("login", f"account{number}")])
    assert audit.verify(path).head.lines == 4
    good = path.read_bytes()
    lines = good.splitlines(keepends=True)
    for number, bad in (
        (2, good.replace(b"account1", b"account9")),
        (1, good.replace(b"account0", b"account9")),
        (3, b"".join((lines[0], lines[1], lines[3]))),
        (1, b"".join(lines[1:])),
        (2, b"".join((lines[0], lines[2], lines[1], lines[3]))),
        (5, good + b"no line\n"),
        (4, good[:-5]),
    ):
        path.write_bytes(bad)
        with pytest.raises(AuditBroken, match=f"Line {number} "):
            audit.verify(path)
    # What a crash left of a line goes with the next; that it was there before is known, and stays known.
    audit.append(path, [audit.entry("login", "after")])
    with pytest.raises(AuditBroken, match="Line 4 "):
        audit.verify(path)


def test_lines_that_are_cut_off_the_end_are_missed_and_stay_missed(tmp_path: Path) -> None:
    path = tmp_path / audit.FILE
    audit.append(path, [audit.entry("login", f"account{number}") for number in range(4)])
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:2]))
    with pytest.raises(AuditBroken, match="2 lines are missing at the end"):
        audit.verify(path)
    audit.append(path, [audit.entry("login", "after")])
    with pytest.raises(AuditBroken, match="Line 3 "):
        audit.verify(path)
    # A whole file that is gone is told: it may have been moved.
    path.unlink()
    audit.append(path, [audit.entry("login", "after")])
    found = audit.verify(path)
    assert (found.first, found.head.lines) == (6, 7)
    # Where the head is gone, too, the end is what is there; who writes next notes it.
    path.with_name(audit.HEAD).unlink()
    assert not audit.verify(path).is_end_known
    audit.append(path, [audit.entry("login", "after")])
    assert audit.verify(path) == (6, audit.verify(path).head, True)
    assert audit.verify(path).head.lines == 8
    path.with_name(audit.HEAD).write_bytes(b'{"lines":8,"hash":"' + b"1" * 64 + b'"}')
    with pytest.raises(AuditBroken, match=r"Line 3 of .*audit\.head"):
        audit.verify(path)


def test_a_writer_that_is_killed_before_it_notes_the_head_takes_no_line_for_a_wrong_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / audit.FILE

    def killed(*_: object) -> None:
        raise OSError(errno.EIO, "killed")

    for before in ("first", "second"):  # into a new file, and into one that is there
        with monkeypatch.context() as patch, pytest.raises(OSError, match="killed"):
            patch.setattr(audit, "replace_file", killed)
            audit.append(path, [audit.entry("login", before), audit.entry("login", before)])
        audit.append(path, [audit.entry("login", "after")])
    assert audit.verify(path).head.lines == 6


def test_a_file_that_has_grown_large_is_put_aside_and_the_chain_goes_on(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "AUDIT_FILE_BYTES", 600)
    path = home / audit.FILE
    audit.append(path, [audit.entry("login", "account0")])
    come = iter(range(1, 12))

    def more() -> None:
        for number in itertools.islice(come, 9):  # more than one file of them
            audit.append(path, [audit.entry("login", f"account{number}")])

    heard: list[str] = []
    for row in audit.rows(path, more):
        heard.append(json.loads(row)["who"])
        if heard[-1] == "account11":
            break
    names = [one.name for one in audit.files_of(path)]
    assert names == [*(f"{audit.FILE}.{number}" for number in range(1, len(names))), audit.FILE]
    assert len(names) > 3
    assert [who for who in heard if who] == [f"account{number}" for number in range(12)]
    whole = command(home, "server", "audit", "--json").out.splitlines()
    assert [row for row in whole if '"continued"' not in row] == [row for row in whole if '"account' in row]
    assert audit.verify(path).head.lines == len(whole)
    # What was put aside is whole, or it is told: also where the first of them was moved elsewhere.
    middle = path.with_name(f"{audit.FILE}.2")
    data = middle.read_bytes()
    middle.unlink()
    assert "is not what was written, or one before it is gone" in command(home, "verify", "--audit").err
    middle.write_bytes(data)
    path.with_name(f"{audit.FILE}.1").unlink()
    told = command(home, "verify", "--audit")
    assert (told.code, "The lines before" in told.err) == (0, True)


def test_a_backup_holds_the_log_and_its_head_and_a_restored_one_goes_on(home: Path, tmp_path: Path) -> None:
    command(home, "mute", "bob")
    assert command(home, "backup", str(tmp_path / "whole.tar")).code == 0
    other = tmp_path / "other"
    assert call("restore", str(tmp_path / "whole.tar"), "--home", str(other)).code == 0
    command(other, "unmute", "bob")
    assert [row["act"] for row in rows(other)] == ["mute", "unmute"]
    assert audit.verify(other / audit.FILE) == (1, audit.verify(other / audit.FILE).head, True)


def test_without_a_file_it_is_said(home: Path) -> None:
    assert command(home, "server", "audit").code == 6
    assert command(home, "verify", "--audit").code == 6


def test_what_is_too_much_at_once_is_lost_and_counted_and_nobody_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trail, "AUDIT_ENTRIES", 2)
    noting = Trail(tmp_path)
    for number in range(5):
        noting.note("login", f"account{number}")
    noting.start()
    noting.stop()
    assert [(row["act"], row["what"]) for row in rows(tmp_path)] == [
        ("login", ""),
        ("login", ""),
        ("lost", "3 entries"),
    ]


def test_a_disk_that_is_full_is_told_and_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    failed, append = threading.Event(), audit.append

    def full(*_: object) -> None:
        failed.set()
        raise OSError(errno.ENOSPC, "No space left on device")

    noting = Trail(tmp_path)
    monkeypatch.setattr(audit, "append", full)
    noting.start()
    noting.note("login", "alice")
    assert failed.wait(DEADLINE)
    monkeypatch.setattr(audit, "append", append)
    noting.note("login", "bob")
    noting.stop()
    assert "1 lines of the audit log are lost: No space left" in caplog.text
    assert [row["who"] for row in rows(tmp_path)] == ["bob"]
