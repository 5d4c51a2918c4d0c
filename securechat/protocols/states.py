"""How far a session has come, and which request is heard in which state, as a table.

It knows requests, and nothing of bytes, sessions or accounts.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Final

from securechat.errors import Code, ProtocolError
from securechat.protocols.frames import Authority, Login, Logout, Ping, Pong, Redeem, Request, Resume
from securechat.protocols.native import REQUESTS


class State(Enum):
    """How far a session has come; the value is its name in the documentation."""

    GREETED = "before login"
    CHECKING = "while a login is checked"
    IN = "logged in"


ALLOWED: Final[Mapping[State, frozenset[type[Request]]]] = {
    State.GREETED: frozenset({Login, Resume, Authority, Redeem, Logout, Ping, Pong}),
    # Nothing is judged here: a session keeps what comes until the login is decided, and then hears it or drops it.
    State.CHECKING: frozenset(),
    State.IN: frozenset(REQUESTS.values()) - {Login, Resume, Redeem},
}
"""Which requests are heard in which state."""


def refusal(state: State, request: Request) -> ProtocolError | None:
    """Say why this request is not heard in this state, or None where it is heard.

    A session has no reason to ask while it is CHECKING; if it does, everything is refused: this door fails shut.
    """
    if type(request) in ALLOWED[state]:
        return None
    if state is State.IN:
        return ProtocolError(Code.ALREADY_LOGGED_IN, "This connection is logged in already.", ref=request.ref)
    return ProtocolError(Code.NOT_LOGGED_IN, "Log in first.", ref=request.ref)


def render_table() -> str:
    """The states and what is heard in them, as a table in Markdown with a row for each request."""
    rows = [["request", *(state.value for state in State)], ["---"] * (1 + len(State))]
    rows += [[f"`{name}`", *(_cell(state, kind) for state in State)] for name, kind in REQUESTS.items()]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _cell(state: State, kind: type[Request]) -> str:
    if state is State.CHECKING:
        return "waits"
    if kind in ALLOWED[state]:
        return "heard"
    return f"`{Code.ALREADY_LOGGED_IN if state is State.IN else Code.NOT_LOGGED_IN}`"
