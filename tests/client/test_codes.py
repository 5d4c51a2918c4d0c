"""Invitation codes: written and read, and known when they were mistyped or cut."""

import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securechat.accounts.tokens import hash_token, new_token
from securechat.client.address import Address
from securechat.client.codes import Invited, read_code, write_code
from securechat.errors import UsageError

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def invited(host: str = "chat.example.org", port: int = 7443) -> Invited:
    return Invited(Address("carol", host, port), secrets.token_bytes(32), new_token())


@pytest.mark.parametrize(("host", "port"), [("chat.example.org", 7443), ("192.0.2.7", 1), ("2001:db8::1", 65_535)])
def test_a_code_says_who_where_by_which_ca_and_with_which_secret(host: str, port: int) -> None:
    written = invited(host, port)
    code = write_code(written)
    assert set(code.removeprefix("sc1.")) <= set(ALPHABET)
    assert read_code(code) == written
    # Mail breaks it, people paste it with spaces around.
    assert read_code(f"  {code[:40]}\n {code[40:]}\n") == written
    assert hash_token(read_code(code).secret) == hash_token(written.secret)


def test_the_secret_is_in_no_repr() -> None:
    one = invited()
    assert one.secret not in repr(one)
    assert "carol" in repr(one)


@given(st.data())
def test_a_code_with_a_slip_is_known(data: st.DataObject) -> None:
    code = write_code(invited())
    place = data.draw(st.integers(4, len(code) - 2))  # the last character has bits that mean nothing
    slip = data.draw(st.sampled_from([char for char in ALPHABET if char != code[place]]))
    with pytest.raises(UsageError, match="mistyped or cut short"):
        read_code(code[:place] + slip + code[place + 1 :])


@pytest.mark.parametrize("typed", ["", "hello", "sc2.AAAA", "https://chat.example.org"])
def test_what_is_no_code_is_told(typed: str) -> None:
    with pytest.raises(UsageError, match="no invitation code"):
        read_code(typed)


def test_a_code_that_is_cut_or_holds_what_none_holds_is_told() -> None:
    code = write_code(invited())
    for end in range(5, len(code)):
        with pytest.raises(UsageError, match="invitation code"):
            read_code(code[:end])
    for wrong in ("sc1.", f"{code[:20]}+{code[21:]}", f"{code}ü", "sc1.AAAA", f"sc1.{'A' * 120}"):
        with pytest.raises(UsageError, match="invitation code"):
            read_code(wrong)
