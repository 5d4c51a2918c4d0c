"""InspIRCd, Debian's IRC server, set up for full speed: a room is a channel, an account a nick."""

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from bench.subjects import Serving
from bench.subjects.certificates import made_certificates
from bench.subjects.programs import free_port, running
from bench.talkers.irc import Irc

PROGRAM: Final = shutil.which("inspircd", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
PASSWORD: Final = "one-password-for-all"  # noqa: S105 - of a server that lives for one run

SETTINGS: Final = """\
ssl_gnutls (the one TLS module that Debian ships) with TLS 1.3 alone and no session tickets: the same handshake for all
outrecsize 16384: what waits for a connection goes out in few writes
fakelag no, threshold, commandrate, hardsendq, softsendq, recvq beyond reach: no author is slowed down or thrown out
localmax, globalmax, limit, softlimit, maxchans beyond reach: thousands come at once
resolvehostnames no, useident no: no lookups
pingfreq 1h: no pings
netbuffersize 65534, somaxconn 4096: large reads, a long queue of those who come
no module but ssl_gnutls, cap and ircv3_echomessage: authors hear their own messages, which is their acknowledgement
no log, no history of nicks, mode n alone for channels
One password for the whole server, compared as it is: IRC's own way, and the cheapest there is.
It sets no TCP_NODELAY and has no setting for it; it ends logins once a second, by a timer."""


class Inspircd:
    """The server, with the fewest modules that can do it."""

    name = "inspircd"
    durable = False
    settings = SETTINGS

    def missing(self) -> str:
        """Empty, or why it cannot run here."""
        return "" if PROGRAM else "InspIRCd is not installed: apt-get install inspircd."

    @contextmanager
    def serve(self, folder: Path, rooms: Mapping[str, Sequence[str]], accounts: Sequence[str]) -> Iterator[Serving]:
        """Run it in `folder`; neither channels nor nicks need making."""
        port, certificates = free_port(), made_certificates()
        settings = configuration(port, folder, certificates.server_certificate, certificates.server_key)
        (folder / "inspircd.conf").write_text(settings)
        command: list[str | Path] = [
            PROGRAM or "",
            "--config",
            folder / "inspircd.conf",
            "--nofork",
            "--nopid",
            "--nolog",
        ]
        if os.geteuid() == 0:
            command.append("--runasroot")
        with running(command, port, folder) as pid:
            yield Serving(pid, port, certificates.authority, "localhost", partial(Irc, password=PASSWORD))


def configuration(port: int, folder: Path, certificate: Path, key: Path) -> str:
    """Its configuration file."""
    return f"""\
<path configdir="{folder}" datadir="{folder}" logdir="{folder}" runtimedir="{folder}">
<server name="irc.localhost" description="bench" network="bench">
<admin name="bench" nick="bench" email="bench@localhost">
<module name="ssl_gnutls">
<module name="cap">
<module name="ircv3_echomessage">
<sslprofile name="tls" provider="gnutls" certfile="{certificate}" keyfile="{key}"
            priority="NORMAL:-VERS-ALL:+VERS-TLS1.3:%NO_TICKETS" outrecsize="16384" requestclientcert="no">
<bind address="127.0.0.1" port="{port}" type="clients" sslprofile="tls">
<connect name="bench" allow="127.0.0.0/8" password="{PASSWORD}" timeout="120" pingfreq="1h"
         hardsendq="1G" softsendq="1G" recvq="16M" threshold="1000000" commandrate="1000000000" fakelag="no"
         localmax="100000" globalmax="100000" limit="100000" maxconnwarn="no" maxchans="1000"
         resolvehostnames="no" useident="no">
<limits maxident="32" maxnick="32">
<performance netbuffersize="65534" somaxconn="4096" softlimit="100000" quietbursts="yes">
<options defaultmodes="n">
<whowas groupsize="0" maxgroups="0" maxkeep="1">
"""
