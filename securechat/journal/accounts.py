"""The accounts and webhooks that a cluster shares, as the store keeps them: no rows where a server stands alone.

It knows their columns, and no rule.
"""

from collections.abc import Mapping
from dataclasses import astuple
from typing import Final

from securechat.chat.accounts import Account, Hook

ACCOUNTS: Final = "SELECT name, role, state, password FROM accounts ORDER BY name"
HOOKS: Final = "SELECT name, room, token FROM hooks ORDER BY name"

_SAVE_ACCOUNT: Final = "INSERT OR REPLACE INTO accounts (name, role, state, password) VALUES {rows}"
_DROP_ACCOUNT: Final = "DELETE FROM accounts WHERE name = ?"
_SAVE_HOOK: Final = "INSERT OR REPLACE INTO hooks (name, room, token) VALUES {rows}"
_DROP_HOOK: Final = "DELETE FROM hooks WHERE name = ?"


def steps_for(
    accounts: Mapping[str, Account | None], hooks: Mapping[str, Hook | None]
) -> list[tuple[str, list[tuple[object, ...]]]]:
    """The statements, with their rows, that write these (None: gone)."""
    return [
        (_DROP_ACCOUNT, [(name,) for name, account in accounts.items() if account is None]),
        (_SAVE_ACCOUNT, [astuple(account) for account in accounts.values() if account is not None]),
        (_DROP_HOOK, [(name,) for name, hook in hooks.items() if hook is None]),
        (_SAVE_HOOK, [astuple(hook) for hook in hooks.values() if hook is not None]),
    ]
