"""The one Typer app and the last word on every failure: one line on stderr and an exit code, never a traceback
for what was to be expected. It knows no command's logic, and imports nothing heavy: `--help` must be quick.
"""

import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from securechat import __version__
from securechat.errors import SecurechatError

INTERRUPTED = 130
"""The shell's exit code for Ctrl-C: 128 and SIGINT's number."""


class Group(TyperGroup):
    """A command group whose expected failures are a sentence and an exit code."""

    def main(self, args: Sequence[str] | None = None, *rest: Any, **options: Any) -> Any:
        try:
            return super().main(args, *rest, **options)
        except SecurechatError as error:
            typer.echo(f"securechat: {error}", err=True)
            sys.exit(error.exit_code)
        except BrokenPipeError:
            # Whoever read our output has left; keep Python from complaining about it again at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(1)

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            sys.exit(INTERRUPTED)


app = typer.Typer(
    name="securechat",
    cls=Group,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _show_version(is_asked: bool) -> None:
    if is_asked:
        typer.echo(f"securechat {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_show_version, help="Print the version and exit.")
    ] = False,
) -> None:
    """A private chat server, its terminal client and its admin commands."""


def main() -> None:
    """Run the command named in argv and exit."""
    from securechat.cli import commands  # noqa: F401 - registers the commands with the app

    app()
