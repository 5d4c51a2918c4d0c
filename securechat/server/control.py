"""The local admin socket: what a command asks of a running server, on both sides.

A Unix socket in the home, its owner's alone: one line of JSON each way, then the end. Each request is a struct
with a tag; what the server does about it is handed in. What is to be read of the store, a command reads there itself.
"""

import contextlib
import os
import socket
import socketserver
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Final, TypeAlias

import msgspec

from securechat.accounts.changing import AccountChange
from securechat.chat.model import Change, Impose, Lift, Outcome, Proposal, Rejected, Unchanged
from securechat.errors import AlreadyExists, Code, NotFound, SecurechatError
from securechat.journal.journal import Journal, Submission

SOCKET: Final = "control.sock"

SECONDS: Final = 10.0
"""For one request and its answer: a commit takes milliseconds, and a disk that hangs must not hang the command."""

OPERATOR: Final = "@operator"
"""Who acts when a command does: a name that no account can have."""

LINE_BYTES: Final = 65_536
"""The longest request."""

ANSWER_BYTES: Final = 16_777_216
"""The longest answer, as a command takes it: a list of all the connections that a server can have fits."""

PATH_BYTES: Final = 100
"""The longest path of a Unix socket, at least, on the systems there are (108 on Linux, 104 on macOS)."""


class Propose(msgspec.Struct, frozen=True, tag="propose"):
    """Have this decided by the journal."""

    proposal: Proposal | Change


class Status(msgspec.Struct, frozen=True, tag="status"):
    """Tell how the server is doing: `value` is an object."""


class Connections(msgspec.Struct, frozen=True, tag="connections"):
    """List the connections: `value` is an array of objects."""


class Reload(msgspec.Struct, frozen=True, tag="reload"):
    """Take settings, accounts and certificate anew: `value` is what changed, an array of sentences."""


class Drain(msgspec.Struct, frozen=True, tag="drain"):
    """Take no new connections, and stop when the last one has left or after so many seconds."""

    seconds: Annotated[float, msgspec.Meta(ge=0)]


class Broadcast(msgspec.Struct, frozen=True, tag="broadcast"):
    """Tell everybody who is connected: `value` is how many sessions there are."""

    text: str


class ChangeAccount(msgspec.Struct, frozen=True, tag="account"):
    """Make this change of the accounts: it is in force when it is answered, and whom it keeps out is out."""

    change: AccountChange


Request: TypeAlias = Broadcast | ChangeAccount | Propose | Status | Connections | Reload | Drain
"""What a command can ask of a running server."""

_encoder: Final = msgspec.json.Encoder()
_requests: Final[msgspec.json.Decoder[Request]] = msgspec.json.Decoder(Request)


_KINDS: Final = {kind.exit_code: kind for kind in (NotFound, AlreadyExists)}


class Answer(msgspec.Struct, frozen=True):
    """What came of a request, as a command is told: a refusal has a code, and `value` is what was asked for."""

    code: str = ""
    message: str = ""
    unchanged: bool = False
    value: Any = None
    hint: str = ""
    exit_code: int = SecurechatError.exit_code

    def error(self) -> SecurechatError:
        """The refusal, as what ends the command."""
        return _KINDS.get(self.exit_code, SecurechatError)(self.message, hint=self.hint)


_answers: Final = msgspec.json.Decoder(Answer)


def described(proposal: Proposal | Change) -> tuple[str, str]:
    """A proposal as the audit log has it: the act, and to whom or what; no text and no hash of a secret."""
    if isinstance(proposal, Proposal):
        return f"room {proposal.kind}", f"{proposal.room} {proposal.target}".rstrip()
    if not isinstance(proposal, Impose | Lift):
        what = next((getattr(proposal, one) for one in ("account", "room", "name") if hasattr(proposal, one)), "")
        return type(proposal).__name__.lower(), what
    act = proposal.kind if isinstance(proposal, Impose) else f"un{proposal.kind}"
    whom = proposal.account
    if isinstance(proposal, Impose) and proposal.lifetime:
        whom += f" for {proposal.lifetime // 1_000} s"
    return (f"room {act}", f"{proposal.room} {whom}") if proposal.room else (act, whom)


def is_moderation(proposal: Proposal | Change) -> bool:
    """Whether one account does something to another with it, which is noted whoever does it."""
    return isinstance(proposal, Impose | Lift) or (isinstance(proposal, Proposal) and proposal.kind == "kick")


def result_of(outcome: Outcome) -> str:
    """What came of it, as the audit log has it."""
    if isinstance(outcome, Rejected):
        return outcome.code
    return "unchanged" if isinstance(outcome, Unchanged) else "ok"


