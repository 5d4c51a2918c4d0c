"""The certificate authority of one server, as it is kept in a folder: made once, then used to renew.

A CA key is never overwritten, and a command that is refused has changed nothing. It knows no command line.
"""

import os
import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from securechat.certificates.hosts import LOCAL, parse_host
from securechat.certificates.issuing import (
    SERVER_DAYS,
    certificate_pem,
    issue_authority_certificate,
    issue_server_certificate,
    key_pem,
    new_key,
)
from securechat.certificates.reading import (
    MAKE,
    CertificateFacts,
    CertificateFolder,
    belongs,
    has_passphrase,
    inspect_certificate,
    is_authority,
    is_issued_by,
    names_of,
    read_certificates,
    read_private_key,
)
from securechat.certificates.revocations import begin_revocations, renew_revocations
from securechat.certificates.succession import sign_succession
from securechat.errors import AlreadyExists, CertificateError, NotFound, UsageError
from securechat.files import locked, replace_file, sync_folder

KEY_MODE = 0o600
AUTHORITY_KEY_MODE = 0o400
CERTIFICATE_MODE = 0o644


@dataclass(frozen=True)
class Generated:
    """What `generate` left in the folder, and what of it is new; `left_out` is this host's name if it is unusable."""

    authority: CertificateFacts
    server: CertificateFacts
    new_authority: bool
    renewed: bool
    left_out: str


@dataclass(frozen=True)
class Authority:
    """The CA's key and certificate, which belong together; `new_…` says that they are not in the folder yet."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate
    new_key: bool = False
    new_certificate: bool = False


Passphrase = Callable[[], str]
"""Asked for the CA key's passphrase, where it has one."""


def generate(
    folder: CertificateFolder,
    hosts: Sequence[str] = (),
    *,
    days: int = SERVER_DAYS,
    force: bool = False,
    passphrase: Passphrase | None = None,
    new_passphrase: str = "",
) -> Generated:
    """Make the CA if there is none, and a server certificate with a new key from it, for at most `days` days.

    The certificate is for this machine, for `hosts`, and for the names of the certificate that it replaces. `force`
    starts anew: it also replaces a certificate that is not this CA's, and keeps none of the names. A new CA key is
    encrypted with `new_passphrase`, if there is one; `passphrase` opens the key that is there. A revocation list that
    is there is renewed, too.
    Raises UsageError for a bad name or number, AlreadyExists where `force` is needed, CertificateError for the rest.
    """
    if not 1 <= days <= SERVER_DAYS:
        raise UsageError(f"A server certificate lasts 1 to {SERVER_DAYS} days, not {days}.")
    asked = [str(parse_host(host)) for host in hosts]
    local, left_out = _local_names()
    now = datetime.now(UTC)
    with _held(folder):
        renewed = _present(folder.server_certificate)
        authority = _find_authority(folder, now, passphrase)
        names = dict.fromkeys([*local, *_names_to_keep(folder, authority.certificate, force), *asked])
        _store_authority(folder, authority, new_passphrase)
        _renew(folder, authority, names, now, days)
        if authority.new_key:
            begin_revocations(folder, authority, now)
        else:
            renew_revocations(folder, authority, now)
    return Generated(
        authority=inspect_certificate(folder.authority),
        server=inspect_certificate(folder.server_certificate),
        new_authority=authority.new_key,
        renewed=renewed,
        left_out=left_out,
    )


def announce_next(folder: CertificateFolder, passphrase: Passphrase | None = None) -> CertificateFacts:
    """Make the CA after this one, and the statement by which those who trust this one will trust it; once only.

    Where this one's key has a passphrase, which `passphrase` gets, the next one's has the same.

    Raises AlreadyExists where one is announced, CertificateError for the rest.
    """
    now = datetime.now(UTC)
    with _held(folder):
        if _present(folder.next_signature):
            raise AlreadyExists(
                f"{folder.next_authority} is announced already.",
                hint="Put it in force: securechat gen-certs --use-next-ca",
            )
        given = passphrase() if passphrase and has_passphrase(folder.authority_key) else ""
        authority = _find_authority(folder, now, (lambda: given) if given else None)
        _refuse_none(folder, authority)
        key = new_key()
        certificate = issue_authority_certificate(key, now)
        # The signature last: a server announces nothing before it is there.
        replace_file(folder.next_authority_key, key_pem(key, given), AUTHORITY_KEY_MODE)
        replace_file(folder.next_authority, certificate_pem(certificate), CERTIFICATE_MODE)
        signature = sign_succession(authority.key, certificate)
        replace_file(folder.next_signature, f"{signature}\n".encode(), CERTIFICATE_MODE)
    return inspect_certificate(folder.next_authority)


def use_next(folder: CertificateFolder, *, days: int = SERVER_DAYS, passphrase: Passphrase | None = None) -> Generated:
    """Put the CA that is announced in force: a server certificate from it, for the same names; the old CA stays beside
    it as `old-ca.pem` and `old-ca.key`.

    Cut off at any step, it is completed by the next call. Raises NotFound where none is announced, CertificateError.
    """
    now = datetime.now(UTC)
    with _held(folder):
        if not _present(folder.next_authority):
            raise NotFound("No next CA is announced.", hint="Make one: securechat gen-certs --next-ca")
        names = names_of(read_certificates(folder.server_certificate)[0])
        key = (folder.next_authority_key if _present(folder.next_authority_key) else folder.authority_key).read_bytes()
        certificate = folder.next_authority.read_bytes()
        if folder.authority.read_bytes() != certificate:
            replace_file(folder.path / "old-ca.key", folder.authority_key.read_bytes(), AUTHORITY_KEY_MODE)
            replace_file(folder.path / "old-ca.pem", folder.authority.read_bytes(), CERTIFICATE_MODE)
            replace_file(folder.authority, certificate, CERTIFICATE_MODE)
        replace_file(folder.authority_key, key, AUTHORITY_KEY_MODE)
        authority = _find_authority(folder, now, passphrase)
        _renew(folder, authority, names, now, days)
        begin_revocations(folder, authority, now)
        for path in (folder.next_signature, folder.next_authority_key, folder.next_authority):
            path.unlink(missing_ok=True)
    return Generated(
        authority=inspect_certificate(folder.authority),
        server=inspect_certificate(folder.server_certificate),
        new_authority=True,
        renewed=True,
        left_out="",
    )


