"""`securechat doctor`: a sound server has nothing wrong, and each thing that is wrong is found with its fix."""

import contextlib
import json
import resource
import shutil
import socket
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
import trustme

from securechat import doctor
from securechat.certificates import CertificateFolder, generate
from securechat.certificates.authority import open_authority
from securechat.certificates.revocations import write_revocations
from securechat.doctor import Finding, examine, versions
from securechat.journal.migration import keep_copy
from securechat.journal.store import Store
from tests.cli.calling import call
from tests.server.support import authority, make_home, running_server, write_accounts


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return make_home(tmp_path / "home")


def wrong(findings: list[Finding]) -> list[tuple[str, str, str]]:
    """What is wrong, and what is warned of, but for the Python that runs the tests."""
    return [(one.about, one.message, one.fix) for one in findings if one.level != "ok" and one.about != "versions"]


def test_a_sound_server_is_found_sound_and_let_in_by_its_front_door(home: Path) -> None:
    with running_server(home) as server:
        before = {path: path.stat().st_mtime_ns for path in home.rglob("*") if not path.name.endswith("-shm")}
        found = examine(home, {}, {"port": server.port})
        assert wrong(found) == []
        assert Finding("ok", "reach", "A client that asks for localhost gets in.") in found
        assert Finding("ok", "port", "A server runs on this home.") in found
        assert {path: path.stat().st_mtime_ns for path in before} == before, "it changes nothing"

        done = call("doctor", "--json", "--home", str(home), "--port", str(server.port))
        said = json.loads(done.out)
        assert {one["about"] for one in said["findings"]} == {one.about for one in found}
        assert said["ok"] is (done.code == 0) is not any(one["level"] == "wrong" for one in said["findings"])

        other = trustme.CA().issue_cert("localhost")
        (home / "certs" / "server.pem").write_bytes(other.cert_chain_pems[0].bytes())
        other.private_key_pem.write_to_path(str(home / "certs" / "server.key"))
        server.services.certificate.reload()
        found = examine(home, {}, {"port": server.port})
        assert "is not from the CA in" in wrong(found)[0][1]
        assert wrong(found)[-1][1] == "No name of the certificate leads to this server."
    assert examine(home, {}, {"port": 0})[-1].message == "Not tried: no server runs."


def open_credentials(home: Path) -> None:
    (home / "credentials").chmod(0o640)


def open_home(home: Path) -> None:
    home.chmod(0o777)


def open_key(home: Path) -> None:
    (home / "certs" / "server.key").chmod(0o644)


def misspell(home: Path) -> None:
    (home / "securechat.toml").write_text("prot = 1\n")


def demote_all(home: Path) -> None:
    write_accounts(home, "alice bob")


def break_accounts(home: Path) -> None:
    (home / "credentials").write_text("alice\n")


def damage_store(home: Path) -> None:
    (home / "chat.db").write_bytes(b"no database" * 1_000)
    (home / "chat.db").chmod(0o600)


def lose_certificate(home: Path) -> None:
    (home / "certs" / "server.pem").unlink()


def near_the_end(home: Path) -> None:
    leaf = authority().issue_cert("localhost", not_after=datetime.now(UTC) + timedelta(days=3, hours=1))
    (home / "certs" / "server.pem").write_bytes(leaf.cert_chain_pems[0].bytes())
    leaf.private_key_pem.write_to_path(str(home / "certs" / "server.key"))


def list_near_the_end(home: Path) -> None:
    folder = CertificateFolder(home / "certs")
    (home / "certs" / "ca.pem").unlink()
    generate(folder, force=True)
    made = open_authority(folder, datetime.now(UTC), None)
    write_revocations(folder, made, {}, 1, datetime.now(UTC) - timedelta(days=84))
    (home / "securechat.toml").write_text('client_certificates = "optional"\nport = 0\n')


def listen_wide(home: Path) -> None:
    (home / "securechat.toml").write_text('host = ""\nport = 0\n')


