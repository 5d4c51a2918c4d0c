"""The credential file: text, one account a line, read strictly and replaced whole. It must not know who is online.

A line is `name:role:state:hash`, or a comment that begins with `#`. Anything else refuses the whole file, an empty
line too: a line that is skipped or half understood would sooner or later let somebody in or keep somebody out.
Comments and the order of the lines outlast every change.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final, cast, get_args

from securechat.accounts.changing import Changing, Step, last_admin, there
from securechat.accounts.passwords import check_stored
from securechat.chat.accounts import Account, AccountState, Role, has_admin
from securechat.chat.names import is_username
from securechat.errors import CredentialError, NotFound
from securechat.files import Stamp, locked, refuse_if_others_can_read, replace_file, stamp
from securechat.limits import CREDENTIAL_LINE_BYTES

HEADER: Final = (
    b"# The accounts of this securechat server, one a line: name:role:state:argon2id-PHC-string\n"
    b"# Change them with `securechat adduser` and `securechat user`; a running server notices.\n"
)
_MODE: Final = 0o600
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f]")
_FIRST_ACCOUNT: Final = "Make the first account: securechat adduser NAME --admin"


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


class CredentialFile(Changing):
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
        return there(name, self.load().get(name))

    def stamp(self) -> Stamp | None:
        """A value that changes when the file does; None when there is none to be seen."""
        return stamp(self.path)

    def change(self, name: str, step: Step, *, kept: bytes = b"", rehashed: bool = False) -> Account | None:
        """Take this step with the account, in a file that is made if there is none and one is added. Raises what the
        step does, LastAdmin and CredentialError."""
        del kept, rehashed  # tokens are kept elsewhere, and told by the hash
        with self._locked():
            data = self._read() if self.path.exists() else HEADER
            accounts = self._parse(data)
            account = accounts.get(name)
            try:
                changed = step(account)
            except NotFound:
                self._read()  # raises what is wrong where there is no file
                raise
            if changed != account:
                self._write(accounts, _put(data, account, changed))
            return changed

    def take_over(self, accounts: Mapping[str, Account]) -> bytes:
        """Hold these accounts from now on, whatever was there; comments and the order of the others stay. Gives what
        the file holds then. Raises CredentialError."""
        with self._locked():
            data = self._read() if self.path.exists() else HEADER
            before = self._parse(data)
            for name in [*before, *(name for name in accounts if name not in before)]:
                if before.get(name) != accounts.get(name):
                    data = _put(data, before.get(name), accounts.get(name))
            replace_file(self.path, data, _MODE)
            return data

    def _write(self, before: dict[str, Account], data: bytes) -> None:
        after = self._parse(data)
        if has_admin(before) and not has_admin(after):
            raise last_admin()
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


def _put(data: bytes, old: Account | None, new: Account | None) -> bytes:
    """The file's content with the one line in the place of the other."""
    line = b"" if new is None else _line(new)
    if old is None:
        return data + line
    return b"".join(line if one == _line(old) else one for one in data.splitlines(keepends=True))


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
    if state not in get_args(AccountState):
        raise CredentialError("The state is none of active, disabled and hook.")
    check_stored(password)
    return Account(name, cast(Role, role), cast(AccountState, state), password)


def _mend(source: str) -> str:
    return f"Mend that line of {source}, or remove it; nothing was loaded from the file."
