"""Accounts and webhooks that a cluster shares: durable, with the tokens that they end in the same commit."""

from contextlib import closing
from pathlib import Path

import pytest

from securechat.accounts.tokens import fingerprint
from securechat.chat.accounts import Account, Hook, SetAccount, SetHook
from securechat.chat.changes import OUTDATED
from securechat.chat.model import Changed, Grant, Unchanged
from securechat.errors import StorageFailed
from securechat.journal.draft import Revoked
from securechat.journal.reader import Reader
from securechat.journal.state import View, digest
from tests.chat.test_accounts import BUILD, HASH, MIA, OTHER, TIM
from tests.journal.conftest import Opener

DISABLED = Account("tim", "member", "disabled", HASH)
REHASHED = Account("tim", "member", "active", OTHER)


def all_of(view: View) -> str:
    return digest(view.rooms, view.accounts, view.hooks)


OLD, NEW = fingerprint(HASH), fingerprint(OTHER)


def test_what_is_shared_is_there_at_the_next_start(opened: Opener, tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    with opened(path) as running:
        empty = all_of(running.journal.view)
        batch = running.settle(
            SetAccount("tim", None, TIM),
            SetAccount("mia", None, MIA),
            SetAccount("mia", None, MIA),
            SetHook("build", None, BUILD),
        )
        assert [type(outcome) for _, outcome in batch.outcomes] == [Changed, Changed, Unchanged, Changed]
        assert set(batch.enrolled) == {"tim", "mia"}
        full = all_of(running.journal.view)
        assert full != empty
    with opened(path) as running:
        view = running.journal.view
        assert view.accounts == {"mia": MIA, "tim": TIM}
        assert view.hooks == {"build": BUILD}
        assert all_of(view) == full
        other = Hook("build", "ops", BUILD.token_hash)
        assert isinstance(running.outcome(SetHook("build", BUILD, other)), Changed)
        assert all_of(running.journal.view) != full
        # The second of one batch sees what the first has done.
        batch = running.settle(
            SetAccount("tim", TIM, None), SetAccount("tim", TIM, DISABLED), SetHook("build", other, None)
        )
        assert [outcome for _, outcome in batch.outcomes][1] == OUTDATED
    with opened(path) as running:
        assert running.journal.view.accounts == {"mia": MIA}
        assert running.journal.view.hooks == {}


def test_what_is_shared_is_read_beside_the_journal_and_a_table_that_is_gone_is_told(
    opened: Opener, tmp_path: Path
) -> None:
    path = tmp_path / "chat.db"
    with opened(path) as running, closing(Reader(path)) as reader:
        running.settle(SetAccount("tim", None, TIM), SetHook("build", None, BUILD))
        assert reader.accounts() == {"tim": TIM}
        assert reader.hooks() == {"build": BUILD}
        for table, read in (("accounts", reader.accounts), ("hooks", reader.hooks)):
            running.store.connection.execute(f"DROP TABLE {table}")
            with pytest.raises(StorageFailed, match=r"chat\.db cannot be used"):
                read()


def test_another_password_ends_all_tokens_but_the_one_that_is_kept(opened: Opener, tmp_path: Path) -> None:
    with opened(tmp_path / "chat.db") as running:
        running.settle(
            SetAccount("tim", None, TIM), Grant("tim", b"a", fingerprint=OLD), Grant("tim", b"b", fingerprint=OLD)
        )
        batch = running.settle(SetAccount("tim", TIM, REHASHED, kept=b"b"))
        assert batch.revoked == [Revoked(b"a", "tim")]
        view = running.journal.view
        assert {held: token.fingerprint for held, token in view.tokens.items()} == {b"b": NEW}
        assert running.settle(SetAccount("tim", REHASHED, DISABLED)).revoked == [Revoked(b"b", "tim")]
        running.settle(Grant("tim", b"c"))
        # To let somebody in again ends nothing.
        assert running.settle(SetAccount("tim", DISABLED, TIM)).revoked == []
        assert running.settle(SetAccount("tim", TIM, None)).revoked == [Revoked(b"c", "tim")]


def test_the_same_password_hashed_anew_ends_no_token(opened: Opener, tmp_path: Path) -> None:
    with opened(tmp_path / "chat.db") as running:
        running.settle(SetAccount("tim", None, TIM), Grant("tim", b"a", fingerprint=OLD))
        assert running.settle(SetAccount("tim", TIM, REHASHED, rehashed=True)).revoked == []
        assert running.journal.view.tokens[b"a"].fingerprint == NEW
