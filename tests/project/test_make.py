"""`make`: its help, its first run, and what it says where Python is missing or too old."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.project.tree import ROOT, environment

TARGETS = [
    "help",
    "install",
    "run",
    "test",
    "faults",
    "soak",
    "bench",
    "cluster",
    "pictures",
    "check",
    "fuzz",
    "man",
    "pages",
    "lock",
    "clean",
]

OLD_PYTHON = f"""#!/bin/sh
# A Python that believes to be an old one.
exec {sys.executable} -c 'import sys; sys.version_info = (3, 10, 13, "final", 0); exec(sys.argv[1])' "$2"
"""


def make(*words: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", *words], cwd=folder, env=environment(), capture_output=True, text=True, check=False, timeout=50
    )


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A folder with what make needs to begin an installation."""
    for name in ("Makefile", "pyproject.toml", "requirements.lock", "requirements-dev.lock"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def test_make_alone_lists_every_target_with_a_line_of_help() -> None:
    listed = make()
    assert re.findall(r"^  make (\w+) +\S.*$", listed.stdout, re.MULTILINE) == TARGETS
    assert make("help").stdout == listed.stdout


@pytest.mark.parametrize(
    "target", ["install", "run", "test", "faults", "soak", "bench", "pictures", "check", "fuzz", "pages", "lock"]
)
def test_an_old_python_is_refused_in_one_line(clone: Path, target: str) -> None:
    old = clone / "python-old"
    old.write_text(OLD_PYTHON)
    old.chmod(0o755)
    done = make(target, f"PYTHON={old}", folder=clone)
    assert done.returncode != 0
    assert len(done.stderr.splitlines()) == 1
    assert f"needs Python 3.11 or newer, and {old} is 3.10.13" in done.stderr
    assert not (clone / ".venv").exists()


def test_a_missing_python_is_told_in_one_line(clone: Path) -> None:
    done = make("install", "PYTHON=python-of-nowhere", folder=clone)
    assert done.returncode != 0
    assert len(done.stderr.splitlines()) == 1
    assert "There is no python-of-nowhere that runs" in done.stderr


def test_clean_leaves_what_a_server_wrote(clone: Path) -> None:
    written = [clone / "credentials", clone / "chat.db", clone / "securechat.toml", clone / "certs" / "ca.key"]
    made = [clone / ".venv" / "pyvenv.cfg", clone / ".coverage", clone / "tests" / "__pycache__" / "x.pyc"]
    for folder in ("securechat", "bench"):
        (clone / folder).mkdir()
    for path in (*written, *made):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    done = make("clean", folder=clone)
    assert done.returncode == 0, done.stderr
    assert [path for path in written if not path.exists()] == []
    assert [path for path in made if path.exists()] == []


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@contextmanager
def running(home: Path, log: Path) -> Iterator[subprocess.Popen[str]]:
    """`make run`, in the environment that runs the tests instead of one that it would have to make."""
    with (
        log.open("w") as file,
        subprocess.Popen(
            ["make", "run", "INSTALLED=", f"BIN={Path(sys.executable).parent}"],
            cwd=ROOT,
            env=environment(SECURECHAT_HOME=str(home), SECURECHAT_PORT="0", SECURECHAT_ADMIN="root"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=file,
            text=True,
            start_new_session=True,
        ) as process,
    ):
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def said_until_it_listens(process: subprocess.Popen[str], log: Path) -> str:
    """What came on stdout up to the server's own line, and on stderr; what never comes is ended by the test's limit."""
    assert process.stdout
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("securechat is listening on "):
            return "".join(lines) + log.read_text("utf-8")
    raise AssertionError(f"make run ended early: {''.join(lines)}{log.read_text('utf-8')}")


def test_the_first_run_makes_certificates_and_an_admin_and_the_next_only_serves(home: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with running(home, log) as process:
        first = said_until_it_listens(process, log)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to make and to what it runs
        process.wait()
        assert "stopped" in log.read_text("utf-8")
    made = {path: path.read_bytes() for path in [home / "credentials", *home.glob("certs/*")]}
    assert {"ca.pem", "ca.key", "server.pem", "server.key"} <= {path.name for path in made}
    assert "\nroot:admin:active:" in made[home / "credentials"].decode()
    assert first.count("password of root") == 1

    with running(home, log) as process:
        second = said_until_it_listens(process, log)
        process.terminate()  # make alone hears it, and must pass it on
        process.wait()
        assert "stopped" in log.read_text("utf-8")
    assert second.startswith("securechat is listening on 127.0.0.1:")
    assert "password" not in second
    assert {path: path.read_bytes() for path in made} == made
