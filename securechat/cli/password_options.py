"""Where a command gets a password from: a terminal, stdin, a file, chance. Never from argv, which everybody can see.
It must not know what the password is for.
"""

import getpass
import stat
import sys
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from securechat.errors import NotFound, SecurechatError, UsageError, WeakPassword

PasswordStdin = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from stdin: the first line of it.")
]
PasswordFile = Annotated[
    Path | None,
    typer.Option("--password-file", metavar="FILE", help="Read the password from a file: the first line of it."),
]
Generate = Annotated[bool, typer.Option("--generate", help="Make a password and show it once.")]

# More than any password may have, so that one which is too long is seen to be, and still a limit.
_LINE_BYTES = 4096
_TRIES = 3


class NewPassword(NamedTuple):
    """A password that may be used; `generated` says that nobody knows it yet and that it has to be shown."""

    text: str
    generated: bool


def new_password(username: str, from_stdin: bool, from_file: Path | None, generated: bool) -> NewPassword:
    """Get a new password from the one place that was named, or else ask for it twice on the terminal.

    Raises WeakPassword, and UsageError where several places were named, or none and there is no terminal.
    """
    from securechat.accounts.passwords import check_new, generate

    if generated and (from_stdin or from_file):
        raise _several()
    text = read_password(from_stdin, from_file)
    if text is None and not generated:
        if not on_terminal():
            raise UsageError(
                "There is no terminal to ask for a password.",
                hint="Give one of --password-stdin, --password-file FILE and --generate.",
            )
        text = _ask_twice(username)
    if text is None:
        return NewPassword(generate(), generated=True)
    check_new(text, username)
    return NewPassword(text, generated=False)


def read_password(from_stdin: bool, from_file: Path | None) -> str | None:
    """Read a password from where it was said to be, or None when nothing was said.

    Raises UsageError if both were named, or if there is no password there; NotFound for a file that is not there.
    """
    if from_stdin and from_file:
        raise _several()
    if from_file:
        return _first_line(_line_of(from_file), str(from_file))
    if from_stdin:
        return _first_line(sys.stdin.buffer.readline(_LINE_BYTES) if sys.stdin else b"", "stdin")
    return None


def on_terminal() -> bool:
    """Whether there is somebody who can be asked."""
    return sys.stdin is not None and sys.stdin.isatty()


def ask(prompt: str) -> str:
    """Ask for a password on the terminal, without showing it. Raises UsageError at the end of input."""
    try:
        return getpass.getpass(prompt)
    except EOFError:
        typer.echo(err=True)
        raise UsageError("No password was given.") from None
    except UnicodeDecodeError:
        raise UsageError("What was typed is not UTF-8.", hint="Look at the terminal's encoding.") from None


def _ask_twice(username: str) -> str | None:
    """The answer, good and given twice alike, or None for an empty one."""
    from securechat.accounts.passwords import check_new

    for _ in range(_TRIES):
        answer = ask(f"Password for {username} (empty: one is made for you): ")
        if not answer:
            return None
        try:
            check_new(answer, username)
        except WeakPassword as error:
            typer.echo(str(error), err=True)
            continue
        if ask("The same again: ") == answer:
            return answer
        typer.echo("The two are not the same.", err=True)
    raise UsageError(f"No usable password was given in {_TRIES} tries.")


def _line_of(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            status = path.stat()
            if stat.S_ISREG(status.st_mode) and status.st_mode & 0o077:
                typer.echo(f"Warning: {path} is open to other users of this machine: chmod go= {path}", err=True)
            return file.readline(_LINE_BYTES)
    except FileNotFoundError:
        raise NotFound(f"The password file {path} does not exist.") from None
    except OSError as error:
        raise SecurechatError(f"The password file {path} cannot be read: {error.strerror}.") from None


def _first_line(line: bytes, source: str) -> str:
    line = line.removesuffix(b"\n").removesuffix(b"\r")
    if not line:
        raise UsageError(f"The first line of {source} is empty; a password was to be there.")
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        raise UsageError(f"The first line of {source} is not UTF-8.") from None


def _several() -> UsageError:
    return UsageError("A password comes from one place.", hint="Give only one of the options that name one.")
