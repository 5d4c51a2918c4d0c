"""`securechat serve`: run the server on the files of one home."""

import os
import signal
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from securechat.cli.app import app
from securechat.cli.options import Home


class LogFormat(StrEnum):
    """How log lines look on stderr."""

    text = "text"
    json = "json"


@app.command()
def serve(
    host: Annotated[
        str | None, typer.Option(help="The address to listen on (default 127.0.0.1); '' for all.", show_default=False)
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(help="The port (default 7443); 0 for a free one.", show_default=False, min=0, max=65535),
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Look at everything a start needs, say so, and exit.")] = False,
    log_format: Annotated[
        LogFormat | None, typer.Option(help="Log lines for people or for machines (default: by the terminal).")
    ] = None,
    home: Home = Path(),
) -> None:
    """Run the chat server."""
    from securechat.config import Config, load_config
    from securechat.server import server as server_module
    from securechat.server.logs import Log
    from securechat.server.process import prepare
    from securechat.server.systemd import ServiceManager

    def read() -> Config:
        return load_config(home, os.environ, flags)

    flags = {"host": host, "port": port, "log_format": log_format.value if log_format else None}
    config = read()
    if check:
        wait = server_module.check(home, config)
        typer.echo(wait or "Everything that a start needs is in order.", err=True)
        return
    prepare()
    server = server_module.Server(home, config, read)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: server.ask_to_stop())
    signal.signal(signal.SIGHUP, lambda *_: server.ask_to_reload())
    with Log(config.log_format):
        server.start()
        typer.echo(f"securechat is listening on {server.address}")
        ServiceManager(os.environ).watch(server)
        server.stop()
