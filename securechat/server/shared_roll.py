"""The accounts and webhooks of a cluster: the journal has them, and each node's files are readable copies.

What somebody changes in a file by hand is proposed to all. Beside each file is kept what the node last wrote there
(`NAME.shared`), so that a change by hand is told from one that came from another node. It knows no session, and
decides nothing: two that change the same at once are told apart by the journal.
"""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, Generic, Protocol, TypeVar

from securechat.accounts.changing import AccountChange, Changing, Step, last_admin
from securechat.accounts.credentials import CredentialFile, format_accounts, parse_accounts
from securechat.accounts.hooks import HookFile, format_hooks, parse_hooks
from securechat.chat.accounts import Account, Hook, SetAccount, SetHook
from securechat.chat.changes import LAST_ADMIN, OUTDATED
from securechat.chat.model import Change, Outcome, Rejected
from securechat.errors import ClusterError, Code, CredentialError, SecurechatError
from securechat.files import Stamp, replace_file
from securechat.journal.journal import Journal, Submission
from securechat.server.control import Waiting

log = logging.getLogger(__name__)

TRIES: Final = 5
"""How often a change is proposed that somebody else was quicker with; each time by what it is then."""

PROPOSED_AT_ONCE: Final = 256
"""Changes of a file that wait for the journal together: few of the places that it has."""

NAMED: Final = 10
"""Names in one line of the log."""

_FOR_GOOD: Final = (Code.FORBIDDEN, Code.BAD_NAME)
"""What a change is refused with that would be refused again."""

T = TypeVar("T", Account, Hook)


class File(Protocol[T]):
    """What is asked of a file that holds a copy."""

    path: Path

    def load(self) -> dict[str, T]: ...
    def stamp(self) -> Stamp | None: ...
    def take_over(self, values: Mapping[str, T]) -> bytes: ...


def beside(file: Path) -> Path:
    """Where is kept what a node last wrote to this file."""
    return file.with_name(f"{file.name}.shared")


def keep_base(home: Path, accounts: Mapping[str, Account], hooks: Mapping[str, Hook]) -> None:
    """Have the files of a home whose store is about to become another be compared with these, where nothing says what
    was last written there: what is different there was changed by hand, but for what the other store brings.

    Raises OSError.
    """
    for name, data in (("credentials", format_accounts(accounts.values())), ("hooks", format_hooks(hooks.values()))):
        kept = beside(home / name)
        if not kept.exists():
            replace_file(kept, data, 0o600)


def take_along(home: Path, accounts: Mapping[str, Account], hooks: Mapping[str, Hook]) -> None:
    """Have the files of a node that leaves its cluster say what the cluster does, and what was changed there by hand
    since. Again makes no difference. Raises CredentialError."""
    credentials, webhooks = CredentialFile(home / "credentials"), HookFile(home / "hooks")
    try:
        Copy(credentials, parse_accounts, accounts).leave(accounts)
        Copy(webhooks, parse_hooks, hooks).leave(hooks)
    except OSError as error:
        raise CredentialError(f"{error.filename} cannot be read or written: {error.strerror}.") from None


class Copy(Generic[T]):
    """One file, and what the node last wrote there. Used by one thread at a time."""

    def __init__(self, file: "File[T]", parse: Callable[[bytes, str], dict[str, T]], at_start: Mapping[str, T]) -> None:
        """`at_start` is what the node's store held when it started: of a home that has no `NAME.shared` (a new one, or
        one that was restored), that is what its file was written from."""
        self._file: File[T] = file
        self._beside = beside(file.path)
        known = self._beside.exists()
        self._base: dict[str, T] = parse(self._beside.read_bytes(), str(self._beside)) if known else dict(at_start)
        self._seen: Stamp | None = None
        """The file's stamp when it was last looked at."""
        self._written: Stamp | None = None
        """The file's stamp when it was last written here."""
        self._bad: Stamp | None = None
        """The file's stamp when it could not be read."""

    def edits(self) -> list[tuple[str, T | None, T | None]] | None:
        """What somebody changed by hand: the name, what was there, and what is to be there. A file that is not there
        says nothing. Raises CredentialError for one that cannot be read, once; then None: it is not to be touched."""
        self._seen = self._file.stamp()
        if self._seen is None or self._seen == self._written:
            return []
        if self._seen == self._bad:
            return None
        try:
            edited = self._file.load()
        except CredentialError:
            self._bad = self._seen
            raise
        names = {**self._base, **edited}
        return [
            (name, self._base.get(name), edited.get(name)) for name in names if self._base.get(name) != edited.get(name)
        ]

    def write(self, values: Mapping[str, T]) -> None:
        """Hold these from now on, unless somebody has been at the file since its edits were looked at: then those come
        first. Raises CredentialError and OSError."""
        is_so = self._seen == self._written if self._seen else not values
        if (is_so and values == self._base) or self._file.stamp() != self._seen:
            return
        data = self._file.take_over(values)
        # Cut off between the two, the next start proposes what is so already.
        replace_file(self._beside, data, 0o600)
        self._base, self._seen = dict(values), self._file.stamp()
        self._written = self._seen

    def leave(self, values: Mapping[str, T]) -> None:
        """Hold these, with the edits of what is not another by now, and be no copy any more. Raises CredentialError and
        OSError."""
        edited = [(name, after) for name, before, after in self.edits() or () if values.get(name) == before]
        after = {**values, **dict(edited)}
        self._file.take_over({name: one for name, one in after.items() if one is not None})
        self._beside.unlink(missing_ok=True)


