"""Which request is heard in which state: every frame and every state is one cell of one test."""

import pytest

from securechat.errors import Code
from securechat.protocols import frames as f
from securechat.protocols.native import REQUESTS, tag
from securechat.protocols.states import ALLOWED, State, refusal, render_table
from tests.protocols import examples

HEARD = None
LOGIN_FIRST = Code.NOT_LOGGED_IN
TWICE = Code.ALREADY_LOGGED_IN

# In CHECKING a session does not ask but waits; if it asked, nothing would be let through.
CELLS: dict[type[f.Request], dict[State, Code | None]] = {
    f.Login: {State.GREETED: HEARD, State.CHECKING: LOGIN_FIRST, State.IN: TWICE},
    f.Resume: {State.GREETED: HEARD, State.CHECKING: LOGIN_FIRST, State.IN: TWICE},
    f.Authority: {State.GREETED: HEARD, State.CHECKING: LOGIN_FIRST, State.IN: HEARD},
    f.Redeem: {State.GREETED: HEARD, State.CHECKING: LOGIN_FIRST, State.IN: TWICE},
    f.Logout: {State.GREETED: HEARD, State.CHECKING: LOGIN_FIRST, State.IN: HEARD},
    f.Ping: {State.GREETED: HEARD, State.CHECKING: LOGIN_FIRST, State.IN: HEARD},
    f.Pong: {State.GREETED: HEARD, State.CHECKING: LOGIN_FIRST, State.IN: HEARD},
    f.Create: {State.GREETED: LOGIN_FIRST, State.CHECKING: LOGIN_FIRST, State.IN: HEARD},
    f.Join: {State.GREETED: LOGIN_FIRST, State.CHECKING: LOGIN_FIRST, State.IN: HEARD},
    f.Leave: {State.GREETED: LOGIN_FIRST, State.CHECKING: LOGIN_FIRST, State.IN: HEARD},
    f.Topic: {State.GREETED: LOGIN_FIRST, State.CHECKING: LOGIN_FIRST, State.IN: HEARD},
    f.Invite: {State.GREETED: LOGIN_FIRST, State.CHECKING: LOGIN_FIRST, State.IN: HEARD},
    f.Kick: {State.GREETED: LOGIN_FIRST, State.CHECKING: LOGIN_FIRST, State.IN: HEARD},
    f.Ban: {State.GREETED: LOGIN_FIRST, State.CHECKING: LOGIN_FIRST, State.IN: HEARD},
    f.Unban: {State.GREETED: LOGIN_FIRST, State.CHECKING: LOGIN_FIRST, State.IN: HEARD},
    f.Rooms: {State.GREETED: LOGIN_FIRST, State.CHECKING: LOGIN_FIRST, State.IN: HEARD},
    f.Members: {State.GREETED: LOGIN_FIRST, State.CHECKING: LOGIN_FIRST, State.IN: HEARD},
    f.Say: {State.GREETED: LOGIN_FIRST, State.CHECKING: LOGIN_FIRST, State.IN: HEARD},
    f.Edit: {State.GREETED: LOGIN_FIRST, State.CHECKING: LOGIN_FIRST, State.IN: HEARD},
    f.Delete: {State.GREETED: LOGIN_FIRST, State.CHECKING: LOGIN_FIRST, State.IN: HEARD},
    f.Read: {State.GREETED: LOGIN_FIRST, State.CHECKING: LOGIN_FIRST, State.IN: HEARD},
    f.Consumers: {State.GREETED: LOGIN_FIRST, State.CHECKING: LOGIN_FIRST, State.IN: HEARD},
    f.Forget: {State.GREETED: LOGIN_FIRST, State.CHECKING: LOGIN_FIRST, State.IN: HEARD},
    f.History: {State.GREETED: LOGIN_FIRST, State.CHECKING: LOGIN_FIRST, State.IN: HEARD},
    f.Search: {State.GREETED: LOGIN_FIRST, State.CHECKING: LOGIN_FIRST, State.IN: HEARD},
    f.Subscribe: {State.GREETED: LOGIN_FIRST, State.CHECKING: LOGIN_FIRST, State.IN: HEARD},
    f.Sync: {State.GREETED: LOGIN_FIRST, State.CHECKING: LOGIN_FIRST, State.IN: HEARD},
    f.Sessions: {State.GREETED: LOGIN_FIRST, State.CHECKING: LOGIN_FIRST, State.IN: HEARD},
    f.Revoke: {State.GREETED: LOGIN_FIRST, State.CHECKING: LOGIN_FIRST, State.IN: HEARD},
    f.Password: {State.GREETED: LOGIN_FIRST, State.CHECKING: LOGIN_FIRST, State.IN: HEARD},
}


def test_every_frame_and_every_state_is_one_cell() -> None:
    assert set(CELLS) == set(REQUESTS.values())
    assert all(set(row) == set(State) for row in CELLS.values())
    assert set(ALLOWED) == set(State)


@pytest.mark.parametrize(
    ("kind", "state", "code"),
    [
        pytest.param(kind, state, code, id=f"{tag(kind)}-{state.name}")
        for kind, row in CELLS.items()
        for state, code in row.items()
    ],
)
def test_a_request_is_heard_or_refused_as_the_cell_says(kind: type[f.Request], state: State, code: Code | None) -> None:
    request = examples.REQUESTS[kind]
    error = refusal(state, request)
    assert (error and error.code) == code
    if error:
        assert error.ref == request.ref
        assert not error.fatal
        assert error.message


def test_the_table_can_be_printed() -> None:
    lines = render_table().splitlines()
    assert lines[:3] == [
        "| request | before login | while a login is checked | logged in |",
        "| --- | --- | --- | --- |",
        "| `login` | heard | waits | `already-logged-in` |",
    ]
    assert "| `ping` | heard | waits | heard |" in lines
    assert lines[-1] == "| `password` | `not-logged-in` | waits | heard |"
    assert len(lines) == 2 + len(REQUESTS)
