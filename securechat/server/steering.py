"""What a running server does about each request of a command. It knows neither sockets nor commands."""

from pathlib import Path
from typing import Protocol, assert_never

from msgspec import to_builtins
from msgspec.structs import replace

from securechat.accounts.changing import AccountChange
from securechat.chat.model import Change, Impose, Proposal, Revoke
from securechat.chat.names import flaw_in_text
from securechat.errors import Code, SecurechatError
from securechat.protocols import frames
from securechat.protocols.frames import Bye
from securechat.server import survey
from securechat.server.control import (
    OPERATOR,
    SECONDS,
    Answer,
    Broadcast,
    ChangeAccount,
    Connections,
    Drain,
    Propose,
    Reload,
    Request,
    Status,
    described,
    submit,
)
from securechat.server.reloading import Reloading
from securechat.server.services import Services


class Steered(Protocol):
    """What is asked of the server itself."""

    address: str
    since: float
    pace: survey.Pace

    @property
    def is_draining(self) -> bool: ...
    def drain(self, seconds: float) -> None: ...
    def answers(self, seconds: float) -> bool: ...


class Steering:
    """Acts on requests, on the thread of the local socket."""

    def __init__(self, server: Steered, home: Path, services: Services, reloading: Reloading) -> None:
        self._server = server
        self._home = home
        self._services = services
        self._reloading = reloading

    def act(self, request: Request, uid: int | None) -> Answer:
        """Do it; `uid` is the user who asks. Raises SecurechatError."""
        source = "control.sock" if uid is None else f"user {uid}"
        match request:
            case Propose():
                answer = submit(self._services.journal, request.proposal)
                self._follow(request.proposal, answer, source)
                return answer
            case ChangeAccount():
                return self._change_account(request.change, source)
            case Status():
                return Answer(value=self._status())
            case Connections():
                return Answer(value=to_builtins(survey.connections(self._services.reactors)))
            case Reload():
                changes = self._reloading.reload(source)
                return Answer(unchanged=not changes, value=changes)
            case Broadcast():
                return self._broadcast(request.text, source)
            case Drain():
                self._server.drain(request.seconds)
                self._services.trail.note("drain", OPERATOR, f"{request.seconds:g} seconds", source)
                return Answer()
            case _:
                assert_never(request)

    def _change_account(self, change: AccountChange, source: str) -> Answer:
        services, act = self._services, f"user {change.act}"
        try:
            ended = services.authenticator.roll.make(change)
        except SecurechatError as error:
            services.trail.note(act, OPERATOR, change.name, source, error.message)
            raise
        services.trail.note(act, OPERATOR, change.name, source)
        services.end_sessions(ended)
        revoked = [submit(services.journal, Revoke(name)) for name in ended]
        if not self._server.answers(SECONDS / 2):  # a reactor that answers has ended the sessions before
            return Answer(Code.INTERNAL, "It is done, and a thread of the server is stuck: sessions may still be open.")
        for answer in revoked:
            if answer.code:
                return replace(answer, message=f"It is done, but tokens are still in force: {answer.message}")
        return Answer()

    def _broadcast(self, text: str, source: str) -> Answer:
        services = self._services
        flaw = flaw_in_text(text, services.config.limits.text_bytes)
        if flaw:
            return Answer(Code.BAD_TEXT, flaw)
        for reactor in services.reactors:
            reactor.tell_all(frames.Broadcast(text=text))
        services.trail.note("broadcast", OPERATOR, source=source)
        return Answer(value=sum(bool(state.account) for state in survey.connections(services.reactors)))

    def _follow(self, proposal: Proposal | Change, answer: Answer, source: str) -> None:
        """Note it, and end the sessions of a banned account: those too that came in without a token, on a full disk."""
        act, what = described(proposal)
        self._services.trail.note(
            act, OPERATOR, what, source, answer.code or ("unchanged" if answer.unchanged else "ok")
        )
        if isinstance(proposal, Impose) and proposal.kind == "ban" and not (proposal.room or answer.code):
            bye = Bye(code=Code.BANNED, message="This account was banned.")
            for reactor in self._services.reactors:
                reactor.end_sessions((proposal.account,), bye)

    def _status(self) -> dict[str, object]:
        server = self._server
        return survey.status(
            self._services, self._home, server.address, server.since, server.pace, draining=server.is_draining
        )