class Waiting:
    """An origin whose outcome another thread waits for."""

    def __init__(self) -> None:
        self._decided = threading.Event()
        self._outcome: Outcome | None = None

    def decided(self, outcome: Outcome) -> None:
        """The journal has decided; called on its thread."""
        self._outcome = outcome
        self._decided.set()

    def wait(self) -> Outcome:
        """The outcome. Raises SecurechatError when there is none in time."""
        self._decided.wait(SECONDS)
        if self._outcome is None:
            raise SecurechatError("The journal did not answer in time.", hint="Look at the server's log.")
        return self._outcome


def submit(journal: Journal, proposal: Proposal | Change) -> Answer:
    """Have the journal decide, and wait for it. Raises SecurechatError when it does not answer in time."""
    waiting = Waiting()
    if not journal.submit([Submission(proposal, waiting)]):
        return Answer(Code.TOO_MANY_REQUESTS, "The journal takes nothing now; try again.")
    outcome = waiting.wait()
    if isinstance(outcome, Rejected):
        return Answer(outcome.code, outcome.message)
    return Answer(unchanged=isinstance(outcome, Unchanged))


class _Handler(socketserver.StreamRequestHandler):
    """One request and its answer."""

    timeout = SECONDS
    server: "Control"

    def handle(self) -> None:
        try:
            answer = self.server.act(_requests.decode(self.rfile.readline(LINE_BYTES)), peer_uid(self.connection))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            answer = Answer(Code.BAD_FRAME, "This is no request that the server understands.")
        except SecurechatError as error:
            answer = Answer(Code.INTERNAL, error.message, hint=error.hint, exit_code=error.exit_code)
        with contextlib.suppress(OSError):  # whoever asked may have left
            self.wfile.write(_encoder.encode(answer) + b"\n")


class Control(socketserver.UnixStreamServer):
    """The socket of a running server, and the thread that answers on it: what `act` says to a request and the number of
    the user who asks (None where the system does not tell). `act` may raise SecurechatError."""

    def __init__(self, home: Path, act: Callable[[Request, int | None], Answer]) -> None:
        """Raises OSError when the socket cannot be made."""
        self.act = act
        self._path = home / SOCKET
        self._path.unlink(missing_ok=True)  # a server that was killed left it: the lock says that none runs
        with _short(self._path) as path:
            super().__init__(path, _Handler)
        self._thread = threading.Thread(target=self.serve_forever, name="control", kwargs={"poll_interval": 0.1})

    def server_bind(self) -> None:
        """Bind, and close the socket to others before anybody can connect."""
        super().server_bind()
        self._path.chmod(0o600)

    def verify_request(self, request: Any, client_address: object) -> bool:
        """Whether who asks may: the server's own user and root. The file's mode says so already; this one knows it."""
        uid = peer_uid(request)
        return uid is None or uid in (0, os.geteuid())

    def handle_error(self, request: object, client_address: object) -> None:
        """A command that hangs up is no error of the server's."""

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        if self._thread.ident is not None:
            self.shutdown()
            self._thread.join()

    def close(self) -> None:
        """Take the socket away, once the thread has ended."""
        self.server_close()
        self._path.unlink(missing_ok=True)


def peer_uid(connected: socket.socket) -> int | None:
    """The user at the other end of a Unix socket, as the kernel knows it; None on systems that do not tell."""
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        return None
    _, uid, _ = struct.unpack("3i", connected.getsockopt(socket.SOL_SOCKET, option, struct.calcsize("3i")))
    return int(uid)


@contextlib.contextmanager
def _short(path: Path) -> Iterator[str]:
    """The path in a form that is short enough for a socket."""
    if len(os.fsencode(path)) <= PATH_BYTES:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def ask(home: Path, request: Request) -> Answer | None:
    """What the server of this home answers; None when none runs. Raises SecurechatError."""
    with socket.socket(socket.AF_UNIX) as asking:
        asking.settimeout(SECONDS)
        try:
            with _short(home / SOCKET) as path:
                asking.connect(path)
        except (FileNotFoundError, ConnectionRefusedError):
            return None
        except OSError as error:
            raise SecurechatError(f"The server's socket cannot be used: {error.strerror}.") from None
        try:
            asking.sendall(_encoder.encode(request) + b"\n")
            with asking.makefile("rb") as answers:
                return _answers.decode(answers.readline(ANSWER_BYTES))
        except (OSError, msgspec.MsgspecError):
            raise SecurechatError("The server did not answer.", hint="Look at its log, and try again.") from None
