"""Client certificates: made from the CA for an account, kept in a folder, and revoked.

The folder holds every certificate that was made, so that all of an account's can be revoked; the keys in it are for
those who connect, and no server needs them. It knows no account: whether there is one of this name is asked at login.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from securechat.certificates.authority import Authority, Passphrase, not_writable, open_authority
from securechat.certificates.issuing import CLIENT_DAYS, certificate_pem, issue_client_certificate, key_pem, new_key
from securechat.certificates.reading import (
    CertificateFacts,
    CertificateFolder,
    account_of,
    inspect_certificate,
    is_issued_by,
    read_certificates,
)
from securechat.certificates.revocations import (
    Revocations,
    first_number,
    read_revocations,
    renew_revocations,
    write_revocations,
)
from securechat.errors import CertificateError, NotFound, UsageError
from securechat.files import locked, replace_file

R = TypeVar("R")

FOLDER_MODE = 0o700
KEY_MODE = 0o600
CERTIFICATE_MODE = 0o644

SERIAL_DIGITS = 33
"""Hexadecimal digits from which on a word is a serial number: ours have about forty, a username has at most 32."""


@dataclass(frozen=True)
class ClientCertificate:
    """A client certificate that was made, and its key."""

    facts: CertificateFacts
    key: Path


def make_client(
    folder: CertificateFolder, account: str, *, days: int = CLIENT_DAYS, passphrase: Passphrase | None = None
) -> ClientCertificate:
    """Make a client certificate with a new key for the account, for at most `days` days; the first makes an empty
    revocation list, without which no server takes it.

    Raises UsageError for a bad number, CertificateError for the rest.
    """
    if not 1 <= days <= CLIENT_DAYS:
        raise UsageError(f"A client certificate lasts 1 to {CLIENT_DAYS} days, not {days}.")

    def make(authority: Authority, now: datetime) -> ClientCertificate:
        _known_revocations(folder, authority, now)
        key = new_key()
        certificate = issue_client_certificate(
            key.public_key(), account, authority.certificate, authority.key, now, days
        )
        folder.clients.mkdir(FOLDER_MODE, exist_ok=True)
        name = f"{account}-{certificate.serial_number:x}"[: len(account) + 9]
        path, key_path = folder.clients / f"{name}.pem", folder.clients / f"{name}.key"
        replace_file(path, certificate_pem(certificate), CERTIFICATE_MODE)  # first: what exists can be revoked
        replace_file(key_path, key_pem(key), KEY_MODE)
        return ClientCertificate(inspect_certificate(path), key_path)

    return _with_authority(folder, passphrase, make)


def made_clients(folder: CertificateFolder) -> list[CertificateFacts]:
    """All client certificates in the folder, by account and end. Raises CertificateError for one that is malformed."""
    found = [inspect_certificate(path) for path in folder.clients.glob("*.pem")]
    return sorted(found, key=lambda facts: (facts.account, facts.expires))


def revoke(folder: CertificateFolder, what: str, passphrase: Passphrase | None = None) -> list[int]:
    """Revoke what this names: an account (all its certificates), a serial number in hexadecimal digits, or a file.

    Returns the serial numbers that were not revoked before. Raises NotFound where nothing has this name,
    CertificateError for the rest.
    """

    def act(authority: Authority, now: datetime) -> list[int]:
        known = _known_revocations(folder, authority, now)
        return _add(folder, authority, known, _named(folder, authority, what), now)

    return _with_authority(folder, passphrase, act)


def revoke_all(folder: CertificateFolder, passphrase: Passphrase | None = None) -> list[int]:
    """Revoke every client certificate in the folder, also where the list was lost; returns what is new in the list."""

    def act(authority: Authority, now: datetime) -> list[int]:
        try:
            known = read_revocations(folder.revocations, authority.certificate)
        except CertificateError:
            known = None
        serials = [int(facts.serial, 16) for facts in made_clients(folder)]
        return _add(folder, authority, known or Revocations(first_number(now), {}, now, now), serials, now)

    return _with_authority(folder, passphrase, act)


def renew_list(folder: CertificateFolder, passphrase: Passphrase | None = None) -> None:
    """Sign the revocation list again, so that it holds on. Raises CertificateError."""
    _with_authority(folder, passphrase, lambda authority, now: renew_revocations(folder, authority, now))


def _with_authority(
    folder: CertificateFolder, passphrase: Passphrase | None, act: Callable[[Authority, datetime], R]
) -> R:
    now = datetime.now(UTC)
    try:
        with locked(folder.authority_key):
            return act(open_authority(folder, now, passphrase), now)
    except OSError as error:
        raise not_writable(folder, error) from None


def _known_revocations(folder: CertificateFolder, authority: Authority, now: datetime) -> Revocations:
    """What is revoked so far; the list is made where nothing can have been on one."""
    known = read_revocations(folder.revocations, authority.certificate)
    if known is None:
        if any(folder.clients.glob("*.pem")):
            raise CertificateError(
                f"{folder.revocations} is not there, so nobody knows what was revoked.",
                hint="Put it back from a copy; `securechat cert revoke --all` makes a new one in which everything "
                "is revoked.",
            )
        known = Revocations(first_number(now), {}, now, now)
        write_revocations(folder, authority, {}, known.number, now)
    return known


def _add(
    folder: CertificateFolder, authority: Authority, known: Revocations, serials: Sequence[int], now: datetime
) -> list[int]:
    new = [serial for serial in dict.fromkeys(serials) if serial not in known.revoked]
    write_revocations(folder, authority, {**known.revoked, **dict.fromkeys(new, now)}, known.number + 1, now)
    return new


def _named(folder: CertificateFolder, authority: Authority, what: str) -> list[int]:
    of_account = [int(facts.serial, 16) for facts in made_clients(folder) if facts.account == what]
    if of_account:
        return of_account
    digits = what.replace(":", "")
    if len(digits) >= SERIAL_DIGITS and all(digit in "0123456789abcdefABCDEF" for digit in digits):
        return [int(digits, 16)]
    path = Path(what)
    if not path.is_file():
        raise NotFound(
            f"No client certificate is for an account {what!a}, and there is no such file.",
            hint="`securechat cert show` lists them.",
        )
    certificate = read_certificates(path)[0]
    if not is_issued_by(certificate, authority.certificate) or not account_of(certificate):
        raise CertificateError(f"{path} is no client certificate of this CA.")
    return [certificate.serial_number]
