"""What an operator's command does to a home: its server does it if one runs, else it is done here, under the same lock.

It decides nothing: accounts and webhooks are their files', or in a cluster the journal's as all the rest is.
"""

import contextlib
import os
import time
from pathlib import Path

from securechat import audit
from securechat.accounts.changing import AccountChange
from securechat.accounts.credentials import CredentialFile
from securechat.accounts.hooks import HookFile, existing_hook, taken_hook
from securechat.chat.accounts import Hook, SetHook
from securechat.chat.model import Change, Proposal, Revoke
from securechat.config import Config
from securechat.errors import SecurechatError
from securechat.journal.journal import Batch, Journal
from securechat.journal.store import Store
from securechat.server.control import (
    OPERATOR,
    SECONDS,
    Answer,
    ChangeAccount,
    Propose,
    Status,
    Waiting,
    ask,
    described,
    submit,
)
from securechat.server.known import known_hooks, node_store
from securechat.server.locking import is_held, only_server
from securechat.server.ordering import make_order


def propose(home: Path, config: Config, proposal: Proposal | Change) -> Answer:
    """Have this decided on this home: by its server if one runs, else here. Raises SecurechatError."""
    answer = ask(home, Propose(proposal))
    if answer is None:
        answer = _propose_here(home, config, proposal)
        result = answer.code or ("unchanged" if answer.unchanged else "ok")
        note(home, *described(proposal), result)
    return answer


def change_account(home: Path, config: Config, change: AccountChange) -> bool:
    """Have an account changed on this home: by its server if one runs, else here. Raises SecurechatError.

    False where it is to come into force: the home is a node of a cluster, which proposes it when it starts.
    """
    answer = ask(home, ChangeAccount(change))
    if answer is not None:
        if answer.code:
            raise answer.error()
        return True
    CredentialFile(home / "credentials").apply(change)
    note(home, f"user {change.act}", change.name)
    if config.cluster.servers:
        return False
    if change.ends_logins:
        _end_tokens(home, config, change.name)
    return True


def add_hook(home: Path, config: Config, hook: Hook) -> None:
    """Add a webhook on this home, which its server knows then or within a second. Raises AlreadyExists, and
    SecurechatError: nothing has changed."""
    if hook.name in known_hooks(home):
        raise taken_hook(hook.name)
    if not _set_hook(home, config, SetHook(hook.name, None, hook)):
        HookFile(home / "hooks").add(hook)


def remove_hook(home: Path, config: Config, name: str) -> Hook:
    """Remove a webhook from this home, and give what it was. Raises NotFound, SecurechatError: nothing has changed."""
    hook = existing_hook(name, known_hooks(home))
    if not _set_hook(home, config, SetHook(name, hook, None)):
        HookFile(home / "hooks").remove(name)
    return hook


def _set_hook(home: Path, config: Config, change: SetHook) -> bool:
    """Have the node that is at work here change it for the whole cluster; False, and no change, where none is."""
    with node_store(home) as at_work:
        if at_work is None:
            return False
    answer = propose(home, config, change)
    if answer.code:
        raise answer.error()
    return True


def serving_port(home: Path) -> int | None:
    """The port on which the server of this home listens; None where none runs. Raises SecurechatError."""
    answer = ask(home, Status())
    if answer is None:
        return None
    if answer.code:
        raise answer.error()
    return int(answer.value["address"].rpartition(":")[2])


def note(home: Path, act: str, what: str = "", result: str = "ok") -> None:
    """Write an act of a command into the audit log. Raises SecurechatError when it cannot be written."""
    try:
        audit.append(home / audit.FILE, [audit.entry(act, OPERATOR, what, f"user {os.getuid()}", result)])
    except OSError as error:
        raise SecurechatError(
            f"{home / audit.FILE} cannot be written: {error.strerror}.",
            hint="What was asked for was done.",
        ) from None


def _end_tokens(home: Path, config: Config, account: str) -> None:
    """Revoke the tokens of an account that was changed; a server that starts just now does it by itself.

    Raises SecurechatError.
    """
    if not (home / "chat.db").exists() or is_held(home):
        return
    answer = _propose_here(home, config, Revoke(account))
    if answer.code:
        raise SecurechatError(f"Tokens of {account} are still in force: {answer.message}")


class _Nobody:
    """A publisher with no reactors."""

    def publish(self, batch: Batch) -> None:
        for origin, outcome in batch.outcomes:
            if isinstance(origin, Waiting):
                origin.decided(outcome)

    def wait_written(self, seconds: float) -> None:
        pass


def _propose_here(home: Path, config: Config, proposal: Proposal | Change) -> Answer:
    failures: list[SecurechatError] = []
    with only_server(home), contextlib.closing(Store(home / "chat.db", config.durability)) as store:
        order = make_order(home, config, store)
        journal = Journal(order, store, _Nobody(), config.limits, lambda: time.time_ns() // 1_000_000, failures.append)
        journal.start()
        try:
            return submit(journal, proposal)
        except SecurechatError as error:
            raise (failures[0] if failures else error) from None
        finally:
            journal.stop(SECONDS)
