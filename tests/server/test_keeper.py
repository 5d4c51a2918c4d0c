"""The keeper says once, and not each second, why accounts cannot be taken up."""

import threading
from types import SimpleNamespace
from typing import Any

import pytest

from securechat.errors import CredentialError
from securechat.server import keeper
from tests.server.support import DEADLINE


def test_what_keeps_accounts_from_being_taken_up_is_said_once_for_as_long_as_it_lasts(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "AT_FIRST_SECONDS", 0.001)
    looks = iter([CredentialError("It is away.")] * 3 + [None] + [CredentialError("It is away.")] * 2)
    done = threading.Event()

    def refresh() -> frozenset[str]:
        error = next(looks, done)
        if isinstance(error, CredentialError):
            raise error
        if error is done:
            done.set()
        return frozenset()

    parts: Any = SimpleNamespace(
        is_ready=False, refresh=refresh, context=None, look=bool, sweep=lambda now: False, close=bool
    )
    looking = keeper.Keeper(parts, parts, parts, parts.look, lambda: parts, lambda reader: parts, parts.look)
    looking.start()
    try:
        assert done.wait(DEADLINE)
    finally:
        looking.stop()
    assert caplog.text.count("accounts stay as they were: It is away.") == 2
