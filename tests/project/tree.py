"""Where this project lies and what it consists of, for the tests of its own promises."""

import os
import tomllib
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]
"""The folder that was cloned."""


def pyproject() -> dict[str, Any]:
    """What pyproject.toml says."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def python_files(*folders: str) -> list[Path]:
    """Every Python file below these folders of the project."""
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def environment(**changes: str) -> dict[str, str]:
    """This environment without what a surrounding make or a person's own server says, and with `changes`."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("MAKE", "SECURECHAT_")) and name not in ("MFLAGS", "PYTHON")
    }
    return {**kept, **changes}
