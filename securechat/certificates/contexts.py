"""The TLS contexts of both sides, complete when they are returned: a context in use is never changed, but replaced.

This file wraps no socket.
"""

import itertools
import os
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from securechat.certificates.explain import words_of
from securechat.certificates.reading import (
    belongs,
    is_authority,
    is_for,
    is_issued_by,
    names_of,
    read_certificates,
    read_private_key,
)
from securechat.certificates.revocations import read_revocations
from securechat.errors import CertificateError, ConfigError

ALPN: Final = "securechat/1"
"""The name of the native protocol in the TLS handshake (RFC 7301)."""

RENEW = "`securechat gen-certs` renews it."

_VERSIONS = {"1.3": ssl.TLSVersion.TLSv1_3, "1.2": ssl.TLSVersion.TLSv1_2}


@dataclass(frozen=True)
class ClientCheck:
    """How a server looks at client certificates: whose they must be, which are revoked, and whether one is needed."""

    authority: Path
    revocations: Path
    is_required: bool


USUAL_GROUP: Final = "X25519"
"""The key exchange that clients of OpenSSL, Go and the browsers offer first. Where a server takes only another, each
handshake begins anew: one more round trip, and half as much CPU again (P-256, measured)."""


def server_context(
    certificate: Path,
    key: Path,
    *,
    minimum: Literal["1.3", "1.2"] = "1.3",
    group: str = USUAL_GROUP,
    clients: ClientCheck | None = None,
) -> ssl.SSLContext:
    """The context for accepting with this certificate, once everything about it has been looked at.

    `group` is the one key exchange group to offer; with "", and with X25519 beside TLS 1.2, OpenSSL's own list stands.
    With `clients`, certificates of clients are asked for; where the revocation list is missing or has expired, none is
    taken.
    Raises CertificateError for files that cannot be used now, ConfigError for a group that OpenSSL does not know.
    """
    refuse_unusable(certificate, key, datetime.now(UTC))
    # Not create_default_context: it writes the session keys to a file when SSLKEYLOGFILE is set.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS[minimum]
    context.maximum_version = ssl.TLSVersion.TLSv1_3
    context.options |= ssl.OP_NO_RENEGOTIATION
    # Resumption would bring back a client whose certificate has been revoked.
    context.num_tickets = 0
    if minimum == "1.2":
        # num_tickets counts for 1.3 alone. Not set for 1.3 alone, where this option made memory grow (CVE-2024-2511).
        # A 1.2 session can still be resumed by its id, and Python cannot turn that off: whoever checks client
        # certificates has to refuse a connection whose `session_reused` is true.
        context.options |= ssl.OP_NO_TICKET
        # Forward secrecy and authenticated encryption, as 1.3 has nothing else (RFC 9325, section 4.2).
        context.set_ciphers("ECDHE+AESGCM:ECDHE+CHACHA20")
    context.set_alpn_protocols([ALPN])
    # In 1.2 the groups are also the curves of certificates, and no certificate can be on X25519.
    if group and (minimum != "1.2" or group != USUAL_GROUP):
        try:
            context.set_ecdh_curve(group)
        except (ValueError, ssl.SSLError):  # not known at all, or not in this way (before OpenSSL 3)
            raise ConfigError(
                f"tls_group = {group!r} is no group of {ssl.OPENSSL_VERSION}.", hint='Known to all is "prime256v1".'
            ) from None
    if clients:
        _check_clients(context, clients)
    _load(context, certificate, key)
    return context


class KeyPair(NamedTuple):
    """The files with a client certificate and its key."""

    certificate: Path
    key: Path


def client_context(authority: Path | None, shown: KeyPair | None = None) -> ssl.SSLContext:
    """The context for connecting: chain and name are always verified, against this CA alone or against the system's.

    `shown` is what a server gets that asks for a client certificate.
    Raises CertificateError for a file that cannot be used.
    """
    # Not create_default_context, here too: see above.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.hostname_checks_common_name = False
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    context.set_alpn_protocols([ALPN])
    if shown:
        _show(context, shown)
    if authority is None:
        context.load_default_certs()
        return context
    try:
        certificates = read_certificates(authority)
    except CertificateError as error:
        raise CertificateError(error.message, hint="It should be the ca.pem of the server.") from None
    # These very bytes: the file may be another one by the time OpenSSL opens it.
    context.load_verify_locations(cadata=b"".join(map(_der, certificates)))
    return context


