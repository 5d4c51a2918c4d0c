"""The CA's list of client certificates that are no longer to be taken: read, written anew, and never begun anew while
there is anything that it may have held. It must not know how the CA's key is opened.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, cast

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from securechat.certificates.issuing import issue_revocation_list
from securechat.certificates.reading import CertificateFolder, read_file
from securechat.errors import CertificateError
from securechat.files import replace_file

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPublicKeyTypes

    from securechat.certificates.authority import Authority

LIST_MODE = 0o644


@dataclass(frozen=True)
class Revocations:
    """What a revocation list says: serial numbers with their times, and how long it holds."""

    number: int
    revoked: Mapping[int, datetime]
    begins: datetime
    expires: datetime


def read_revocations(path: Path, authority: x509.Certificate) -> Revocations | None:
    """The list in a PEM file; None where there is no file. Raises CertificateError unless this CA has signed it."""
    if not path.exists():
        return None
    hint = "Put it back from a copy; `securechat cert revoke --all` makes a new one in which everything is revoked."
    try:
        found = x509.load_pem_x509_crl(read_file(path))
        number = found.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
        entries = {entry.serial_number: entry.revocation_date_utc for entry in found}
    except (ValueError, x509.ExtensionNotFound, x509.DuplicateExtension):
        raise CertificateError(f"{path} holds no revocation list in PEM form.", hint=hint) from None
    # A CA's key is of a kind that signs; a certificate's may also be of one that does not.
    key = cast("CertificateIssuerPublicKeyTypes", authority.public_key())
    if found.issuer != authority.subject or not found.is_signature_valid(key):
        raise CertificateError(f"{path} is not signed by this CA.", hint=hint)
    expires = found.next_update_utc
    if expires is None:
        raise CertificateError(f"{path} does not say how long it holds.", hint=hint)
    return Revocations(number, entries, found.last_update_utc, expires)


def write_revocations(
    folder: CertificateFolder, authority: "Authority", revoked: Mapping[int, datetime], number: int, now: datetime
) -> None:
    """Put a list in the place of the one that is there; the caller holds the folder's lock. Raises OSError."""
    made = issue_revocation_list(revoked, number, authority.certificate, authority.key, now)
    replace_file(folder.revocations, made.public_bytes(Encoding.PEM), LIST_MODE)


def begin_revocations(folder: CertificateFolder, authority: "Authority", now: datetime) -> None:
    """Put an empty list in the place of another CA's, if there is one: what that CA issued is not taken any more.

    The caller holds the folder's lock. Raises OSError.
    """
    if folder.revocations.exists():
        write_revocations(folder, authority, {}, first_number(now), now)


def first_number(now: datetime) -> int:
    """The number of a list that is begun: by the clock, so that it is newer than one that was lost (RFC 5280)."""
    return int(now.timestamp() * 1000)


def renew_revocations(folder: CertificateFolder, authority: "Authority", now: datetime) -> None:
    """Sign the list that is there again, so that it holds on; where there is none, none is made.

    One that cannot be read stays as it is: a server takes no certificate by it, and says so.
    The caller holds the folder's lock. Raises OSError.
    """
    try:
        before = read_revocations(folder.revocations, authority.certificate)
    except CertificateError:
        return
    if before is not None:
        write_revocations(folder, authority, before.revoked, before.number + 1, now)
