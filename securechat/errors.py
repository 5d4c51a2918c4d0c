"""The error tree: what went wrong, who is told, and how.

Three kinds that must not be mixed:

- `SecurechatError` and below: for the person at this machine. One sentence (what, why), a hint (what to do)
  and the exit code of the command that it ends.
- `ProtocolError`: a peer sent bytes that are no frame, or a frame out of place. It is answered, and no person sees it.
- `Code`: the closed list of what a peer can be told in an `error` or `bye` frame (docs/protocol.md explains each).

This file knows nothing of sockets, files or frames.
"""

from enum import StrEnum
from typing import ClassVar


class Code(StrEnum):
    """Every code that an `error` or a `bye` frame can carry."""

    BAD_FRAME = "bad-frame"
    UNKNOWN_TYPE = "unknown-type"
    TOO_LONG = "too-long"
    TOO_SLOW = "too-slow"
    BAD_CREDENTIALS = "bad-credentials"
    BAD_INVITATION = "bad-invitation"
    THROTTLED = "throttled"
    NOT_LOGGED_IN = "not-logged-in"
    ALREADY_LOGGED_IN = "already-logged-in"
    NOT_MEMBER = "not-member"
    NO_SUCH_ROOM = "no-such-room"
    NO_SUCH_ACCOUNT = "no-such-account"
    NO_SUCH_RECORD = "no-such-record"
    NO_SUCH_SESSION = "no-such-session"
    ROOM_EXISTS = "room-exists"
    BAD_NAME = "bad-name"
    BAD_TEXT = "bad-text"
    BAD_ID = "bad-id"
    WEAK_PASSWORD = "weak-password"  # noqa: S105 - a code, no password
    ID_REUSED = "id-reused"
    FORBIDDEN = "forbidden"
    BANNED = "banned"
    MUTED = "muted"
    STORAGE = "storage"
    UNAVAILABLE = "unavailable"
    TOO_MANY_REQUESTS = "too-many-requests"
    INTERNAL = "internal"
    # Said in `bye` only.
    LOGGED_OUT = "logged-out"
    REVOKED = "revoked"
    ACCOUNT_CHANGED = "account-changed"
    IDLE = "idle"
    SHUTDOWN = "shutdown"


class ProtocolError(Exception):
    """A peer's bytes, or the place it sent them in, were wrong; `message` is what the peer is told.

    `fatal` says that nothing after it can be understood: the connection is closed after the answer.
    `ref` is the `ref` of the refused request where it could be read.
    """

    def __init__(self, code: Code, message: str, *, fatal: bool = False, ref: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.fatal = fatal
        self.ref = ref


class SecurechatError(Exception):
    """An expected failure: one sentence for the person, a hint what to do, an exit code for the shell."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".rstrip()


class ConfigError(SecurechatError):
    """A setting is unknown, of the wrong type or out of range."""


class UsageError(SecurechatError):
    """A command was called in a way it cannot work, or the person did not confirm."""

    exit_code = 2


class Unreachable(SecurechatError):
    """The server does not answer, or the connection broke."""

    exit_code = 3


class Refused(SecurechatError):
    """The server answered no; `code` is its reason."""

    exit_code = 4

    def __init__(self, message: str, *, code: str, hint: str = "", retry_after: float | None = None) -> None:
        super().__init__(message, hint=hint)
        self.code = code
        self.retry_after = retry_after


class VerificationFailed(SecurechatError):
    """TLS could not prove that this is the right server; nothing was sent to it."""

    exit_code = 5


class NotFound(SecurechatError):
    """What was named does not exist."""

    exit_code = 6


class AlreadyExists(SecurechatError):
    """What was to be made is there already."""

    exit_code = 7


class OutboxUnusable(SecurechatError):
    """The outbox cannot be opened: another client has it, or the disk does not let it be."""


class ChainBroken(SecurechatError):
    """What the server says of a room does not go on from what it said before: a record was changed, or is gone."""

    exit_code = 8

    def __init__(self, room: str, seq: int) -> None:
        super().__init__(
            f"Record {seq} of {room!a} is not what it was, or is gone: the chain of the room is broken.",
            hint="Tell the operator, who can run: securechat verify",
        )
        self.room = room
        self.seq = seq


class Queued(SecurechatError):
    """The server cannot be reached; what was to be said waits in the outbox."""

    exit_code = 75  # EX_TEMPFAIL of sysexits.h: a later try may succeed, and mail systems and schedulers know it


class AuditBroken(SecurechatError):
    """A line of the audit log was changed or taken out."""


class CertificateError(SecurechatError):
    """A certificate or key is missing, malformed, out of date, or readable by others."""


class CredentialError(SecurechatError):
    """The credential file cannot be read, parsed or replaced; the message names the line, never its content."""


class LastAdmin(SecurechatError):
    """The change would leave no active admin account."""


class WeakPassword(SecurechatError):
    """A new password is too short, too long or too well known."""


class BackupError(SecurechatError):
    """A backup cannot be written, or what should be one is incomplete or altered."""


class ClusterError(SecurechatError):
    """NATS or its stream is not as a node needs it, or a node's store does not fit the stream."""


class SnapshotUnusable(SecurechatError):
    """A snapshot of a cluster's store is cut short, altered, or not of this chat."""


class StorageFull(SecurechatError):
    """The disk has no room for the commit; nothing of it was kept, and a later try may succeed."""


class StorageFailed(SecurechatError):
    """The disk failed during a commit, or the database is damaged; nothing more can be promised."""
