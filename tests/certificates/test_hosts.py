"""What a server certificate can be for: DNS names and addresses, and a sentence for all else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securechat.certificates.hosts import parse_host
from securechat.errors import UsageError


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("localhost", "localhost"),
        ("Chat.Example.ORG.", "chat.example.org"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("3com.example", "3com.example"),
        ("192.0.2.7", "192.0.2.7"),
        ("2001:DB8::0:7", "2001:db8::7"),
        ("[2001:db8::7]", "2001:db8::7"),
        ("a" * 63 + ".example", "a" * 63 + ".example"),
    ],
)
def test_names_and_addresses_have_one_form(text: str, host: str) -> None:
    assert str(parse_host(text)) == host


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "a..b",
        "-a.example",
        "a-.example",
        "my_host",
        "*.example.org",
        "a" * 64,
        ".".join(["a" * 63] * 4),
        "chat.example.org:7443",
        "chat.example.org\n",
        "\x1b[2Jchat",
        "192.0.2",
        "192.0.2.256",
        "two words",
    ],
)
def test_what_is_neither_is_refused_without_repeating_control_characters(text: str) -> None:
    with pytest.raises(UsageError, match="neither a DNS name nor an IP address") as caught:
        parse_host(text)
    assert str(caught.value).isprintable()
    assert "without a port" in caught.value.hint


def test_a_name_in_another_script_is_asked_for_in_its_ascii_form() -> None:
    with pytest.raises(UsageError, match="begins with xn--"):
        parse_host("bücher.example")


@pytest.mark.parametrize("text", ["0.0.0.0", "::", "224.0.0.1", "ff02::1"])
def test_an_address_that_nobody_can_connect_to_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="no address that anybody can connect to"):
        parse_host(text)


def test_an_address_with_a_zone_is_refused() -> None:
    with pytest.raises(UsageError, match="has a zone"):
        parse_host("fe80::1%eth0")


@given(st.text() | st.from_regex(r"[a-zA-Z0-9.:\[\]%_-]{0,20}", fullmatch=True))
def test_any_text_is_a_host_whose_form_stays_or_is_refused(text: str) -> None:
    try:
        host = parse_host(text)
    except UsageError:
        return
    assert parse_host(str(host)) == host
    assert str(host).isascii() and str(host).isprintable()
