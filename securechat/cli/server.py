"""`securechat server …`: look at a running server and steer it, through its local socket. It decides nothing."""

import json
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from securechat.cli.app import Group, app
from securechat.cli.options import Home, Json, command_line

if TYPE_CHECKING:
    from securechat.server.control import Answer, Request

server_app = typer.Typer(cls=Group, no_args_is_help=True, rich_markup_mode=None, help="Steer a running server.")
app.add_typer(server_app, name="server")

_BEHIND_SHOWN = 5

FOLLOW_SECONDS = 0.25
"""Between two looks for more, for whoever follows."""


@server_app.command("status")
def status(as_json: Json = False, home: Home = Path()) -> None:
    """Show how the server is doing."""
    from securechat.server.control import Status

    facts = asked(home, Status()).value
    typer.echo(json.dumps(facts) if as_json else "\n".join(_lines(facts)))


@server_app.command("connections")
def connections(as_json: Json = False, home: Home = Path()) -> None:
    """List the connections: who, from where, and how far behind."""
    from securechat.server.control import Connections

    rows = sorted(asked(home, Connections()).value, key=lambda row: (row["account"], row["address"]))
    if as_json:
        typer.echo(json.dumps(rows))
        return
    for row in rows:
        who = row["account"] or "(not in)"
        since = f"{row['seconds']:.0f} s"
        typer.echo(f"{who:<20} {row['session']:<16} {row['address']:<24} {since:>9} {row['behind']:>8} behind")


@server_app.command("reload")
def reload(home: Home = Path()) -> None:
    """Have the server read settings, accounts and certificate anew.

    What cannot be used changes nothing.
    """
    from securechat.server.control import Reload

    changes = asked(home, Reload()).value
    typer.echo("\n".join(changes) if changes else "Nothing is new.", err=True)


@server_app.command("drain")
def drain(
    within: Annotated[float, typer.Option(help="Seconds until those who have not left are told goodbye.", min=0)] = 30,
    home: Home = Path(),
) -> None:
    """Have the server stop when the last connection has left."""
    from securechat.server.control import Drain

    asked(home, Drain(within))
    typer.echo(f"The server takes no new connections, and stops within {within:g} seconds.", err=True)


@server_app.command("audit")
def audit(
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as more is written, until Ctrl-C.")] = False,
    as_json: Json = False,
    home: Home = Path(),
) -> None:
    """Print the audit log: when, from where, who did what."""
    from securechat.audit import FILE, rows

    for row in rows(home / FILE, partial(time.sleep, FOLLOW_SECONDS) if follow else None):
        typer.echo(row.decode().rstrip() if as_json else _act(json.loads(row)))


def _act(row: dict[str, str]) -> str:
    from securechat.client.text import line

    when = row["time"].replace("T", " ")[:19]
    who, source = row["who"] or "-", row["source"] or "-"
    return line(f"{when}  {source:<22} {who:<16} {row['act']:<12} {row['what']}  {row['result']}")


def asked(home: Path, request: "Request") -> "Answer":
    """What the server of this home answers. Raises Unreachable when none runs, SecurechatError for a refusal."""
    from securechat.errors import Unreachable
    from securechat.server.control import ask

    answer = ask(home, request)
    if answer is None:
        raise Unreachable("No server runs on this home.", hint=f"Start it: {command_line('securechat serve', home)}")
    if answer.code:
        raise answer.error()
    return answer


def _lines(facts: dict[str, Any]) -> list[str]:
    days = facts["certificate_seconds_left"] / 86_400
    mean, slow = (facts[key] * 1_000 for key in ("commit_mean", "commit_slowest_1_percent"))
    commits = f"{mean:.1f} ms each, 99 in 100 up to {slow:g} ms"
    waiting = (f"{name.replace('_', ' ')} {count}" for name, count in facts["waiting"].items())
    rows = {
        "server": f"{facts['version']} on {facts['address']}{', draining' if facts['draining'] else ''}",
        "uptime": f"{facts['uptime']:.0f} s",
        "sessions": f"{facts['sessions']} of {facts['accounts_online']} accounts; {facts['strangers']} not logged in",
        "rooms": facts["rooms"],
        "messages": f"{facts['messages_a_second']:g} a second, {facts['messages']} since the start",
        "commits": f"{facts['commits']}, {commits}",
        "waiting": ", ".join(waiting),
        "behind": _late(facts["behind"]),
        "certificate": f"{days:.0f} days left, until {facts['certificate_expires'][:10]}",
        "disk": f"{facts['disk_free'] / 2**30:.1f} GiB left{', but full for us' if facts['disk_full'] else ''}",
    }
    return [f"{name:<12} {value}" for name, value in rows.items()]


def _late(behind: list[dict[str, Any]]) -> str:
    if not behind:
        return "nobody"
    named = ", ".join(f"{row['account']} by {row['records']}" for row in behind[:_BEHIND_SHOWN])
    more = len(behind) - _BEHIND_SHOWN
    return named + (f" and {more} more" if more > 0 else "")
