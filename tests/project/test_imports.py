"""The contracts about imports break when they should, and `--help` imports nothing heavy."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.project.tree import ROOT, environment, pyproject

HEAVY = {"rich", "pydantic", "ssl", "cryptography", "prompt_toolkit", "msgspec", "asyncio", "nats"}

# One offence for each contract, by the contract's name.
OFFENCES = {
    "Imports point down": ("config", "import securechat.server"),
    "What the person sees stands on the connection, never the other way": (
        "client/client",
        "import securechat.client.plain",
    ),
    "A client knows the frames and nothing of what is behind them": ("client/ids", "import securechat.accounts"),
    "Rules and frames are pure: no socket, thread, file or clock": ("chat/names", "import time"),
    "TLS is touched by the certificates and by whoever owns a socket": ("server/workers", "import ssl"),
    "SQLite is the store's": ("server/workers", "import sqlite3"),
    "NATS is the cluster's order's": ("journal/journal", "import nats"),
    "asyncio is the cluster's order's, and the screen's": ("server/workers", "import asyncio"),
    "Prometheus is the metrics'": ("server/workers", "import prometheus_client"),
    "The command line framework is the command line's": ("server/workers", "import typer"),
    "The terminal is driven from few places": ("client/plain", "import prompt_toolkit"),
    "The screen's model and rendering know no server and no clock": (
        "client/screen/rooms",
        "import time",
    ),
}


def lint_imports(folder: Path) -> str:
    """What the check of the contracts says of the package in this folder."""
    command = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [command, "--no-logo", "--no-cache"],
        cwd=folder,
        env=environment(PYTHONPATH=str(folder)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr
    return done.stdout


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The package and its contracts, to be broken."""
    shutil.copytree(ROOT / "securechat", tmp_path / "securechat", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_every_contract_breaks_when_a_file_breaks_it(copy: Path) -> None:
    for module, offence in OFFENCES.values():
        with (copy / "securechat" / f"{module}.py").open("a") as file:
            file.write(f"\n{offence}\n")
    said = lint_imports(copy)
    for contract in pyproject()["tool"]["importlinter"]["contracts"]:
        assert contract["name"] in OFFENCES, "a new contract needs an offence that shows it at work"
        assert f"{contract['name']} BROKEN" in said, said


def test_a_new_part_must_be_given_its_place_in_the_layers(copy: Path) -> None:
    (copy / "securechat" / "somewhere.py").write_text("")
    assert "Imports point down BROKEN" in lint_imports(copy)


def test_help_imports_nothing_heavy() -> None:
    code = """
import json, sys
from securechat.cli import main
sys.argv = ["securechat", "--help"]
try:
    main()
finally:
    print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""
    # Measuring coverage imports things of its own.
    quiet = {name: value for name, value in environment().items() if not name.startswith("COVERAGE")}
    done = subprocess.run([sys.executable, "-c", code], env=quiet, capture_output=True, text=True, check=True)
    assert "Usage: securechat" in done.stdout
    assert HEAVY.isdisjoint(json.loads(done.stderr))


def test_the_command_and_the_module_are_the_same() -> None:
    command = Path(sys.executable).with_name("securechat")
    said = [
        subprocess.run([*start, "--help"], env=environment(), capture_output=True, text=True, check=True).stdout
        for start in ([os.fspath(command)], [sys.executable, "-m", "securechat"])
    ]
    # The first line repeats the words by which it was called.
    assert said[0].partition("\n")[2] == said[1].partition("\n")[2]
