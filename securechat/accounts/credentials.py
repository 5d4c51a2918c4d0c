"""The credential file: text, one account a line, read strictly and replaced whole. It must not know who is online.

A line is `name:role:state:hash`, or a comment that begins with `#`. Anything else refuses the whole file, an empty
line too: a line that is skipped or half understood would sooner or later let somebody in or keep somebody out.
Comments and the order of the lines outlast every change.
"""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Literal, TypeAlias, assert_never, cast, get_args

from securechat.accounts.passwords import check_stored
from securechat.chat.model import Role
from securechat.chat.names import is_username
from securechat.errors import AlreadyExists, CredentialError, LastAdmin, NotFound
from securechat.files import Stamp, locked, refuse_if_others_can_read, replace_file, stamp
from securechat.limits import CREDENTIAL_LINE_BYTES

State: TypeAlias = Literal["active", "disabled", "hook"]
"""`hook`: nobody logs in, a webhook speaks as this account (`accounts.hooks`)."""

HEADER: Final = (
    b"# The accounts of this securechat server, one a line: name:role:state:argon2id-PHC-string\n"
    b"# Change them with `securechat adduser` and `securechat user`; a running server notices.\n"
)
_MODE: Final = 0o600
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f]")
_FIRST_ACCOUNT: Final = "Make the first account: securechat adduser NAME --admin"


@dataclass(frozen=True, slots=True)
class Account:
    """Who may come in. `password` is the hash as a PHC string, and is left out of the `repr`."""

    name: str
    role: Role
    state: State
    password: str = field(repr=False)

    @property
    def active(self) -> bool:
        """Whether this account may log in."""
        return self.state == "active"


Act: TypeAlias = Literal["add", "passwd", "enable", "disable", "admin", "member", "remove"]


@dataclass(frozen=True, slots=True)
class AccountChange:
    """What an operator does to an account: `role` and `state` count where one is added, `password` (its hash as a PHC
    string) there and for `passwd`."""

    act: Act
    name: str
    role: Role = "member"
    state: State = "active"
    password: str = field(default="", repr=False)

    @property
    def ends_logins(self) -> bool:
        """Whether nobody is to stay logged in as this account."""
        return self.act in ("passwd", "disable", "remove")


def format_accounts(accounts: Iterable[Account]) -> bytes:
    """The content of a new credential file with these accounts."""
    return HEADER + b"".join(_line(account) for account in accounts)


def parse_accounts(data: bytes, source: str) -> dict[str, Account]:
    """Read the content of a credential file, by name in the order of its lines; `source` names it in errors.

    Raises CredentialError with the number of the first bad line, never with anything that is in it.
    """
    lines = data.split(b"\n")
    accounts: dict[str, Account] = {}
    for number, line in enumerate(lines[:-1], start=1):
        try:
            account = _parse_line(line, accounts)
        except CredentialError as error:
            raise CredentialError(f"{source}, line {number}: {error.message}", hint=_mend(source)) from None
        if account is not None:
            accounts[account.name] = account
    if lines[-1] or not lines[:-1]:
        raise CredentialError(
            f"{source}, line {len(lines)}: The end of the line is missing; the file may have been cut short.",
            hint=_mend(source),
        )
    return accounts


def taken(name: str) -> AlreadyExists:
    """The error that says that there is an account of this name already."""
    return AlreadyExists(
        f"There is an account {name} already.", hint=f"To change its password: securechat user passwd {name}"
    )


