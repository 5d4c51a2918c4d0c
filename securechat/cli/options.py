"""The options that several commands share, each defined once, and the words that go with them. It knows no command."""

import os
import re
import shlex
from pathlib import Path
from typing import Annotated

import typer

from securechat.errors import UsageError

HOME_VARIABLE = "SECURECHAT_HOME"

Home = Annotated[
    Path,
    typer.Option(
        "--home",
        envvar=HOME_VARIABLE,
        file_okay=False,
        metavar="DIR",
        help="The folder where one server keeps everything.",
    ),
]
"""Written `home: Home = Path()`: the current folder when neither the option nor the variable is given."""

Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]
"""Written `as_json: Json = False`."""


_UNITS = {"m": 60, "h": 3_600, "d": 86_400}


def seconds(typed: str, most_days: int) -> int:
    """What `30m`, `12h` or `7d` is in seconds. Raises UsageError for anything else, and for more than `most_days`."""
    match = re.fullmatch(r"([1-9][0-9]{0,5})([mhd])", typed)
    found = int(match[1]) * _UNITS[match[2]] if match else 0
    if not 0 < found <= most_days * _UNITS["d"]:
        raise UsageError(f"{typed!a} is no time.", hint=f"Type a number and m, h or d, up to {most_days}d.")
    return found


def command_line(command: str, home: Path) -> str:
    """The command as a person would type it here: `--home` is added where it had to be given."""
    if home == Path() or os.environ.get(HOME_VARIABLE) == str(home):
        return command
    return f"{command} --home {shlex.quote(str(home))}"
