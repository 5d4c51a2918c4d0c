"""What a failed TLS handshake means, for the person who connects: one sentence, and what to do about it.

Nothing that the peer sent is repeated in it but names that a host can have. It decides nothing: the connection is
over already.
"""

import re
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from cryptography import x509

from securechat.certificates.hosts import parse_host
from securechat.certificates.reading import is_authority, names_of, read_certificates
from securechat.errors import CertificateError, Refused, UsageError, VerificationFailed

NAMES_SHOWN: Final = 4
"""Names of a server that are told to a person who asked for another; all of ours but one are this machine's own."""

# OpenSSL, x509_vfy.h: X509_V_ERR_*.
_NOT_YET_VALID = 9
_EXPIRED = 10
_SELF_SIGNED = 18
_UNKNOWN_CA: Final = frozenset({2, 7, 19, 20, 21, 30})
_WRONG_NAME: Final = frozenset({62, 64})

_ALERTS: Final = {
    "protocol version": (
        "{host} does not offer TLS 1.3, and this client accepts nothing older.",
        "Whoever runs the server has to update it.",
    ),
    "handshake failure": (
        "{host} and this client have no TLS algorithm in common.",
        "Whoever runs the server may have to change its setting tls_group.",
    ),
    "no application protocol": ("{host} speaks another protocol than securechat.", "Look at the port."),
    "internal error": ("{host} failed during the TLS handshake.", "Its log may say why."),
}
"""What the peer can say when it ends a handshake (RFC 8446, section 6.2), in OpenSSL's words."""

_DER: Final = 2
"""OpenSSL's number for the DER form, in Python's `_ssl`."""

_ANEW: Final = "Whoever runs the server makes a new one: securechat cert client NAME"
_NO_CLIENT: Final = (
    "{host} does not take this client's certificate.",
    "It has to be one that `securechat cert client NAME` made there; the server's log says what is wrong with it.",
)
_REFUSALS: Final = {
    "certificate required": (
        "{host} asks for a client certificate.",
        "Give --cert and --key. If you have none, whoever runs the server makes it: securechat cert client NAME",
    ),
    "unknown ca": ("{host} does not know the CA of this client's certificate.", _ANEW),
    "certificate expired": ("This client's certificate has expired, says {host}.", _ANEW),
    "certificate revoked": ("This client's certificate is revoked, says {host}.", _ANEW),
    "bad certificate": _NO_CLIENT,
    "unsupported certificate": _NO_CLIENT,
    "certificate unknown": _NO_CLIENT,
}
"""The same where the server is the right one, and it is this client that it does not take."""

_NOT_TLS: Final = frozenset({"wrong version number", "http request", "packet length too long", "record layer failure"})

# "[SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1006)"; the part in capitals is missing now and then.
_TEXT = re.compile(r"\[[^]]*\] (.*?)(?: \(\S+:\d+\))?\Z")


def explain(
    error: ssl.SSLError, host: str, authority: Path | None, shown: Sequence[str] = ()
) -> VerificationFailed | Refused:
    """Say why TLS with `host` failed; `authority` is the CA file that was trusted, None for the system's CAs, and
    `shown` the names in the certificate that the server showed, where they are known.

    It is Refused where the server did not take this client's certificate, and VerificationFailed for all else.
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        return _verification(error, host, authority, shown)
    words = words_of(error)
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError) or words == "unexpected eof while reading":
        return VerificationFailed(
            f"{host} ended the connection during the TLS handshake.", hint="Is it a securechat server, on this port?"
        )
    if words in _NOT_TLS:
        return VerificationFailed(f"{host} answered, but not with TLS.", hint="Look at the port.")
    alert = "protocol version" if words == "unsupported protocol" else words.partition("alert ")[2]
    if alert in _REFUSALS:
        sentence, hint = _REFUSALS[alert]
        return Refused(sentence.format(host=host), code="certificate-refused", hint=hint)
    if alert not in _ALERTS:
        return VerificationFailed(f"TLS with {host} failed: {words}.")
    sentence, hint = _ALERTS[alert]
    return VerificationFailed(sentence.format(host=host), hint=hint)


def words_of(error: ssl.SSLError) -> str:
    """OpenSSL's reason in its own words, without the place in its source: "wrong version number"."""
    text = str(error)
    found = _TEXT.match(text)
    return found[1] if found else text


def shown_names(connection: ssl.SSLSocket) -> list[str]:
    """The names in the certificate that a server showed which could not be verified, as far as a host can have them."""
    # Public since Python 3.13; before, the part beneath has it.
    teller: Any = connection if hasattr(connection, "get_unverified_chain") else getattr(connection, "_sslobj", None)
    chain = teller.get_unverified_chain() if teller else None
    if not chain:
        return []
    leaf = chain[0] if isinstance(chain[0], bytes) else chain[0].public_bytes(_DER)
    try:
        names = names_of(x509.load_der_x509_certificate(leaf))
        return [str(parse_host(name.removeprefix("*."))) for name in names[:NAMES_SHOWN]]
    except (ValueError, x509.DuplicateExtension, UsageError):
        return []  # what is no name is not repeated


def _verification(
    error: ssl.SSLCertVerificationError, host: str, authority: Path | None, shown: Sequence[str]
) -> VerificationFailed:
    code = error.verify_code
    if code in _UNKNOWN_CA:
        return _unknown_authority(host, authority)
    if code in _WRONG_NAME:
        is_for = f"for {', '.join(shown)}; you asked for {host}" if shown else f"not for {host}"
        return VerificationFailed(
            f"The server's certificate is {is_for}.", hint=f"On the server: securechat gen-certs --host {host}"
        )
    if code == _EXPIRED:
        return _expired(host, authority)
    if code == _NOT_YET_VALID:
        return VerificationFailed(
            f"The certificate of {host} is not valid yet.", hint="Look at the clocks of this machine and of the server."
        )
    if code == _SELF_SIGNED:
        return VerificationFailed(
            f"{host} shows a certificate that no CA has signed but itself, so it may be anybody.",
            hint="If it is the right server, whoever runs it makes a proper one with `securechat gen-certs`.",
        )
    return VerificationFailed(f"The certificate of {host} is not acceptable: {error.verify_message}.")


def _unknown_authority(host: str, authority: Path | None) -> VerificationFailed:
    if authority is None:
        return VerificationFailed(
            f"The certificate of {host} is from a CA that this system does not know.",
            hint="If the server has its own CA, get its ca.pem from whoever runs it and give it with --ca.",
        )
    if not any(map(is_authority, _stored(authority))):
        return VerificationFailed(
            f"{authority} holds no CA's certificate, so {host} cannot be checked with it.",
            hint="It should be the ca.pem of the server.",
        )
    return VerificationFailed(
        f"The certificate of {host} is not from the CA in {authority}: this is another server, or its CA is a new one.",
        hint="Ask whoever runs it for its ca.pem, and compare fingerprints with what `securechat gen-certs` printed.",
    )


def _expired(host: str, authority: Path | None) -> VerificationFailed:
    now = datetime.now(UTC)
    if authority and any(certificate.not_valid_after_utc < now for certificate in _stored(authority)):
        return VerificationFailed(
            f"The CA certificate in {authority} expired.", hint="Get the new ca.pem from whoever runs the server."
        )
    return VerificationFailed(
        f"The certificate of {host} expired.",
        hint="Whoever runs the server renews it with `securechat gen-certs`. If that was done, look at the clock here.",
    )


def _stored(authority: Path) -> list[x509.Certificate]:
    try:
        return read_certificates(authority)
    except CertificateError:
        return []  # It was there when the context was made; what failed then is still worth saying.
