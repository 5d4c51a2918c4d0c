"""The options that several commands share, each defined once, and the words that go with them. It knows no command."""

import os
import shlex
from pathlib import Path
from typing import Annotated

import typer

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

Lasting = Annotated[
    str | None, typer.Option("--for", metavar="TIME", help="For how long: 30m, 12h, 7d.", show_default="until lifted")
]
"""Written `lasting: Lasting = None`."""

NOT_YET = "No server runs on this home: it is proposed to the cluster when this node starts again."
"""What is said of a change of accounts or webhooks that is in a node's file and not in force yet."""


def command_line(command: str, home: Path) -> str:
    """The command as a person would type it here: `--home` is added where it had to be given."""
    if home == Path() or os.environ.get(HOME_VARIABLE) == str(home):
        return command
    return f"{command} --home {shlex.quote(str(home))}"
