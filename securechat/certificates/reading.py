"""Certificates and keys as they lie on disk: where they are, what they say, and whether they can be used.

It makes none and changes none.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from securechat.certificates.issuing import ACCOUNT_URI
from securechat.errors import CertificateError, VerificationFailed
from securechat.files import refuse_if_others_can_read

MAKE = "`securechat gen-certs` makes one."


@dataclass(frozen=True)
class CertificateFolder:
    """The folder where one server keeps its certificates, and the names of what is in it."""

    path: Path

    @property
    def authority(self) -> Path:
        """The CA's certificate: what everybody who connects needs."""
        return self.path / "ca.pem"

    @property
    def authority_key(self) -> Path:
        """The CA's key: whoever has it can pass for the server; a running server does not need it."""
        return self.path / "ca.key"

    @property
    def next_authority(self) -> Path:
        """The certificate of the CA after this one, while it is announced."""
        return self.path / "next-ca.pem"

    @property
    def next_authority_key(self) -> Path:
        """Its key."""
        return self.path / "next-ca.key"

    @property
    def next_signature(self) -> Path:
        """The CA's signature over the certificate of the one after it."""
        return self.path / "next-ca.sig"

    @property
    def server_certificate(self) -> Path:
        """What the server shows to its clients."""
        return self.path / "server.pem"

    @property
    def server_key(self) -> Path:
        """The key of the server's certificate."""
        return self.path / "server.key"

    @property
    def revocations(self) -> Path:
        """The CA's list of client certificates that are no longer to be taken."""
        return self.path / "crl.pem"

    @property
    def clients(self) -> Path:
        """The folder of all client certificates that were made; what is not in it can be revoked by number alone."""
        return self.path / "clients"


@dataclass(frozen=True)
class CertificateFacts:
    """What people ask of a certificate: whom it is for, from when to when, and how to recognise it.

    A server's has `names`, a client's an `account`; `serial` is in hexadecimal digits.
    """

    path: Path
    account: str
    issuer: str
    serial: str
    names: tuple[str, ...]
    begins: datetime
    expires: datetime
    fingerprint: str


def inspect_certificate(path: Path) -> CertificateFacts:
    """The facts of the (first) certificate in a PEM file. Raises CertificateError."""
    certificate = read_certificates(path)[0]
    try:
        return CertificateFacts(
            path=path,
            account=account_of(certificate),
            issuer=certificate.issuer.rfc4514_string(),
            serial=f"{certificate.serial_number:x}",
            names=names_of(certificate),
            begins=certificate.not_valid_before_utc,
            expires=certificate.not_valid_after_utc,
            fingerprint=fingerprint_of(certificate),
        )
    except (ValueError, x509.DuplicateExtension) as error:
        raise CertificateError(f"{path} holds a malformed certificate: {error}.") from None


def authority_pem(path: Path) -> str:
    """The (first) certificate in a CA's file, alone, in PEM form. Raises CertificateError."""
    return read_certificates(path)[0].public_bytes(Encoding.PEM).decode("ascii")


def told_authority(certificate: str) -> tuple[str, bytes]:
    """What a server that is not proven says is its CA: the certificate in PEM form, and its SHA-256.

    There is exactly one, and it may certify others: nothing else is trusted along with it.
    Raises VerificationFailed for what is no such certificate.
    """
    none = VerificationFailed("What the server says is its CA's certificate is none.", hint="Nothing was sent to it.")
    try:
        (only,) = x509.load_pem_x509_certificates(certificate.encode())
        if is_authority(only):
            return only.public_bytes(Encoding.PEM).decode("ascii"), only.fingerprint(SHA256())
    except (ValueError, UnsupportedAlgorithm):
        raise none from None
    raise none


def split_authorities(pem: str) -> list[str]:
    """The certificates in a PEM text, each in PEM form. Raises ValueError."""
    return [
        certificate.public_bytes(Encoding.PEM).decode("ascii")
        for certificate in x509.load_pem_x509_certificates(pem.encode())
    ]


def show_fingerprint(digest: bytes) -> str:
    """A SHA-256 as people compare it, as `openssl x509 -fingerprint -sha256` prints it."""
    return digest.hex(":").upper()


