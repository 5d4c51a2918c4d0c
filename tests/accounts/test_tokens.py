"""Session tokens: random, of one length, and known to the server by their hash alone."""

import hashlib

from securechat.accounts.tokens import hash_token, new_token


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
