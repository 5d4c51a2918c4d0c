"""New keys and certificates as values: what goes into them, and for how long. It touches no file and reads no clock."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from securechat.certificates.hosts import Host

SERVER_DAYS: Final = 90
"""A server certificate's longest life: Mozilla's "modern" profile, and short enough to do without revocation."""

CLIENT_DAYS: Final = 90
"""A client certificate's longest life: what was lost and not noticed ends by itself."""

REVOCATION_DAYS: Final = 90
"""A revocation list's life: whoever renews the server's certificate renews it in the same go."""

ACCOUNT_URI: Final = "securechat:account:"
"""A client certificate's alternative name, with the account's name behind it; no server can have it."""

AUTHORITY_DAYS: Final = 3652
"""A CA certificate's life, ten years: renewing it means going to everybody who connects."""

CLOCK_SKEW: Final = timedelta(hours=1)
"""How far a peer's clock may be behind ours before a new certificate is "not yet valid" to it."""


def new_key() -> ec.EllipticCurvePrivateKey:
    """A new key on P-256, the curve that every TLS 1.3 implementation has (RFC 8446, section 9.1)."""
    return ec.generate_private_key(ec.SECP256R1())


def key_pem(key: ec.EllipticCurvePrivateKey, passphrase: str = "") -> bytes:
    """The key in PEM form; without a passphrase it is not encrypted: a server starts when nobody is there to type."""
    encryption = BestAvailableEncryption(passphrase.encode()) if passphrase else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)


def certificate_pem(certificate: x509.Certificate) -> bytes:
    """The certificate in PEM form."""
    return certificate.public_bytes(Encoding.PEM)


def issue_authority_certificate(key: ec.EllipticCurvePrivateKey, now: datetime) -> x509.Certificate:
    """The CA certificate of this key.

    Its name is derived from the key: made again from the same key, it still is the issuer of what it issued before.
    """
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    name = _name(f"securechat CA {identifier.digest[:4].hex()}")
    return (
        _builder(key.public_key(), name, name, now, AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(certify=True), critical=True)
        .add_extension(identifier, critical=False)
        .sign(key, SHA256())
    )


def issue_server_certificate(
    key: ec.EllipticCurvePublicKey,
    hosts: Iterable[Host],
    authority: x509.Certificate,
    authority_key: ec.EllipticCurvePrivateKey,
    now: datetime,
    days: int,
) -> x509.Certificate:
    """A certificate for a server with these names; it ends after `days` days, or with its CA.

    It has what RFC 5280 asks for and `VERIFY_X509_STRICT` checks.
    """
    names = [_general_name(host) for host in hosts]
    builder = _builder(key, _name("securechat server"), authority.subject, now, days, authority.not_valid_after_utc)
    return _sign_leaf(builder, key, names, ExtendedKeyUsageOID.SERVER_AUTH, authority, authority_key)


def issue_client_certificate(
    key: ec.EllipticCurvePublicKey,
    account: str,
    authority: x509.Certificate,
    authority_key: ec.EllipticCurvePrivateKey,
    now: datetime,
    days: int,
) -> x509.Certificate:
    """A certificate with which a client shows whose account it comes for; it ends as a server's does.

    The account stands in the alternative name alone; the common name is for people who look at it.
    """
    names = [x509.UniformResourceIdentifier(ACCOUNT_URI + account)]
    builder = _builder(key, _name(account), authority.subject, now, days, authority.not_valid_after_utc)
    return _sign_leaf(builder, key, names, ExtendedKeyUsageOID.CLIENT_AUTH, authority, authority_key)


def issue_revocation_list(
    revoked: Mapping[int, datetime],
    number: int,
    authority: x509.Certificate,
    authority_key: ec.EllipticCurvePrivateKey,
    now: datetime,
) -> x509.CertificateRevocationList:
    """The list of revoked certificates by serial number, each with its time; `number` grows from list to list."""
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(authority.subject)
        .last_update(now - CLOCK_SKEW)
        .next_update(now + timedelta(days=REVOCATION_DAYS))
        .add_extension(x509.CRLNumber(number), critical=False)
        .add_extension(_authority_identifier(authority), critical=False)
    )
    for serial, time in revoked.items():
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(time).build()
        builder = builder.add_revoked_certificate(entry)
    return builder.sign(authority_key, SHA256())


def _sign_leaf(
    builder: x509.CertificateBuilder,
    key: ec.EllipticCurvePublicKey,
    names: Iterable[x509.GeneralName],
    purpose: x509.ObjectIdentifier,
    authority: x509.Certificate,
    authority_key: ec.EllipticCurvePrivateKey,
) -> x509.Certificate:
    return (
        builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(certify=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(_authority_identifier(authority), critical=False)
        .sign(authority_key, SHA256())
    )


def _authority_identifier(authority: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    identifier = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)


def _builder(
    key: ec.EllipticCurvePublicKey,
    subject: x509.Name,
    issuer: x509.Name,
    now: datetime,
    days: int,
    latest: datetime | None = None,
) -> x509.CertificateBuilder:
    begins = now - CLOCK_SKEW
    # Both ends belong to the validity (RFC 5280, section 4.1.2.5): without this second it would be a second too long.
    expires = begins + timedelta(days=days, seconds=-1)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(min(expires, latest) if latest else expires)
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _usage(*, certify: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not certify,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=certify,
        crl_sign=certify,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(host: Host) -> x509.GeneralName:
    return x509.DNSName(host) if isinstance(host, str) else x509.IPAddress(host)
