"""The service manager: it is told over a real datagram socket, and the unit file is what systemd takes."""

import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from securechat.errors import CertificateError
from securechat.files import refuse_if_others_can_read
from securechat.server.server import Server
from securechat.server.systemd import ServiceManager
from tests.project.tree import ROOT
from tests.server.support import DEADLINE

UNIT = ROOT / "packaging" / "securechat.service"


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, socket.socket]]:
    """A service manager's address and its socket."""
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as listening:
        listening.settimeout(DEADLINE)
        name = f"@securechat-{os.getpid()}" if request.param == "abstract" else str(tmp_path / "n")
        listening.bind(name.replace("@", "\0", 1))
        yield name, listening


def test_a_manager_hears_that_the_server_is_ready_lives_and_stops(
    server: Server, manager: tuple[str, socket.socket]
) -> None:
    address, listening = manager
    environ = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "30000", "WATCHDOG_PID": str(os.getpid())}
    watching = threading.Thread(target=ServiceManager(environ).watch, args=[server])
    watching.start()
    heard = [listening.recv(100) for _ in range(3)]
    server.ask_to_stop()
    while heard[-1] != b"STOPPING=1":
        heard.append(listening.recv(100))
    watching.join()
    assert heard == [b"READY=1", *[b"WATCHDOG=1"] * (len(heard) - 2), b"STOPPING=1"]


def test_a_server_whose_reactor_is_stuck_gives_no_sign_of_life(server: Server) -> None:
    assert server.answers(DEADLINE)
    stuck, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        stuck.set()
        go_on.wait(DEADLINE)

    server.services.reactors[-1].post(hold)
    assert stuck.wait(DEADLINE)
    assert not server.answers(0.05)
    go_on.set()
    assert server.answers(DEADLINE)


@pytest.mark.parametrize(
    ("environ", "interval"),
    [
        ({}, None),
        ({"NOTIFY_SOCKET": "/nowhere/there"}, None),
        ({"NOTIFY_SOCKET": "/nowhere/there", "WATCHDOG_USEC": "30000000"}, 10.0),
        ({"NOTIFY_SOCKET": "/nowhere/there", "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "30000000"}, None),
    ],
)
def test_who_is_not_asked_or_not_heard_goes_on(environ: dict[str, str], interval: float | None) -> None:
    manager = ServiceManager(environ)
    assert manager.interval == interval
    manager.tell("READY=1")


def test_a_credential_of_the_service_may_be_roots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    credential = tmp_path / "server.key"
    credential.touch()
    credential.chmod(0o440)
    with pytest.raises(CertificateError):
        refuse_if_others_can_read(credential, CertificateError)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    refuse_if_others_can_read(credential, CertificateError)
    (tmp_path / "below").mkdir()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "below"))
    with pytest.raises(CertificateError):
        refuse_if_others_can_read(credential, CertificateError)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze")
def test_systemd_takes_the_unit_and_finds_it_closed(tmp_path: Path) -> None:
    unit = tmp_path / UNIT.name
    command = Path(sys.executable).with_name("securechat")
    unit.write_text(UNIT.read_text().replace("/opt/securechat/bin/securechat", str(command)))

    def analyze(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["systemd-analyze", *words, unit], capture_output=True, text=True, check=False)

    verified = analyze("verify")
    assert (verified.returncode, verified.stdout, verified.stderr) == (0, "", "")
    # In tenths; 0 is closed to everything, 10 is not closed at all.
    closed = analyze("security", "--offline=yes", "--threshold=20", "--no-pager")
    assert closed.returncode == 0, closed.stdout
