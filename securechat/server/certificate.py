"""The certificate that the server shows: the one TLS context in force, and how another takes its place.

A context in use is never changed: a new one is built and looked at, then the one reference is swapped. Open connections
live on with what they began with. It knows no connection and no listener.
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from securechat.certificates import (
    CertificateFacts,
    CertificateFolder,
    authority_pem,
    inspect_certificate,
    server_context,
)
from securechat.config import Config
from securechat.errors import ConfigError, SecurechatError
from securechat.files import Stamp, stamp

if TYPE_CHECKING:
    from ssl import SSLContext

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _InForce:
    """A context, and what is told of it; replaced whole."""

    config: Config
    context: "SSLContext"
    facts: CertificateFacts
    authority: str
    announced: tuple[str, str]
    stamps: tuple[Stamp | None, ...]


class ServerCertificate:
    """One home's. Every member may be used from every thread; the keeper calls `look`."""

    def __init__(self, home: Path, config: Config, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        """Read and check the files. Raises CertificateError or ConfigError for what no client could be shown."""
        self._home = home
        self._clock = clock
        self._swapping = threading.Lock()
        self._in_force = self._build(config)
        self._failed: tuple[Stamp | None, ...] = ()
        self._is_told = False

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

    def reload(self, config: Config | None = None) -> str:
        """Put in force what the files say now, by these settings or by those in force; returns what is new in words.

        Returns "" when the certificate is the same. Raises CertificateError or ConfigError for files that cannot be
        used, and then nothing has changed.
        """
        with self._swapping:
            before = self._in_force
            after = self._in_force = self._build(config or before.config)
            self._failed = ()
        if after.facts.fingerprint == before.facts.fingerprint:
            return ""
        return f"the certificate is a new one, for {', '.join(after.facts.names)}, until {after.facts.expires:%Y-%m-%d}"

    def look(self) -> None:
        """Reload if the files have changed, and say in the log what came of it."""
        in_force = self._in_force
        stamps = _stamps(self._home, in_force.config)
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
                log.error("the certificate stays as it was: %s", error)  # noqa: TRY400 - the sentence says it all
        else:
            if changes:
                log.info("%s", changes)

    def _build(self, config: Config) -> _InForce:
        stamps = _stamps(self._home, config)  # before the files are read: a change in between is seen at the next look
        certificate, key = certificate_files(self._home, config)
        context = server_context(certificate, key, minimum=config.tls_minimum, group=config.tls_group)
        return _InForce(
            config,
            context,
            inspect_certificate(certificate),
            _authority(self._home, config),
            _announced(self._home, config),
            stamps,
        )


def certificate_files(home: Path, config: Config) -> tuple[Path, Path]:
    """Where the server's certificate and its key are. Raises ConfigError where only one of them is set."""
    if bool(config.certificate) != bool(config.key):
        raise ConfigError("Of the settings certificate and key one is set without the other.", hint="Set both.")
    folder = CertificateFolder(home / "certs")
    if config.certificate:
        return home / config.certificate, home / config.key
    return folder.server_certificate, folder.server_key


def _authority(home: Path, config: Config) -> str:
    path = CertificateFolder(home / "certs").authority
    # A certificate from elsewhere is from another CA than the one that lies here.
    return authority_pem(path) if path.exists() and not config.certificate else ""


def _announced(home: Path, config: Config) -> tuple[str, str]:
    folder = CertificateFolder(home / "certs")
    if config.certificate:
        return "", ""
    try:
        signature = folder.next_signature.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):  # there is none, or it is just put in force
        return "", ""
    return authority_pem(folder.next_authority), signature


def _stamps(home: Path, config: Config) -> tuple[Stamp | None, ...]:
    return tuple(map(stamp, (*certificate_files(home, config), CertificateFolder(home / "certs").next_signature)))
