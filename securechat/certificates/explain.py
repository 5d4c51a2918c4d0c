"""What a failed TLS handshake means, for the person who connects: one sentence, and what to do about it.

Nothing that the peer sent is repeated in it. It decides nothing: the connection is over already.
"""

import re
import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cryptography import x509

from securechat.certificates.reading import is_authority, read_certificates
from securechat.errors import CertificateError, VerificationFailed

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
    "certificate required": ("{host} asks for a client certificate.", "Ask whoever runs the server for one."),
    "unknown ca": ("{host} does not know the CA of this client's certificate.", "Ask whoever runs the server."),
    "certificate expired": ("{host} says that this client's certificate expired.", "Ask whoever runs the server."),
    "certificate revoked": ("{host} says that this client's certificate is revoked.", "Ask whoever runs the server."),
    "bad certificate": ("{host} refuses this client's certificate.", "Ask whoever runs the server."),
    "unsupported certificate": ("{host} refuses this client's certificate.", "Ask whoever runs the server."),
    "certificate unknown": ("{host} refuses this client's certificate.", "Ask whoever runs the server."),
    "internal error": ("{host} failed during the TLS handshake.", "Its log may say why."),
}
"""What the peer can say when it ends a handshake (RFC 8446, section 6.2), in OpenSSL's words."""

_NOT_TLS: Final = frozenset({"wrong version number", "http request", "packet length too long", "record layer failure"})

# "[SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1006)"; the part in capitals is missing now and then.
_TEXT = re.compile(r"\[[^]]*\] (.*?)(?: \(\S+:\d+\))?\Z")


def explain(error: ssl.SSLError, host: str, authority: Path | None) -> VerificationFailed:
    """Say why TLS with `host` failed; `authority` is the CA file that was trusted, None for the system's CAs."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _verification(error, host, authority)
    words = words_of(error)
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError) or words == "unexpected eof while reading":
        return VerificationFailed(
            f"{host} ended the connection during the TLS handshake.", hint="Is it a securechat server, on this port?"
        )
    if words in _NOT_TLS:
        return VerificationFailed(f"{host} answered, but not with TLS.", hint="Look at the port.")
    alert = "protocol version" if words == "unsupported protocol" else words.partition("alert ")[2]
    if alert not in _ALERTS:
        return VerificationFailed(f"TLS with {host} failed: {words}.")
    sentence, hint = _ALERTS[alert]
    return VerificationFailed(sentence.format(host=host), hint=hint)


def words_of(error: ssl.SSLError) -> str:
    """OpenSSL's reason in its own words, without the place in its source: "wrong version number"."""
    text = str(error)
    found = _TEXT.match(text)
    return found[1] if found else text


def _verification(error: ssl.SSLCertVerificationError, host: str, authority: Path | None) -> VerificationFailed:
    code = error.verify_code
    if code in _UNKNOWN_CA:
        return _unknown_authority(host, authority)
    if code in _WRONG_NAME:
        return VerificationFailed(
            f"The server's certificate is not for {host}.",
            hint="Connect by a name that it is for, or have this one added on the server: "
            f"`securechat gen-certs --host {host}`.",
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