def fingerprint_of(certificate: x509.Certificate) -> str:
    """SHA-256 of the certificate, as people compare it."""
    return show_fingerprint(certificate.fingerprint(SHA256()))


def names_of(certificate: x509.Certificate) -> tuple[str, ...]:
    """The DNS names and IP addresses that the certificate is for. Raises ValueError if they are malformed."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    return tuple(str(name.value) for name in names if isinstance(name, x509.DNSName | x509.IPAddress))


@dataclass(frozen=True)
class PeerCertificate:
    """What a verified client certificate says: whose account it is for ("": nobody's), and its serial number."""

    account: str
    serial: int


def read_peer(certificate: bytes) -> PeerCertificate:
    """The facts of a certificate in DER form that OpenSSL has verified. What cannot be read is nobody's."""
    try:
        found = x509.load_der_x509_certificate(certificate)
    except ValueError:
        return PeerCertificate("", 0)
    return PeerCertificate(account_of(found), found.serial_number)


def account_of(certificate: x509.Certificate) -> str:
    """The account that a client certificate is for; "" where it names none, or more than one."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return ""
    accounts = [uri for uri in names.get_values_for_type(x509.UniformResourceIdentifier) if uri.startswith(ACCOUNT_URI)]
    return accounts[0].removeprefix(ACCOUNT_URI) if len(accounts) == 1 else ""


def is_authority(certificate: x509.Certificate) -> bool:
    """Whether the certificate may certify others."""
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return False


def is_for(certificate: x509.Certificate, purpose: x509.ObjectIdentifier) -> bool:
    """Whether the certificate may be used for this; without an extended key usage, for everything."""
    try:
        return purpose in certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return True
    except (x509.DuplicateExtension, ValueError):
        return False


def is_issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether the issuer's name is in the certificate, and its signature under it."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def read_file(path: Path) -> bytes:
    """What is in a file that everybody may read. Raises CertificateError."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise CertificateError(f"{path} does not exist.", hint=MAKE) from None
    except OSError as error:
        raise _unreadable(path, error) from None


def read_certificates(path: Path) -> list[x509.Certificate]:
    """All certificates in a PEM file, at least one. Raises CertificateError."""
    try:
        return x509.load_pem_x509_certificates(read_file(path))
    except ValueError:
        raise CertificateError(f"{path} holds no certificate in PEM form.") from None


def read_private_key(path: Path, passphrase: Callable[[], str] | None = None) -> PrivateKeyTypes:
    """The private key in a PEM file that only its owner can read; `passphrase` is called where it has one.

    Raises CertificateError.
    """
    try:
        refuse_if_others_can_read(path, CertificateError)
        data = read_file(path)
    except FileNotFoundError:
        raise CertificateError(f"{path} does not exist.", hint=MAKE) from None
    except OSError as error:
        raise _unreadable(path, error) from None
    try:
        return load_pem_private_key(data, password=None)
    except TypeError:
        pass  # it is encrypted
    except (ValueError, UnsupportedAlgorithm):
        raise CertificateError(f"{path} holds no private key in PEM form.") from None
    if passphrase is None:
        raise CertificateError(
            f"{path} is encrypted, and nobody is asked for a passphrase.",
            hint=f"Store it without one: openssl pkey -in {path} -out NEW",
        )
    try:
        return load_pem_private_key(data, password=passphrase().encode())
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise CertificateError(f"This is not the passphrase of {path}.") from None


def has_passphrase(path: Path) -> bool:
    """Whether the key in a PEM file is encrypted; False where there is none to be read."""
    try:
        return b"ENCRYPTED" in path.read_bytes()
    except OSError:
        return False


def belongs(key: PrivateKeyTypes, certificate: x509.Certificate) -> bool:
    """Whether this is the key of that certificate."""
    try:
        return _spki(key.public_key()) == _spki(certificate.public_key())
    except (ValueError, UnsupportedAlgorithm):
        return False  # The certificate is for a kind of key that nobody here can have.


def _spki(key: PublicKeyTypes) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _unreadable(path: Path, error: OSError) -> CertificateError:
    return CertificateError(f"{path} cannot be read: {os.strerror(error.errno or 0)}.")
