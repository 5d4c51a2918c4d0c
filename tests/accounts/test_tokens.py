"""Session tokens: random, of one length, and known to the server by their hash alone."""

import hashlib
from dataclasses import replace

from securechat.accounts.tokens import fingerprint, hash_token, new_token, opens
from securechat.chat.model import Token
from tests.accounts.support import CHEAP, OTHER_CHEAP, account


def test_tokens_are_all_different_and_hold_32_random_bytes() -> None:
    tokens = {new_token() for _ in range(1_000)}
    assert len(tokens) == 1_000
    assert {len(token) for token in tokens} == {43}  # 32 bytes in base64, without padding


def test_a_token_is_kept_as_its_hash() -> None:
    token = new_token()
    assert hash_token(token) == hashlib.sha256(token.encode()).digest()
    assert token.encode() not in hash_token(token)


def test_any_text_that_a_peer_sends_as_a_token_has_a_hash() -> None:
    assert len(hash_token("\ud800 \u0000 é")) == 32


def test_a_token_opens_nothing_for_another_password_or_an_account_that_may_not_log_in() -> None:
    bob = account("bob", password=CHEAP)
    token = Token("bob", "", 1, fingerprint(CHEAP))
    assert opens(token, bob)
    assert not opens(token, replace(bob, password=OTHER_CHEAP))
    assert not opens(token, replace(bob, state="disabled"))
    assert opens(Token("bob", "", 1), bob), "nothing is known against one from before there were fingerprints"
    assert CHEAP.encode() not in fingerprint(CHEAP)
