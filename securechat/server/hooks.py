"""Webhooks: `POST /hook/TOKEN` says something in the hook's room, and is answered after the commit.

It knows hooks, accounts and the journal, and nothing of HTTP but a request and its answer. A token is in no log.
"""

import logging
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Final

import msgspec

from securechat.accounts.authentication import Authenticator
from securechat.accounts.hooks import HookFile, find_hook
from securechat.accounts.tokens import hash_token
from securechat.chat.accounts import Hook
from securechat.chat.chain import SALT_BYTES
from securechat.chat.model import Outcome, Proposal, Recorded, Rejected
from securechat.errors import Code, SecurechatError
from securechat.files import Stamp
from securechat.journal.journal import Journal, Submission
from securechat.limits import HOOK_BURST, HOOK_SECONDS, Limits
from securechat.server.control import Waiting
from securechat.server.http_listener import Request, Response, Route

JSON: Final = "application/json"

STATUS: Final[Mapping[Code, HTTPStatus]] = {
    Code.BAD_FRAME: HTTPStatus.BAD_REQUEST,
    Code.BAD_TEXT: HTTPStatus.BAD_REQUEST,
    Code.BAD_ID: HTTPStatus.BAD_REQUEST,
    Code.ID_REUSED: HTTPStatus.CONFLICT,
    Code.NO_SUCH_ROOM: HTTPStatus.FORBIDDEN,
    Code.NOT_MEMBER: HTTPStatus.FORBIDDEN,
    Code.FORBIDDEN: HTTPStatus.FORBIDDEN,
    Code.THROTTLED: HTTPStatus.TOO_MANY_REQUESTS,
    Code.TOO_MANY_REQUESTS: HTTPStatus.SERVICE_UNAVAILABLE,
    Code.STORAGE: HTTPStatus.INSUFFICIENT_STORAGE,
}
"""What a refusal is in HTTP; any other is the server's fault."""

log = logging.getLogger(__name__)


class Said(msgspec.Struct):
    """A body of JSON; what else is in it is ignored, for services send more."""

    text: str
    id: str = ""


_bodies: Final = msgspec.json.Decoder(Said)


class FollowedHooks:
    """The webhooks of a server that stands alone: its file, followed as it changes. Usable from every thread."""

    def __init__(self, file: HookFile) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._stamp: Stamp | None = None
        self._hooks: Mapping[str, Hook] = {}

    def current(self) -> Mapping[str, Hook]:
        """Every hook by name, as the file has them; those before, where it cannot be read."""
        with self._lock:
            now = self._file.stamp()
            if now != self._stamp:
                self._stamp = now
                try:
                    self._hooks = self._file.load()
                except SecurechatError as error:
                    log.warning("the webhooks stay as they were: %s", error)
            return self._hooks


class Hooks:
    """The webhooks of a running server. Its methods are called from several threads."""

    def __init__(
        self,
        current: Callable[[], Mapping[str, Hook]],
        authenticator: Authenticator,
        journal: Journal,
        limits: Limits,
    ) -> None:
        """`current` gives every hook by name: another mapping whenever one has changed."""
        self._source = current
        self._authenticator = authenticator
        self._journal = journal
        self._limits = limits
        self._lock = threading.Lock()
        self._hooks: Mapping[str, Hook] = {}
        self._spent: dict[str, tuple[float, float]] = {}
        """By name: how much of its burst a hook had used up, and when that was."""

    def routes(self) -> list[Route]:
        """What the HTTP listener answers."""
        return [Route("POST", "/hook/*", self._answer, body_bytes=self._limits.line_bytes)]

    def _answer(self, request: Request) -> Response:
        hook = find_hook(self._current(), hash_token(request.rest))
        account = self._authenticator.accounts.get(hook.name) if hook else None
        if hook is None or account is None or account.state != "hook":
            return Response(HTTPStatus.NOT_FOUND, '{"code":"no-such-hook","message":"There is no such hook."}\n', JSON)
        if not self._may_go_on(hook.name):
            return _refusal(Code.THROTTLED, f"One message every {HOOK_SECONDS:g} seconds is the pace; try again later.")
        said = _read(request)
        if isinstance(said, str):
            return _refusal(Code.BAD_FRAME, said)
        id = said.id or f"hook-{secrets.token_hex(16)}"
        salt = secrets.token_bytes(SALT_BYTES)
        waiting = Waiting()
        proposal = Proposal("say", hook.name, hook.room, id=id, text=said.text, salt=salt)
        if not self._journal.submit([Submission(proposal, waiting)]):
            return _refusal(Code.TOO_MANY_REQUESTS, "The server takes nothing now; try again.")
        try:
            return _outcome(waiting.wait())
        except SecurechatError as error:
            return _refusal(Code.INTERNAL, f"{error.message} It may be stored: send it again with the same id.")

    def _current(self) -> Mapping[str, Hook]:
        """The hooks of today; what those that are gone had used up is forgotten."""
        hooks = self._source()
        with self._lock:
            if hooks is not self._hooks:
                self._hooks = hooks
                self._spent = {name: spent for name, spent in self._spent.items() if name in hooks}
        return hooks

    def _may_go_on(self, name: str) -> bool:
        """Count one message of this hook, if its pace allows one."""
        now = time.monotonic()
        with self._lock:
            used, then = self._spent.get(name, (0.0, now))
            used = max(0.0, used - (now - then) / HOOK_SECONDS)
            is_allowed = used + 1 <= HOOK_BURST
            self._spent[name] = (used + 1 if is_allowed else used, now)
            return is_allowed


def _read(request: Request) -> Said | str:
    """What is to be said, or why it cannot be read."""
    try:
        if request.content_type.partition(";")[0].strip().lower() == JSON:
            return _bodies.decode(request.body)
        return Said(request.body.decode("utf-8").replace("\r\n", "\n").rstrip("\n"))
    except UnicodeDecodeError:
        return "The body is not UTF-8."
    except (msgspec.MsgspecError, RecursionError):
        return 'The body is not JSON of the form {"text": "…", "id": "…"}, id left out at will.'


def _outcome(outcome: Outcome) -> Response:
    if isinstance(outcome, Rejected):
        return _refusal(outcome.code, outcome.message)
    assert isinstance(outcome, Recorded)
    record = outcome.record
    return _json(
        HTTPStatus.OK,
        {"room": record.room, "seq": record.seq, "time": record.time, "id": record.id, "duplicate": outcome.duplicate},
    )


def _refusal(code: Code, message: str) -> Response:
    return _json(STATUS.get(code, HTTPStatus.INTERNAL_SERVER_ERROR), {"code": code, "message": message})


def _json(status: HTTPStatus, value: object) -> Response:
    return Response(status, msgspec.json.encode(value).decode() + "\n", JSON)
