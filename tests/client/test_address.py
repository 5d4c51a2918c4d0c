"""An address is taken as people type it, and refused with what to type instead."""

import pytest

from securechat.client.address import Address, read_address
from securechat.errors import UsageError


@pytest.mark.parametrize(
    ("typed", "address"),
    [
        ("localhost", Address("", "localhost", 7443)),
        ("alice@chat.example", Address("alice", "chat.example", 7443)),
        ("alice@chat.example:7000", Address("alice", "chat.example", 7000)),
        ("127.0.0.1:1", Address("", "127.0.0.1", 1)),
        ("[::1]", Address("", "::1", 7443)),
        ("bob@[fe80::1]:65535", Address("bob", "fe80::1", 65535)),
    ],
)
def test_an_address_is_read(typed: str, address: Address) -> None:
    assert read_address(typed) == address


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("", "names no host"),
        ("alice@", "names no host"),
        (":7443", "names no host"),
        (".example", "names no host"),
        ("two words", "names no host"),
        ("@host", "cannot be a username"),
        ("Alice@host", "a-z"),
        ("a\nb@host", "cannot be a username"),
        ("::1", r"\[::1\]"),
        ("[::1", "is not an address"),
        ("[::1]7443", "is not an address"),
        ("[]", "names no host"),
        ("host:", "is not a port"),
        ("host:0", "is not a port"),
        ("host:65536", "is not a port"),
        ("host:https", "is not a port"),
        ("host:²", "is not a port"),
        ("[::1]:", "is not a port"),
    ],
)
def test_what_is_no_address_is_refused_with_the_reason(typed: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        read_address(typed)


def test_an_address_is_shown_as_it_is_typed() -> None:
    assert str(Address("", "::1", 7443)) == "[::1]:7443"
    assert str(Address("alice", "chat.example", 1)) == "chat.example:1"
