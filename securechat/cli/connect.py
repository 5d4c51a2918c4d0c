"""`securechat connect`: talk on a terminal, or from a script."""

import signal
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from securechat.cli.app import app
from securechat.cli.options import Home
from securechat.cli.password_options import PasswordFile, PasswordStdin, read_password
from securechat.cli.reaching import (
    Authority,
    ClientCertificate,
    ClientKey,
    ProfileName,
    Server,
    ignored_by,
    key_pair,
    nobody_to_ask,
    reach,
    with_outbox,
)
from securechat.errors import UsageError

Lines = Iterator[tuple[int, bytes | None]]
"""Numbered lines, as `client.lines` reads them."""


@app.command()
def connect(
    server: Server = None,
    profile: ProfileName = None,
    ca: Authority = None,
    cert: ClientCertificate = None,
    key: ClientKey = None,
    room: Annotated[
        list[str] | None,
        typer.Option(metavar="ROOM", help="Join this room (default lobby); again for more.", show_default=False),
    ] = None,
    password_stdin: PasswordStdin = False,
    password_file: PasswordFile = None,
    plain: Annotated[
        bool,
        typer.Option("--plain", help="Talk in lines, for screen readers and simple terminals, not on a full screen."),
    ] = False,
    jsonl: Annotated[bool, typer.Option("--jsonl", help="Print what is heard as JSON, one event a line.")] = False,
    retry_seconds: Annotated[
        float,
        typer.Option(metavar="SECONDS", min=0.0, help="Of a script: try so long to come back after a lost connection."),
    ] = 60.0,
    home: Home = Path(),
) -> None:
    """Talk on a terminal, or from a script.

    On a terminal, /help lists keys and commands. It takes the full screen, unless --plain or TERM=dumb is given. What
    is not stored yet is kept in the outbox, and sent the next time.

    To a script, a line in is said in the first room, and a line out was heard: `[ROOM] SENDER: TEXT`, one line of
    UTF-8 for each message of others, or with --jsonl the JSON frame of each event. At the end of the input it waits
    for the last acknowledgement. A lost connection is tried again, and nothing is said twice. It exits with 0 when
    everything is stored, with 4 when something was refused (a client certificate, too), with 3 when the connection was
    lost for good before, with 5 when the server is not proven to be the right one.
    """
    from securechat.chat.names import LOBBY
    from securechat.client.lines import read_lines
    from securechat.client.timeouts import Timeouts

    rooms = list(dict.fromkeys(room or [LOBBY]))
    is_script = jsonl or not (sys.stdin.isatty() and sys.stdout.isatty())
    if not is_script:
        signal.signal(signal.SIGTERM, _terminated)
    lines = read_lines(sys.stdin.fileno())
    # A person sees that the connection is lost, and leaves when that is enough.
    timeouts = Timeouts(outage=retry_seconds) if is_script else Timeouts()
    come_in = partial(
        reach,
        server,
        profile,
        ca,
        shown=key_pair(cert, key),
        home=home,
        password=_password(is_script, lines if password_stdin else None, password_file),
        timeouts=timeouts,
    )
    if is_script:
        from securechat.client.pipe import Pipe

        with come_in(ask=nobody_to_ask) as client:
            Pipe(client, rooms, lines, as_json=jsonl).run()
        return
    from securechat.client.conversation import converse

    client, warning = with_outbox(come_in)
    with client:
        converse(client, rooms, ignored_by(client), plain=plain, warning=warning)


def _password(is_script: bool, lines: Lines | None, file: Path | None) -> str | None:
    """The password that an option names."""
    if lines is None:
        return read_password(False, file)
    if file is not None or not is_script:
        raise UsageError("--password-stdin is for scripts, and alone.", hint="On a terminal the password is asked for.")
    try:
        _, first = next(lines, (0, None))
        password = first.decode("utf-8") if first else ""
    except UnicodeDecodeError:
        raise UsageError("The first line of stdin, the password, is not UTF-8.") from None
    if not password:
        raise UsageError("The first line of stdin is to be the password, and is empty.")
    return password


def _terminated(*_: object) -> NoReturn:
    # An exception, so that the terminal gets its modes back on the way out.
    raise SystemExit(128 + signal.SIGTERM)