class CredentialFile:
    """The credential file at `path`; every change reads it, replaces it whole, and holds its lock meanwhile.

    The methods that change something raise CredentialError when the file cannot be read, understood or written, and
    then nothing has changed. They may be called by any thread.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def load(self) -> dict[str, Account]:
        """Every account by name. Raises CredentialError for a file that is missing, malformed, or open to others."""
        return self._parse(self._read())

    def get(self, name: str) -> Account:
        """The account of this name. Raises NotFound, and CredentialError as `load` does."""
        return _find(self.load(), name)

    def stamp(self) -> Stamp | None:
        """A value that changes when the file does; None when there is none to be seen."""
        return stamp(self.path)

    def make(self, change: AccountChange) -> None:
        """Make this change. Raises what the method for it does."""
        match change.act:
            case "add":
                self.add(Account(change.name, change.role, change.state, change.password))
            case "passwd":
                self.set_password(change.name, change.password)
            case "enable":
                self.set_state(change.name, "active")
            case "disable":
                self.set_state(change.name, "disabled")
            case "admin" | "member":
                self.set_role(change.name, change.act)
            case "remove":
                self.remove(change.name)
            case _:
                assert_never(change.act)

    def add(self, account: Account) -> None:
        """Add an account, and make the file if there is none. Raises AlreadyExists if the name is taken."""
        with self._locked():
            data = self._read() if self.path.exists() else HEADER
            accounts = self._parse(data)
            if account.name in accounts:
                raise taken(account.name)
            self._write(accounts, data + _line(account))

    def set_password(self, name: str, stored: str) -> None:
        """Give an account another password hash. Raises NotFound."""
        self._change(name, lambda account: replace(account, password=stored))

    def set_role(self, name: str, role: Role) -> None:
        """Give an account another role. Raises NotFound, and LastAdmin rather than leave no active admin."""
        self._change(name, lambda account: replace(account, role=role))

    def set_state(self, name: str, state: State) -> None:
        """Disable an account or enable it again. Raises NotFound, and LastAdmin rather than leave no active admin."""
        self._change(name, lambda account: replace(account, state=state))

    def remove(self, name: str) -> None:
        """Remove an account. Raises NotFound, and LastAdmin rather than leave no active admin."""
        self._change(name, lambda _: None)

    def rehash(self, name: str, verified: str, stored: str) -> bool:
        """Put a new hash of the same password in the place of the one that was verified.

        False, and no change, if the account has another hash by now. Raises NotFound if it is gone.
        """
        after = self._change(
            name, lambda account: replace(account, password=stored) if account.password == verified else account
        )
        return after is not None and after.password == stored

    def _change(self, name: str, change: Callable[[Account], Account | None]) -> Account | None:
        with self._locked():
            data = self._read()
            accounts = self._parse(data)
            account = _find(accounts, name)
            changed = change(account)
            if changed != account:
                old, new = _line(account), b"" if changed is None else _line(changed)
                lines = data.splitlines(keepends=True)
                self._write(accounts, b"".join(new if line == old else line for line in lines))
            return changed

    def _write(self, before: dict[str, Account], data: bytes) -> None:
        after = self._parse(data)
        if _has_admin(before) and not _has_admin(after):
            raise LastAdmin(
                "That would leave the server without an active admin.",
                hint="Make another one first: securechat user promote NAME",
            )
        replace_file(self.path, data, _MODE)

    def _read(self) -> bytes:
        try:
            refuse_if_others_can_read(self.path, CredentialError)
            return self.path.read_bytes()
        except FileNotFoundError:
            raise CredentialError(f"{self.path} does not exist.", hint=_FIRST_ACCOUNT) from None
        except OSError as error:
            raise CredentialError(f"{self.path} cannot be read: {os.strerror(error.errno or 0)}.") from None

    def _parse(self, data: bytes) -> dict[str, Account]:
        return parse_accounts(data, str(self.path))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            with locked(self.path):
                yield
        except FileNotFoundError:
            raise CredentialError(
                f"{self.path} cannot be made: the folder is not there.", hint=f"Make it first: mkdir {self.path.parent}"
            ) from None
        except OSError as error:
            raise CredentialError(f"{self.path} cannot be changed: {os.strerror(error.errno or 0)}.") from None


def _line(account: Account) -> bytes:
    return f"{account.name}:{account.role}:{account.state}:{account.password}\n".encode()


def _parse_line(line: bytes, known: Mapping[str, Account]) -> Account | None:
    """The account on a line, or None for a comment. Raises CredentialError, which says what is wrong without it."""
    if not line:
        raise CredentialError("It is empty.")
    if len(line) > CREDENTIAL_LINE_BYTES:
        raise CredentialError(f"It has more than {CREDENTIAL_LINE_BYTES} bytes.")
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        raise CredentialError("It is not UTF-8.") from None
    if _CONTROL.search(text):
        raise CredentialError("It holds a control character, perhaps a carriage return or a tab.")
    if text.startswith("#"):
        return None
    if text != text.strip():
        raise CredentialError("It begins or ends with a space.")
    fields = text.split(":")
    if len(fields) != 4:
        raise CredentialError(f"An account has four fields, name:role:state:hash; here are {len(fields)}.")
    name, role, state, password = fields
    if not is_username(name):
        raise CredentialError("The name is not one that an account may have.")
    if name in known:
        raise CredentialError("This account is in the file already.")
    if role not in get_args(Role):
        raise CredentialError("The role is neither admin nor member.")
    if state not in get_args(State):
        raise CredentialError("The state is none of active, disabled and hook.")
    check_stored(password)
    return Account(name, cast(Role, role), cast(State, state), password)


def _find(accounts: Mapping[str, Account], name: str) -> Account:
    if name not in accounts:
        raise NotFound(f"There is no account {name}.", hint="See: securechat user list")
    return accounts[name]


def _has_admin(accounts: dict[str, Account]) -> bool:
    return any(account.role == "admin" and account.active for account in accounts.values())


def _mend(source: str) -> str:
    return f"Mend that line of {source}, or remove it; nothing was loaded from the file."
