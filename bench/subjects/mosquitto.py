"""Mosquitto, Debian's MQTT broker, set up for full speed: a room is a topic, an account a username with a password."""

import base64
import getpass
import hashlib
import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from bench.subjects import Serving
from bench.subjects.certificates import made_certificates
from bench.subjects.programs import free_port, running
from bench.talkers.mqtt import Mqtt

PROGRAM: Final = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")

PASSWORD: Final = "correct horse battery staple"  # noqa: S105 - of servers that live for one run

SETTINGS: Final = """\
set_tcp_nodelay true: as all others have it
max_inflight_messages 0, max_queued_messages 0: nothing waits for acknowledgements, nothing is thrown away
max_connections -1: thousands come
persistence false, retain_available false: nothing is stored
sys_interval 0, log_type none, connection_messages false: nothing is counted or logged beside
tls_version tlsv1.3: the same handshake for all (it sends two session tickets; it has no setting for that)
password_file with PBKDF2 of 101 rounds, its default: a password for each connection
keep-alive 0, in the client: no pings
Its listen backlog is 100 and cannot be set."""

ROUNDS: Final = 101
"""What mosquitto_passwd takes by default, in 2.0."""


class Mosquitto:
    """The broker, with everything said and heard at one level: QoS 0 or 1."""

    durable = False
    settings = SETTINGS

    def __init__(self, qos: int) -> None:
        self.name = f"mosquitto-qos{qos}"
        self._qos = qos

    def missing(self) -> str:
        """Empty, or why it cannot run here."""
        return "" if PROGRAM else "Mosquitto is not installed: apt-get install mosquitto."

    @contextmanager
    def serve(self, folder: Path, rooms: Mapping[str, Sequence[str]], accounts: Sequence[str]) -> Iterator[Serving]:
        """Run it in `folder` for these accounts; a topic needs no making."""
        port, certificates = free_port(), made_certificates()
        line = hashed(PASSWORD)
        (folder / "passwords").write_text("".join(f"{account}:{line}\n" for account in accounts))
        settings = configuration(port, folder, certificates.server_certificate, certificates.server_key)
        (folder / "mosquitto.conf").write_text(settings)
        with running([PROGRAM or "", "-c", folder / "mosquitto.conf"], port, folder) as pid:
            talker = partial(Mqtt, password=PASSWORD, qos=self._qos)
            yield Serving(pid, port, certificates.authority, "localhost", talker)


def configuration(port: int, folder: Path, certificate: Path, key: Path) -> str:
    """Its configuration file."""
    return f"""\
user {getpass.getuser()}
per_listener_settings false
listener {port} 127.0.0.1
socket_domain ipv4
max_connections -1
certfile {certificate}
keyfile {key}
tls_version tlsv1.3
allow_anonymous false
password_file {folder / "passwords"}
set_tcp_nodelay true
max_inflight_messages 0
max_queued_messages 0
persistence false
retain_available false
sys_interval 0
log_type none
connection_messages false
"""


def hashed(password: str) -> str:
    """The password as mosquitto_passwd writes it: $7$, rounds, salt and PBKDF2 with SHA-512."""
    salt = secrets.token_bytes(12)
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, ROUNDS)
    return "$".join(["", "7", str(ROUNDS), *(base64.b64encode(part).decode() for part in (salt, digest))])
