"""What is wrong with a node's way to its cluster is said in one line: by the doctor, before a start, and by one."""

import asyncio
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from msgspec.structs import replace

from securechat.config import Cluster
from securechat.doctor import Finding, examine
from securechat.journal.jetstream import visit
from tests.cli.calling import Done, call
from tests.cluster.servers import NatsServer, ask_nats, authority, new_stream, node_settings, write_settings
from tests.server.support import make_home, peer, running_server

NOBODY = "tls://127.0.0.1:1"


@pytest.fixture
def settings(nats_server: NatsServer) -> Cluster:
    return node_settings([nats_server], new_stream())


def node(folder: Path, cluster: Cluster) -> Path:
    """The home of a node, with these settings."""
    write_settings(make_home(folder), cluster)
    return folder


def cluster_findings(home: Path) -> list[Finding]:
    return [one for one in examine(home, {}, {"port": 0}) if one.about in ("cluster", "accounts")]


def checked(home: Path) -> Done:
    return call("serve", "--check", "--home", str(home))


def unfit(nats: NatsServer, cluster: Cluster) -> None:
    """Make the stream as no cluster needs it."""
    subjects = [f"{cluster.stream}.log.>"]
    asyncio.run(ask_nats(nats, lambda stream: stream.add_stream(name=cluster.stream, subjects=subjects)))


def test_the_doctor_looks_at_the_way_to_the_cluster_and_makes_nothing(
    tmp_path: Path, nats_server: NatsServer, settings: Cluster
) -> None:
    home = node(tmp_path / "one", settings)
    (home / "credentials").unlink()
    assert [(one.level, one.message) for one in cluster_findings(home)][::2] == [
        ("ok", "There are none here yet; the cluster's come with the first start."),
        ("ok", f"NATS answers; there is no stream {settings.stream} yet, which the first start makes."),
    ]
    assert f"There is no stream {settings.stream} yet." in call("cluster", "status", "--home", str(home)).err
    other = node(tmp_path / "two", settings)
    with running_server(other, cluster=settings) as server, peer(server, "alice", room="lobby"):
        (fit,) = [one for one in cluster_findings(home) if "is fit" in one.message]
        assert f"the stream {settings.stream} (entries 1 to " in fit.message
    asyncio.run(ask_nats(nats_server, lambda stream: stream.purge_stream(settings.stream)))
    assert "begins at" in cluster_findings(home)[-1].message
    strange_settings = replace(settings, stream=new_stream())
    strange = node(tmp_path / "three", strange_settings)
    unfit(nats_server, strange_settings)
    assert "discard is old and not new" in cluster_findings(strange)[-1].message


def test_a_certificate_for_nats_that_ends_soon_is_told_of(tmp_path: Path, settings: Cluster) -> None:
    leaf = authority().issue_cert("localhost", common_name="node", not_after=datetime.now(UTC) + timedelta(days=3.5))
    leaf.cert_chain_pems[0].write_to_path(str(tmp_path / "soon.pem"))
    (tmp_path / "soon.key").touch(0o600)
    leaf.private_key_pem.write_to_path(str(tmp_path / "soon.key"))
    keys = {"certificate": str(tmp_path / "soon.pem"), "key": str(tmp_path / "soon.key")}
    home = node(tmp_path / "one", replace(settings, **keys))
    assert cluster_findings(home)[1] == Finding(
        "warning",
        "cluster",
        "The certificate that this node shows to NATS is valid for 3 days.",
        "securechat cert client one, copy both files, and restart the node.",
    )


def test_a_check_refuses_what_a_start_would_and_says_what_one_would_wait_for(
    tmp_path: Path, nats_server: NatsServer, settings: Cluster
) -> None:
    home = node(tmp_path / "one", settings)
    assert (checked(home).code, checked(home).err) == (0, "Everything that a start needs is in order.\n")
    away = node(tmp_path / "away", replace(settings, servers=(NOBODY,)))
    told = checked(away)
    assert (told.code, "no server listens" in told.err, "tries again and again" in told.err) == (0, True, True)
    (finding,) = [one for one in cluster_findings(away) if one.level == "wrong"]
    assert finding.message == "NATS does not answer: no server listens at the addresses in [cluster] servers."
    alone = make_home(tmp_path / "alone")
    with running_server(alone) as server, peer(server, "alice", room="lobby"):
        pass
    write_settings(alone, settings)
    assert (checked(alone).code, "has a history of its own" in checked(alone).err) == (1, True)
    assert "has a history of its own" in cluster_findings(alone)[-1].message
    unfit(nats_server, settings)
    assert (checked(home).code, "is not as a cluster needs it" in checked(home).err) == (1, True)
    # And so does a start, in one line.
    started = subprocess.run(
        [sys.executable, "-m", "securechat", "serve", "--home", str(home)], capture_output=True, text=True
    )
    assert (started.returncode, started.stdout) == (1, "")
    (line,) = started.stderr.splitlines()
    assert line.startswith(f"securechat: The stream {settings.stream} is not as a cluster needs it: ")


def test_what_keeps_a_command_from_nats_is_said_in_one_line(
    tmp_path: Path, settings: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(visit, "CONNECT_SECONDS", 10.0)
    other = trustme.CA()
    other.cert_pem.write_to_path(str(tmp_path / "other.pem"))
    home = node(tmp_path / "one", replace(settings, ca=str(tmp_path / "other.pem")))
    told = call("cluster", "status", "--home", str(home))
    assert told.code == 3
    (line,) = told.err.splitlines()
    assert line.startswith("securechat: NATS does not answer: its certificate is not from the CA in [cluster] ca")