def upgrade(home: Path) -> None:
    Store(home / "chat.db", "normal").close()
    keep_copy(home / "chat.db", 1)


def write_in_the_future(home: Path) -> None:
    with contextlib.closing(Store(home / "chat.db", "normal")) as store:
        store.connection.execute("UPDATE rooms SET time = ?", (int(time.time() + 10_000) * 1_000,))


@pytest.mark.parametrize(
    ("break_it", "about", "message", "fix"),
    [
        (open_credentials, "files", "credentials is open to other users (mode 0640).", "chmod go="),
        (open_home, "files", "is open to other users (mode 0777).", "chmod go-w"),
        (open_key, "files", "server.key is open to other users (mode 0644).", "chmod go="),
        (misspell, "settings", "unknown key: prot", "Did you mean port?"),
        (demote_all, "accounts", "There is no active admin.", "securechat adduser NAME --admin"),
        (break_accounts, "accounts", "line 1", "nothing was loaded"),
        (damage_store, "store", "is no chat database", "Restore it from a backup"),
        (lose_certificate, "files", "server.pem does not exist.", "securechat gen-certs"),
        (near_the_end, "certificate", ", in 3 days.", "securechat gen-certs"),
        (list_near_the_end, "certificate", "crl.pem expires on ", "securechat cert renew"),
        (listen_wide, "certificate", "for this one only", "securechat gen-certs --host NAME"),
        (upgrade, "store", "chat.db.format-1 is the store before an upgrade", "rm "),
        (write_in_the_future, "clock", "the clock is wrong, or was", "timedatectl set-ntp true"),
    ],
)
def test_what_is_wrong_is_found_with_its_fix(
    home: Path, break_it: Callable[[Path], None], about: str, message: str, fix: str
) -> None:
    sound = wrong(examine(home, {}, {"port": 0}))
    assert sound == []
    break_it(home)
    found = [one for one in wrong(examine(home, {}, {} if break_it is listen_wide else {"port": 0})) if one[0] == about]
    assert [one for one in found if message in one[1] and fix in one[2]], found


def test_a_port_that_another_program_has_is_found_and_ends_with_1(home: Path) -> None:
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as other:
        done = call("doctor", "--home", str(home), "--port", str(other.getsockname()[1]))
    assert done.code == 1
    assert "WRONG   port         Cannot listen on 127.0.0.1" in done.out
    assert "\n                     -> Stop it, or choose another port with --port.\n" in done.out
    assert call("doctor", "--home", str(home / "nowhere")).out.count("WRONG   home ") == 1


def test_a_small_machine_is_found(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=doctor.FULL_BYTES - 1))
    monkeypatch.setattr(resource, "getrlimit", lambda which: (1_024, 4_096))
    levels = {one.about: one.level for one in examine(home, {}, {"port": 0})}
    assert (levels["disk"], levels["limits"]) == ("wrong", "warning")


def test_what_cannot_be_looked_at_is_a_finding_and_the_rest_goes_on(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(shutil, "disk_usage", refuse)
    found = examine(home, {}, {"port": 0})
    assert [message for about, message, _ in wrong(found)] == [f"{home} cannot be looked at: Permission denied."]
    assert found[-1].about == "reach"


@pytest.mark.parametrize(
    ("python", "level"),
    [
        ((3, 11, 4), "wrong"),
        ((3, 11, 8), "warning"),
        ((3, 11, 9), "ok"),
        ((3, 12, 2), "warning"),
        ((3, 12, 3), "ok"),
        ((3, 13, 5), "ok"),
        ((3, 13, 6), "wrong"),
        ((3, 13, 7), "ok"),
        ((3, 14, 0), "ok"),
    ],
)
def test_a_python_that_is_trouble_is_told_of(python: tuple[int, int, int], level: str) -> None:
    (found,) = versions(python)
    assert (found.level, bool(found.fix)) == (level, level != "ok")
