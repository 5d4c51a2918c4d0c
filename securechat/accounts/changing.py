"""What may be done to an account, wherever accounts are kept: in the credential file, or in what a cluster shares.

It must not know where that is.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias, assert_never

from securechat.chat.accounts import Account, AccountState, Role
from securechat.errors import AlreadyExists, LastAdmin, NotFound

Act: TypeAlias = Literal["add", "passwd", "enable", "disable", "admin", "member", "remove"]

Step: TypeAlias = Callable[[Account | None], Account | None]
"""What an account is to become (None: gone), by what it is (None: there is none). Raises NotFound or AlreadyExists."""


@dataclass(frozen=True, slots=True)
class AccountChange:
    """What an operator does to an account: `role` and `state` count where one is added, `password` (its hash as a PHC
    string) there and for `passwd`."""

    act: Act
    name: str
    role: Role = "member"
    state: AccountState = "active"
    password: str = field(default="", repr=False)

    @property
    def ends_logins(self) -> bool:
        """Whether nobody is to stay logged in as this account."""
        return self.act in ("passwd", "disable", "remove")


class Changing(ABC):
    """Accounts that can be changed. What a method raises is said there; then nothing has changed."""

    @abstractmethod
    def change(self, name: str, step: Step, *, kept: bytes = b"", rehashed: bool = False) -> Account | None:
        """Take this step with the account, and give what it is now. Raises what the step does, LastAdmin rather than
        leave no active admin, and what keeping it may.

        Where tokens are kept beside accounts, `kept` is one that outlives another password, and `rehashed` says that
        all do: it is the same password, hashed anew.
        """

    def apply(self, change: AccountChange) -> None:
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
        """Add an account. Raises AlreadyExists if the name is taken."""

        def added(current: Account | None) -> Account:
            if current is not None:
                raise taken(account.name)
            return account

        self.change(account.name, added)

    def set_password(self, name: str, stored: str) -> None:
        """Give an account another password hash. Raises NotFound."""
        self.change(name, lambda account: replace(there(name, account), password=stored))

    def set_role(self, name: str, role: Role) -> None:
        """Give an account another role. Raises NotFound, and LastAdmin rather than leave no active admin."""
        self.change(name, lambda account: replace(there(name, account), role=role))

    def set_state(self, name: str, state: AccountState) -> None:
        """Disable an account or enable it again. Raises NotFound, and LastAdmin rather than leave no active admin."""
        self.change(name, lambda account: replace(there(name, account), state=state))

    def remove(self, name: str) -> None:
        """Remove an account. Raises NotFound, and LastAdmin rather than leave no active admin."""

        def removed(account: Account | None) -> None:
            there(name, account)

        self.change(name, removed)

    def replace_hash(self, name: str, verified: str, stored: str, *, kept: bytes = b"", rehashed: bool = False) -> bool:
        """Put another hash in the place of the one that was verified; `kept` and `rehashed` as `change` has them.

        False, and no change, if the account has another hash by now. Raises NotFound if it is gone.
        """

        def replaced(current: Account | None) -> Account:
            account = there(name, current)
            return replace(account, password=stored) if account.password == verified else account

        after = self.change(name, replaced, kept=kept, rehashed=rehashed)
        return after is not None and after.password == stored


def there(name: str, account: Account | None) -> Account:
    """The account of this name. Raises NotFound where there is none."""
    if account is None:
        raise NotFound(f"There is no account {name}.", hint="See: securechat user list")
    return account


def taken(name: str) -> AlreadyExists:
    """The error that says that there is an account of this name already."""
    return AlreadyExists(
        f"There is an account {name} already.", hint=f"To change its password: securechat user passwd {name}"
    )


def last_admin() -> LastAdmin:
    """The error that says that nobody would be left to look after the server."""
    return LastAdmin(
        "That would leave the server without an active admin.",
        hint="Make another one first: securechat user promote NAME",
    )
