"""The names that a server certificate can be for: DNS names and IP addresses. It asks no name server."""

import ipaddress
import re
from ipaddress import IPv4Address, IPv6Address

from securechat.errors import UsageError

Host = str | IPv4Address | IPv6Address

LOCAL: tuple[str, ...] = ("localhost", "127.0.0.1", "::1")
"""What every server certificate is for: a first try happens on the machine itself."""

# RFC 1123, section 2.1: letters, digits and inner hyphens, up to 63 a label and 253 in all.
_LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)\Z")
_NAME_LENGTH = 253


def parse_host(text: str) -> Host:
    """A DNS name in lower case without its last dot, or an IP address. Raises UsageError for what is neither."""
    try:
        return _parse_address(text)
    except ValueError:
        pass
    name = text.lower().removesuffix(".")
    labels = name.split(".")
    # A name that ends in digits alone is a mistyped address: every client takes it for one.
    if len(name) > _NAME_LENGTH or labels[-1].isdecimal() or not all(map(_LABEL.match, labels)):
        hint = "Write what people will connect to, like chat.example.org or 192.0.2.7, without a port."
        if not text.isascii():
            hint = "Write it in its ASCII form, which begins with xn--."
        raise UsageError(f"{text!a} is neither a DNS name nor an IP address.", hint=hint)
    return name


def _parse_address(text: str) -> IPv4Address | IPv6Address:
    address = ipaddress.ip_address(text.removeprefix("[").removesuffix("]"))
    if address.is_unspecified or address.is_multicast:
        raise UsageError(f"{address} is no address that anybody can connect to.", hint="Name the server's own address.")
    if isinstance(address, IPv6Address) and address.scope_id:
        raise UsageError(f"{address} has a zone, which no certificate can hold.", hint="Leave out what follows the %.")
    return address