def unproven_context() -> ssl.SSLContext:
    """The context for the one question that is asked of a server before it is proven: which CA it has.

    Only `client.first_contact` may use it, and nothing secret may be said on it: what comes back is worth something
    only because its SHA-256 is compared with that in an invitation.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols([ALPN])
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _check_clients(context: ssl.SSLContext, clients: ClientCheck) -> None:
    authority = read_certificates(clients.authority)[0]
    if not is_authority(authority):
        raise CertificateError(f"{clients.authority} holds no CA's certificate, and client certificates need one.")
    context.verify_mode = ssl.CERT_REQUIRED if clients.is_required else ssl.CERT_OPTIONAL
    # With the check and without a list OpenSSL takes no certificate at all: what is lost closes the door.
    context.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_CRL_CHECK_LEAF
    context.load_verify_locations(cadata=_der(authority))
    if read_revocations(clients.revocations, authority):
        try:
            context.load_verify_locations(cafile=clients.revocations)  # lists can be had from a file alone
        except (ssl.SSLError, OSError) as error:
            raise CertificateError(f"OpenSSL does not accept {clients.revocations}: {_reason(error)}.") from None


def _show(context: ssl.SSLContext, pair: KeyPair) -> None:
    certificate, key = pair
    shown = read_certificates(certificate)[0]
    if not belongs(read_private_key(key), shown):
        raise CertificateError(f"{key} is not the key of {certificate}.", hint="Give the two files that came together.")
    if not is_for(shown, ExtendedKeyUsageOID.CLIENT_AUTH):
        raise CertificateError(
            f"{certificate} is no client certificate.", hint="`securechat cert client NAME` on the server makes one."
        )
    now = datetime.now(UTC)
    if shown.not_valid_after_utc < now:
        raise CertificateError(
            f"Your certificate {certificate} expired on {shown.not_valid_after_utc:%Y-%m-%d}.",
            hint="Whoever runs the server makes a new one with `securechat cert client NAME`.",
        )
    _load(context, certificate, key)


def _load(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    try:
        # The empty passphrase: OpenSSL would ask for one on the terminal.
        context.load_cert_chain(certificate, key, password=lambda: b"")
    except (ssl.SSLError, OSError) as error:
        raise CertificateError(f"OpenSSL does not accept {certificate} with {key}: {_reason(error)}.") from None


def refuse_unusable(certificate: Path, key: Path, now: datetime) -> None:
    """Raise CertificateError unless a server can show this certificate now: key, dates, names, purpose and chain."""
    chain = read_certificates(certificate)
    if not belongs(read_private_key(key), chain[0]):
        raise CertificateError(f"{key} is not the key of {certificate}.", hint=RENEW)
    for link in chain:
        if link.not_valid_after_utc < now:
            raise CertificateError(f"{certificate} expired on {link.not_valid_after_utc:%Y-%m-%d}.", hint=RENEW)
        if link.not_valid_before_utc > now:
            raise CertificateError(
                f"{certificate} is not valid before {link.not_valid_before_utc:%Y-%m-%d %H:%M} UTC.",
                hint="Look at this machine's clock.",
            )
    try:
        names = names_of(chain[0])
    except (ValueError, x509.DuplicateExtension) as error:
        raise CertificateError(f"{certificate} is malformed: {error}.", hint=RENEW) from None
    if not names or not is_for(chain[0], ExtendedKeyUsageOID.SERVER_AUTH):
        lacking = "is for no server" if names else "is for no name"
        raise CertificateError(f"{certificate} {lacking}, so no client would take it.", hint=RENEW)
    if not all(is_issued_by(link, issuer) for link, issuer in itertools.pairwise(chain)):
        raise CertificateError(
            f"The certificates in {certificate} are no chain.",
            hint="The server's own comes first, and behind each the one that issued it.",
        )


def _der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)


def _reason(error: OSError) -> str:
    return words_of(error) if isinstance(error, ssl.SSLError) else os.strerror(error.errno or 0)
