"""Requests about the account itself: where it is logged in, ending such a login, another password."""

import logging
from functools import partial
from typing import TYPE_CHECKING

from securechat.accounts.authentication import Authenticator
from securechat.accounts.tokens import fingerprint
from securechat.chat.model import Forget, Outcome, Rejected, Revoke
from securechat.chat.names import shown_room
from securechat.errors import Code, SecurechatError, WeakPassword
from securechat.protocols import frames
from securechat.server.control import submit

if TYPE_CHECKING:
    from securechat.server.requests import Requests
    from securechat.server.services import Services

log = logging.getLogger(__name__)

SESSION_LENGTH = 16
"""Characters of a session's name: the beginning of its token's hash, which opens nothing."""


def session_name(token_hash: bytes) -> str:
    """What a login is called in front of people."""
    return token_hash.hex()[:SESSION_LENGTH]


def sessions(asked: "Requests", request: frames.Sessions) -> None:
    """The logins of the account whose tokens are in force."""
    presence = asked.services.presence
    asked.session.tell(
        frames.SessionList(
            ref=request.ref,
            sessions=tuple(
                frames.SessionState(
                    session=session_name(token_hash),
                    device=token.device,
                    created=token.created,
                    online=presence.has_session(asked.username, token_hash),
                    current=token_hash == asked.session.token_hash,
                )
                for token_hash, token in asked.services.tokens_of(asked.username)
            ),
        )
    )


def consumers(asked: "Requests", request: frames.Consumers) -> None:
    """The cursors of the account's consumers."""
    tell_consumers(asked, request.ref)


def forget(asked: "Requests", request: frames.Forget) -> None:
    """Keep no cursor of this consumer any more."""
    asked.submit(Forget(asked.username, request.consumer), request.ref)


def tell_consumers(asked: "Requests", ref: str | None) -> None:
    """Answer with the cursors that are kept."""
    places = (
        (place.partition("/"), seq) for place, seq in asked.services.view.marks_of.get(asked.username, {}).items()
    )
    cursors = [
        frames.CursorState(consumer, shown_room(room, asked.username), seq)
        for (room, _, consumer), seq in places
        if consumer
    ]
    cursors.sort(key=lambda one: (one.consumer, one.room))
    asked.session.tell(frames.ConsumerList(ref=ref, cursors=tuple(cursors)))


def revoke(asked: "Requests", request: frames.Revoke) -> None:
    """End a login, wherever it is."""
    for token_hash, _ in asked.services.tokens_of(asked.username):
        if session_name(token_hash) == request.session:
            asked.submit(Revoke(asked.username, token_hash), request.ref)
            return
    asked.session.refuse(request.ref, Code.NO_SUCH_SESSION, "Your account has no such session.")


def password(asked: "Requests", request: frames.Password) -> None:
    """Give the account another password; its other logins end."""
    services, username, here = asked.services, asked.username, asked.session

    def work(authenticator: Authenticator) -> bool:
        # All of it on the worker's thread: whoever asked may be gone by then, and the others must end all the same.
        if not authenticator.change_password(username, request.old, request.new, here.token_hash):
            services.trail.note("password", username, "", here.connection.address, Code.BAD_CREDENTIALS)
            return False
        services.trail.note("password", username, "", here.connection.address)
        services.end_sessions((username,), keep=here)
        _end_other_tokens(services, username, here.token_hash)
        return True

    def done(result: bool | Exception) -> None:
        if isinstance(result, WeakPassword):
            here.refuse(request.ref, Code.WEAK_PASSWORD, str(result))
        elif isinstance(result, SecurechatError):
            here.refuse(request.ref, Code.STORAGE, "The server could not write its accounts.")
        elif isinstance(result, Exception):
            raise result
        elif not result:
            here.entry.count_failure(request.ref, "The old password is wrong.")
        else:
            here.tell(frames.PasswordChanged(ref=request.ref))

    asked.have_done(partial(services.hashing.submit, work), done, request)


def _end_other_tokens(services: "Services", username: str, kept: bytes) -> None:
    account = services.authenticator.accounts.get(username)
    mark = fingerprint(account.password) if account else b""
    try:
        refused = submit(services.journal, Revoke(username, kept=kept, fingerprint=mark)).message
    except SecurechatError as error:
        refused = str(error)
    if refused:
        log.error("other tokens of %s are still stored, and open nothing: %s", username, refused)


def revoked(asked: "Requests", change: Revoke, ref: str | None, outcome: Outcome) -> None:
    """A login was to be ended, and is, or cannot be."""
    result = outcome.code if isinstance(outcome, Rejected) else "ok"
    ended = session_name(change.token_hash or b"")
    asked.services.trail.note("revoke", asked.username, ended, asked.session.connection.address, result)
    if isinstance(outcome, Rejected):
        asked.session.refuse(ref, outcome.code, outcome.message)
    else:
        asked.session.tell(frames.Revoked(ref=ref))