@contextmanager
def _held(folder: CertificateFolder) -> Iterator[None]:
    """The folder, for one who changes it at a time. Raises CertificateError for what the disk says."""
    try:
        folder.path.mkdir(parents=True, exist_ok=True)
        sync_folder(folder.path.parent)
        with locked(folder.authority_key):
            yield
    except OSError as error:
        raise not_writable(folder, error) from None


def _refuse_none(folder: CertificateFolder, authority: Authority) -> None:
    if authority.new_key or authority.new_certificate:
        raise CertificateError(f"There is no CA in {folder.path} that another could follow.", hint=MAKE)


def _local_names() -> tuple[list[str], str]:
    name = socket.gethostname()
    try:
        return [*LOCAL, str(parse_host(name))], ""
    except UsageError:
        return list(LOCAL), name


def require_authority(folder: CertificateFolder) -> None:
    """Raise CertificateError where the CA's key is not in the folder."""
    if not _present(folder.authority_key):
        raise CertificateError(
            f"{folder.authority_key} is not here, and nothing can be issued or revoked without it.",
            hint="Run this where the CA's key is kept; `securechat gen-certs` makes a new CA.",
        )


def open_authority(folder: CertificateFolder, now: datetime, passphrase: Passphrase | None) -> Authority:
    """The CA that is in the folder, to issue with. Raises CertificateError where it cannot be used, or is not there."""
    require_authority(folder)
    return _find_authority(folder, now, passphrase)


def not_writable(folder: CertificateFolder, error: OSError) -> CertificateError:
    """What failed while the folder was read or written, for people."""
    path = error.filename or folder.path
    return CertificateError(f"{path} cannot be read or written: {os.strerror(error.errno or 0)}.")


def _find_authority(folder: CertificateFolder, now: datetime, passphrase: Passphrase | None) -> Authority:
    path, key_path = folder.authority, folder.authority_key
    if not _present(key_path):
        if _present(path):
            raise CertificateError(
                f"{path} is there, but its key {key_path} is not, and nothing can be issued without it.",
                hint=f"Put the key back. If it is lost, move {path} away: the next run makes a new CA, "
                "and everybody who connects needs its ca.pem.",
            )
        key = new_key()
        return Authority(key, issue_authority_certificate(key, now), new_key=True, new_certificate=True)
    found = read_private_key(key_path, passphrase)
    if not isinstance(found, ec.EllipticCurvePrivateKey):
        raise CertificateError(f"{key_path} holds no elliptic-curve key.")
    if not _present(path):
        return Authority(found, issue_authority_certificate(found, now), new_key=False, new_certificate=True)
    certificate = read_certificates(path)[0]
    again = f"Move {path} away and run this again: it is made anew from the key, and everybody who connects needs it."
    if not belongs(found, certificate) or not is_authority(certificate):
        raise CertificateError(f"{path} is not the CA certificate of {key_path}.", hint=again)
    if certificate.not_valid_after_utc <= now:
        raise CertificateError(f"{path} expired on {certificate.not_valid_after_utc:%Y-%m-%d}.", hint=again)
    return Authority(found, certificate, new_key=False, new_certificate=False)


def _names_to_keep(folder: CertificateFolder, authority: x509.Certificate, force: bool) -> Iterable[str]:
    path, key_path = folder.server_certificate, folder.server_key
    if force:
        return ()
    hint = "Give --force to put a new certificate and key in its place."
    if not _present(path):
        if _present(key_path):
            raise AlreadyExists(f"{key_path} is there without a certificate.", hint=hint)
        return ()
    try:
        certificate = read_certificates(path)[0]
        if is_issued_by(certificate, authority):
            return names_of(certificate)
    except CertificateError as error:
        raise AlreadyExists(error.message, hint=hint) from None
    except (ValueError, x509.DuplicateExtension):
        pass  # it has our signature, and names that we would not write
    raise AlreadyExists(f"{path} was not issued by {folder.authority}.", hint=hint)


def _store_authority(folder: CertificateFolder, authority: Authority, passphrase: str) -> None:
    # The key first: from it alone the next run makes the certificate again, whatever happens in between.
    if authority.new_key:
        replace_file(folder.authority_key, key_pem(authority.key, passphrase), AUTHORITY_KEY_MODE)
    if authority.new_certificate:
        replace_file(folder.authority, certificate_pem(authority.certificate), CERTIFICATE_MODE)


def _renew(folder: CertificateFolder, authority: Authority, names: Iterable[str], now: datetime, days: int) -> None:
    # A new key each time: what was stolen from the last one ends with its certificate.
    key = new_key()
    certificate = issue_server_certificate(
        key.public_key(), map(parse_host, names), authority.certificate, authority.key, now, days
    )
    # The certificate first: killed in between, the next run knows it for its own and replaces both.
    replace_file(folder.server_certificate, certificate_pem(certificate), CERTIFICATE_MODE)
    replace_file(folder.server_key, key_pem(key), KEY_MODE)


def _present(path: Path) -> bool:
    # A link that leads nowhere counts: a key on a medium that is not mounted is no missing key.
    return path.is_symlink() or path.exists()