class SharedRoll(Changing):
    """The accounts that all nodes share; changes are ordered and decided as all else is."""

    def __init__(self, home: Path, journal: Journal) -> None:
        """Raises CredentialError for a copy that cannot be read."""
        self._journal = journal
        self._in_step = threading.Lock()
        self.ready = threading.Event()
        """Set once the node has caught up with the cluster and has proposed what its files say."""
        self._file = CredentialFile(home / "credentials")
        hooks = HookFile(home / "hooks")
        try:
            self._accounts = Copy(self._file, parse_accounts, journal.view.accounts)
            self._hooks = Copy(hooks, parse_hooks, journal.view.hooks)
        except OSError as error:
            raise CredentialError(f"{error.filename} cannot be read: {error.strerror}.") from None

    @property
    def accounts(self) -> Mapping[str, Account]:
        """Every account by name, as the journal has published them."""
        return self._journal.view.accounts

    @property
    def is_ready(self) -> bool:
        """Whether it has caught up, and its files' own accounts have been proposed."""
        return self.ready.is_set()

    def check_file(self) -> None:
        """Make sure that `refresh` could read the files now. Raises CredentialError."""
        if self._file.stamp() is not None:
            self._file.load()

    def refresh(self) -> frozenset[str]:
        """Propose what was changed in the files by hand, and write into them what the cluster has. Nobody's sessions
        have to be ended for it: all nodes end them when it is decided. Raises CredentialError."""
        if not self._journal.is_level:
            return frozenset()
        with self._in_step:
            try:
                if (edited := self._accounts.edits()) is not None:
                    self._propose([SetAccount(*edit) for edit in edited])
                    self._accounts.write(self._journal.view.accounts)
                if (hooked := self._hooks.edits()) is not None:
                    self._propose([SetHook(*edit) for edit in hooked])
                    self._hooks.write(self._journal.view.hooks)
            except CredentialError:
                self._get_ready()
                raise
            except OSError as error:
                raise CredentialError(f"{error.filename} cannot be written: {error.strerror}.") from None
            self._get_ready()
        return frozenset()

    def make(self, change: AccountChange) -> frozenset[str]:
        """Make a change on all nodes, which end the sessions themselves."""
        self.apply(change)
        return frozenset()

    def change(self, name: str, step: Step, *, kept: bytes = b"", rehashed: bool = False) -> Account | None:
        """Take this step with the account on all nodes. Raises what the step does, LastAdmin, and SecurechatError where
        the cluster does not answer."""
        for _ in range(TRIES):
            before = self.accounts.get(name)
            after = step(before)
            if after == before:
                return after
            outcome = self._decide([SetAccount(name, before, after, kept, rehashed)])[0]
            if outcome == OUTDATED:
                continue
            if outcome == LAST_ADMIN:
                raise last_admin()
            if isinstance(outcome, Rejected):
                raise SecurechatError(outcome.message, hint="Nothing is sure to have changed; look, and try again.")
            return after
        raise SecurechatError(f"The account {name} is changed by others all the time.", hint="Try again.")

    def _get_ready(self) -> None:
        """Let people in from now on, by the accounts of the cluster: also where a file cannot be read."""
        if not self.is_ready:
            self.ready.set()
            if not self.accounts:
                log.warning("the cluster has no account yet; make the first: securechat adduser NAME --admin")

    def _propose(self, changes: Sequence[SetAccount | SetHook]) -> None:
        made: list[str] = []
        for at in range(0, len(changes), PROPOSED_AT_ONCE):
            some = changes[at : at + PROPOSED_AT_ONCE]
            for change, outcome in zip(some, self._decide(some), strict=True):
                if not isinstance(outcome, Rejected):
                    made.append(change.name)
                elif outcome.code in _FOR_GOOD:
                    what = "webhook" if isinstance(change, SetHook) else "account"
                    log.warning(
                        "the %s %s stays as the cluster has it, whatever the file says: %s",
                        what, change.name, outcome.message,
                    )  # fmt: skip
                else:
                    raise ClusterError(f"What the files say cannot be proposed now: {outcome.message}")
        if made:
            named = ", ".join(made[:NAMED]) + (f" and {len(made) - NAMED} more" if len(made) > NAMED else "")
            log.info("what the file says of these holds on all nodes now: %s", named)

    def _decide(self, changes: Sequence[Change]) -> list[Outcome]:
        waiting = [Waiting() for _ in changes]
        submissions = [Submission(change, one) for change, one in zip(changes, waiting, strict=True)]
        if submissions and not self._journal.submit(submissions):
            raise ClusterError("The journal takes nothing now.", hint="Try again.")
        return [one.wait() for one in waiting]
