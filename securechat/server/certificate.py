"""The certificate that the server shows: the one TLS context in force, how another takes its place, and its end.

A context in use is never changed: a new one is built and looked at, then the one reference is swapped. Open connections
live on with what they began with. It knows no connection and no listener.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from securechat.certificates import (
    CertificateFacts,
    CertificateFolder,
    ClientCheck,
    ServerFiles,
    authority_pem,
    generate,
    inspect_certificate,
    server_context,
)
from securechat.certificates.checking import RENEW_ELSEWHERE, ending, ending_list, is_due
from securechat.certificates.clients import renew_list
from securechat.certificates.contexts import RENEW
from securechat.certificates.reading import has_passphrase, read_certificates
from securechat.certificates.revocations import Revocations, read_revocations
from securechat.config import Config
from securechat.errors import ConfigError, SecurechatError
from securechat.files import Stamp, stamp

if TYPE_CHECKING:
    from ssl import SSLContext

RENEWAL_SECONDS = 3600.0
"""Between two attempts to renew: what fails now is not mended within seconds, and a day has enough of them."""

log = logging.getLogger(__name__)


def server_files(home: Path, config: Config) -> ServerFiles:
    """Where the server of this home has its certificate, and what it checks clients with. Raises ConfigError."""
    if bool(config.certificate) != bool(config.key):
        raise ConfigError("Of the settings certificate and key one is set without the other.", hint="Set both.")
    folder, clients = CertificateFolder(home / "certs"), None
    if config.client_certificates != "off":
        clients = ClientCheck(folder.authority, folder.revocations, config.client_certificates == "required")
    if config.certificate:
        return ServerFiles(home / config.certificate, home / config.key, folder.authority, clients, is_own=False)
    return ServerFiles(folder.server_certificate, folder.server_key, folder.authority, clients)


@dataclass(frozen=True)
class _InForce:
    """A context, and what is told of it; replaced whole."""

    config: Config
    files: ServerFiles
    context: "SSLContext"
    facts: CertificateFacts
    authority: str
    announced: tuple[str, str]
    revocations: Revocations | None
    stamps: tuple[Stamp | None, ...]


class ServerCertificate:
    """One home's. Every member may be used from every thread; the keeper calls `look`."""

    def __init__(self, home: Path, config: Config, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        """Read and check the files. Raises CertificateError or ConfigError for what no client could be shown."""
        self._folder = CertificateFolder(home / "certs")
        self._home = home
        self._clock = clock
        self._swapping = threading.Lock()
        self._in_force = self._build(config)
        self._failed: tuple[Stamp | None, ...] = ()
        self._is_told = False
        self._told: set[str] = set()
        self._next_renewal = 0.0
        self.when_swapped: Callable[[], None] = lambda: None
        """Called after another context has come in force."""

    @property
    def context(self) -> "SSLContext":
        """For the next connection."""
        return self._in_force.context

    @property
    def expires(self) -> datetime:
        """The end of the certificate in force."""
        return self._in_force.facts.expires

    @property
    def authority(self) -> str:
        """The certificate of the server's own CA in PEM form; empty where it has none."""
        return self._in_force.authority

    @property
    def announced(self) -> tuple[str, str]:
        """The certificate of the CA after the server's own, in PEM form, and the signature for it; empty for none."""
        return self._in_force.announced

    def seconds_left(self) -> float:
        """Until the certificate in force expires; below 0 when it has."""
        return (self.expires - self._clock()).total_seconds()

    def is_revoked(self, serial: int) -> bool:
        """Whether the client certificate of this serial number is on the revocation list in force."""
        revocations = self._in_force.revocations
        return revocations is not None and serial in revocations.revoked

    def reload(self, config: Config | None = None) -> str:
        """Put in force what the files say now, by these settings or by those in force; returns what is new in words.

        Returns "" when nothing of it is. Raises CertificateError or ConfigError for files that cannot be used, and
        then nothing has changed.
        """
        with self._swapping:
            before = self._in_force
            after = self._in_force = self._build(config or before.config)
            self._failed = ()
            self._told.clear()
        self.when_swapped()
        return ", and ".join(_changes(before, after))

    def look(self) -> None:
        """Take changed files, renew what is due, and say in the log what came of it and what will end; each once."""
        self._take_changes()
        now = self._clock()
        why_not = self._renew_if_due(now)
        in_force = self._in_force
        found = ending(in_force.facts, now, RENEW_ELSEWHERE if in_force.config.certificate else RENEW)
        if in_force.files.clients:
            found += ending_list(in_force.files.clients, in_force.revocations, now)
        for finding in found:
            if finding.code not in self._told:
                self._told.add(finding.code)
                level = logging.ERROR if finding.is_error else logging.WARNING
                log.log(level, "%s %s%s", finding.message, why_not, finding.fix)

    def _take_changes(self) -> None:
        in_force = self._in_force
        stamps = _stamps(in_force.files)
        if stamps == in_force.stamps:
            return
        try:
            changes = self.reload()
        except SecurechatError as error:
            # Files are replaced one after the other: only what is as wrong at the next look is told, and once.
            if self._failed != stamps:
                self._failed, self._is_told = stamps, False
            elif not self._is_told:
                self._is_told = True
                log.error("the certificates stay as they were: %s", error)  # noqa: TRY400 - the sentence says it all
        else:
            if changes:
                log.info("%s", changes)

    def _renew_if_due(self, now: datetime) -> str:
        """Renew what ends; returns why that is left to a person, where something ends and it is."""
        in_force, lists = self._in_force, self._in_force.revocations
        facts, is_foreign = in_force.facts, bool(in_force.config.certificate)
        is_ending = is_due(facts.begins, facts.expires, now) and not is_foreign
        if not is_ending and not (lists and is_due(lists.begins, lists.expires, now)):
            return ""
        if not in_force.config.renew_certificate:
            return "The setting renew_certificate is off. "
        if not self._folder.authority_key.exists():
            return "The CA's key is not here, so the server cannot renew it. "
        if has_passphrase(self._folder.authority_key):
            return "The CA's key has a passphrase, so the server cannot renew it. "
        if time.monotonic() >= self._next_renewal:
            self._next_renewal = time.monotonic() + RENEWAL_SECONDS
            # Both ends belong to a certificate's life, which is a second short of whole days for that.
            days = (facts.expires - facts.begins + timedelta(seconds=1)).days
            self._renew(0 if is_foreign else max(1, days))
        return ""

    def _renew(self, days: int) -> None:
        try:
            if days:
                generate(self._folder, days=days)  # and the revocation list with it
            else:
                renew_list(self._folder)
            changes = self.reload()
        except SecurechatError as error:
            log.error("the certificate could not be renewed: %s", error)  # noqa: TRY400 - the sentence says it all
        else:
            log.info("renewed: %s", changes)

    def _build(self, config: Config) -> _InForce:
        files = server_files(self._home, config)
        stamps = _stamps(files)  # before the files are read: a change in between is seen at the next look
        context = server_context(
            files.certificate, files.key, minimum=config.tls_minimum, group=config.tls_group, clients=files.clients
        )
        revocations = None
        if files.clients:
            authority = read_certificates(files.clients.authority)[0]
            revocations = read_revocations(files.clients.revocations, authority)
        return _InForce(
            config,
            files,
            context,
            inspect_certificate(files.certificate),
            authority_pem(files.authority) if files.is_own and files.authority.exists() else "",
            _announced(files, self._folder),
            revocations,
            stamps,
        )


def _changes(before: _InForce, after: _InForce) -> list[str]:
    found = []
    if after.facts.fingerprint != before.facts.fingerprint:
        names = ", ".join(after.facts.names)
        found.append(f"the certificate is a new one, for {names}, until {after.facts.expires:%Y-%m-%d}")
    if after.revocations != before.revocations and after.revocations:
        count = len(after.revocations.revoked)
        found.append(f"the revocation list is a new one: {count} revoked, until {after.revocations.expires:%Y-%m-%d}")
    return found


def _announced(files: ServerFiles, folder: CertificateFolder) -> tuple[str, str]:
    if not files.is_own:
        return "", ""
    try:
        signature = folder.next_signature.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):  # there is none, or it is just put in force
        return "", ""
    return authority_pem(folder.next_authority), signature


def _stamps(files: ServerFiles) -> tuple[Stamp | None, ...]:
    lists = (files.clients.revocations,) if files.clients else ()
    announced = CertificateFolder(files.authority.parent).next_signature
    return tuple(map(stamp, (files.certificate, files.key, files.authority, announced, *lists)))
