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

if TYPE_CHECKING:
    from securechat.server.requests import Requests

log = logging.getLogger(__name__)

SESSION_LENGTH = 16
"""Characters of a session's name: the beginning of its token's hash, which opens nothing."""


def session_name(token_hash: bytes) -> str:
    """What a login is called in front of people."""
    return token_hash.hex()[:SESSION_LENGTH]


def sessions(asked: "Requests", request: frames.Sessions) -> None:
    """The logins of the account whose tokens are in force."""
    here = asked.services.presence.tokens_of(asked.username)
    asked.session.tell(
        frames.SessionList(
            ref=request.ref,
            sessions=tuple(
                frames.SessionState(
                    session=session_name(token_hash),
                    device=token.device,
                    created=token.created,
                    online=token_hash in here,
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

    def work(authenticator: Authenticator) -> bool:
        return authenticator.change_password(asked.username, request.old, request.new)

    def done(result: bool | Exception) -> None:
        if isinstance(result, WeakPassword):
            asked.session.refuse(request.ref, Code.WEAK_PASSWORD, str(result))
        elif isinstance(result, SecurechatError):
            asked.session.refuse(request.ref, Code.STORAGE, "The server could not write its accounts.")
        elif isinstance(result, Exception):
            raise result
        elif not result:
            asked.session.entry.count_failure(request.ref, "The old password is wrong.")
        else:
            asked.services.end_sessions((asked.username,), keep=asked.session)
            # `changed` is told when the other tokens are in force no more.
            account = asked.services.authenticator.accounts.get(asked.username)
            mark = fingerprint(account.password) if account else b""
            asked.submit(Revoke(asked.username, kept=asked.session.token_hash, fingerprint=mark), request.ref)

    asked.have_done(partial(asked.services.hashing.submit, work), done, request)


def revoked(asked: "Requests", change: Revoke, ref: str | None, outcome: Outcome) -> None:
    """What was to be revoked is, or cannot be; where it followed another password, that one holds in any case."""
    if change.token_hash is None:
        if isinstance(outcome, Rejected):
            log.error("other tokens of %s are still in force: %s", asked.username, outcome.message)
        asked.session.tell(frames.PasswordChanged(ref=ref))
    elif isinstance(outcome, Rejected):
        asked.session.refuse(ref, outcome.code, outcome.message)
    else:
        asked.session.tell(frames.Revoked(ref=ref))
