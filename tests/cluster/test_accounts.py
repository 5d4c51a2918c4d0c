"""Accounts and webhooks are those of the whole cluster, whichever node they were made or changed on."""

import contextlib
import http.client
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from securechat.accounts.changing import AccountChange
from securechat.accounts.credentials import CredentialFile
from securechat.accounts.hooks import HookFile
from securechat.accounts.passwords import verify
from securechat.accounts.tokens import hash_token
from securechat.chat.accounts import Hook
from securechat.chat.model import Issue
from securechat.config import Cluster
from securechat.errors import AlreadyExists, LastAdmin, SecurechatError
from securechat.journal.jetstream import order
from securechat.server.control import submit
from securechat.server.server import Server
from tests.cli.calling import call
from tests.cluster.servers import NatsServer, nats_servers, new_stream, node_settings, write_settings
from tests.server.support import DEADLINE, PASSWORD, Peer, hashed, make_home, peer, running_server, write_accounts

OTHER = "another long password"


class Pair:
    """Two nodes on one stream; the second has no credential file when it first starts."""

    def __init__(self, folder: Path, server: NatsServer) -> None:
        stream = new_stream()
        self.homes = make_home(folder / "one"), make_home(folder / "two")
        (self.homes[1] / "credentials").unlink()
        self.settings = tuple(node_settings([server], stream, name) for name in ("one", "two"))

    @contextmanager
    def running(self) -> Iterator[tuple[Server, Server]]:
        with ExitStack() as stack:
            first, second = (
                stack.enter_context(running_server(home, http_port=0, cluster=settings))
                for home, settings in zip(self.homes, self.settings, strict=True)
            )
            yield first, second


@pytest.fixture
def pair(tmp_path: Path, nats_server: NatsServer) -> Pair:
    return Pair(tmp_path, nats_server)


def write(home: Path, accounts: str) -> None:
    """Edit the credential file by hand."""
    (home / "credentials").unlink()
    write_accounts(home, accounts)


def refresh(*nodes: Server) -> None:
    """Have the nodes look at their files now, as their keepers do each second; level with each other before."""
    for node in (*nodes, *nodes):
        with peer(node, "dave"):
            pass  # a login is answered behind all that was ordered before it
        node.services.authenticator.roll.refresh()


def states(home: Path) -> dict[str, tuple[str, str]]:
    return {name: (one.role, one.state) for name, one in CredentialFile(home / "credentials").load().items()}


def comes_in(node: Server, **request: str) -> str:
    """What the server says to a login."""
    with Peer(node.port) as there:
        there.receive()
        there.send(request)
        answer = there.receive()
        return str(answer.get("code", answer["type"]))


def test_an_account_that_is_made_on_one_node_may_come_in_at_the_other_at_once(pair: Pair) -> None:
    with pair.running() as (first, second):
        for number, other in enumerate((first, second)):
            first.services.authenticator.roll.make(AccountChange("add", f"new{number}", password=hashed()))
            assert comes_in(other, type="login", username=f"new{number}", password=PASSWORD) == "welcome"
        with pytest.raises(AlreadyExists):
            second.services.authenticator.roll.make(AccountChange("add", "new1", password=hashed()))
        made = call("adduser", "zoe", "--generate", "--home", str(pair.homes[1]))
        assert made.code == 0, made
        assert comes_in(first, type="login", username="zoe", password=made.out.strip()) == "welcome"
        assert call("user", "remove", "nobody", "--yes", "--home", str(pair.homes[1])).code == 6
        # What commands look up is the node's store: its copy may be behind, or be one that somebody has spoilt.
        (pair.homes[1] / "credentials").write_text("nonsense\n")
        assert call("user", "passwd", "new1", "--generate", "--home", str(pair.homes[1])).code == 0
        assert call("adduser", "new0", "--generate", "--home", str(pair.homes[1])).code == 7
        assert call("invite", "zoe", "--home", str(pair.homes[1])).code == 7
        assert "zoe" in call("user", "list", "--home", str(pair.homes[1])).out
        assert comes_in(first, type="login", username="new1", password=PASSWORD) == "bad-credentials"
        (pair.homes[1] / "credentials").unlink()
        refresh(first, second)
        assert states(pair.homes[0]) == states(pair.homes[1])
        assert states(pair.homes[1])["zoe"] == ("member", "active")


def test_a_new_password_ends_the_logins_on_all_nodes_and_the_same_hashed_anew_ends_none(pair: Pair) -> None:
    with pair.running() as (first, second), peer(first, "alice") as here, Peer(second.port) as there:
        token = there.login("alice")["token"]
        account = first.services.authenticator.accounts["alice"]
        anew = hashed(OTHER)
        assert first.services.authenticator.roll.replace_hash("alice", account.password, anew, rehashed=True)
        assert comes_in(second, type="resume", token=token) == "welcome"
        assert here.say("still here", id="a1")["type"] == "error"  # not a member, but logged in
        # Asked for by its owner, it leaves the login from which it was asked.
        here.send({"type": "password", "old": OTHER, "new": "one more long password"})
        assert here.receive()["type"] == "changed"
        assert there.expect("bye")["code"] == "account-changed"
        assert comes_in(second, type="resume", token=token) == "bad-credentials"
        assert comes_in(second, type="login", username="alice", password=OTHER) == "bad-credentials"
        second.services.authenticator.roll.make(AccountChange("disable", "alice"))
        assert here.expect("bye")["code"] == "account-changed"
        assert comes_in(first, type="login", username="alice", password="one more long password") == "bad-credentials"


def test_the_last_admin_stays_though_two_nodes_take_one_each_away(pair: Pair) -> None:
    with pair.running() as nodes:
        nodes[0].services.authenticator.roll.make(AccountChange("admin", "alice"))
        refresh(*nodes)
        refused: list[str] = []

        def demote(node: Server, name: str) -> None:
            try:
                node.services.authenticator.roll.make(AccountChange("member", name))
            except LastAdmin:
                refused.append(name)

        threads = [threading.Thread(target=demote, args=each) for each in zip(nodes, ("alice", "dave"), strict=True)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(refused) == 1
        refresh(*nodes)
        assert states(pair.homes[0])[refused[0]] == states(pair.homes[1])[refused[0]] == ("admin", "active")


def test_an_invitation_is_taken_up_once_whatever_the_node(pair: Pair) -> None:
    with pair.running() as nodes:
        submit(nodes[0].services.journal, Issue("zoe", hash_token("secret"), 60_000))
        with Peer(nodes[0].port) as one, Peer(nodes[1].port) as other:
            for each in (one, other):
                each.receive()
            for each, password in ((one, "first long password"), (other, "other long password")):
                each.send({"type": "redeem", "username": "zoe", "secret": "secret", "password": password})
            answers = [one.receive(), other.receive()]
        assert sorted(answer["type"] for answer in answers) == ["error", "welcome"]
        winner = ("first", "other")[answers[1]["type"] == "welcome"]
        for node in nodes:
            assert comes_in(node, type="login", username="zoe", password=f"{winner} long password") == "welcome"


def test_what_is_edited_by_hand_on_one_node_is_so_on_all_and_the_first_of_two_holds(
    pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    with pair.running() as (first, second):
        write(pair.homes[0], "alice:admin bob dave:admin newcomer")
        refresh(first, second)
        after = {
            "alice": ("admin", "active"),
            "bob": ("member", "active"),
            "dave": ("admin", "active"),
            "newcomer": ("member", "active"),
        }
        assert states(pair.homes[0]) == states(pair.homes[1]) == after
        # Both at once: each was written without knowledge of the other.
        write(pair.homes[0], "alice bob dave:admin newcomer")
        write(pair.homes[1], "alice:admin:disabled bob dave:admin newcomer")
        refresh(first, second)
        assert states(pair.homes[0]) == states(pair.homes[1]) == after | {"alice": ("member", "active")}
        assert "the account alice stays as the cluster has it" in caplog.text
        # What cannot be read keeps nobody out, and is not lost.
        bad = (pair.homes[0] / "credentials").read_text() + "nonsense\n"
        (pair.homes[0] / "credentials").write_text(bad)
        with pytest.raises(SecurechatError, match="line 5"):
            first.services.authenticator.roll.refresh()
        second.services.authenticator.roll.make(AccountChange("remove", "newcomer"))
        refresh(first, second)
        assert (pair.homes[0] / "credentials").read_text() == bad
        assert "newcomer" not in states(pair.homes[1])
        (pair.homes[0] / "credentials").write_text(bad.replace("nonsense\n", ""))
        refresh(first, second)
        assert "newcomer" not in states(pair.homes[0])


def test_a_node_that_comes_with_a_file_of_its_own_adds_whom_the_cluster_does_not_have(
    pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    with running_server(pair.homes[0], cluster=pair.settings[0]):
        pass
    write_accounts(pair.homes[1], "alice:admin:disabled bob guest")
    with pair.running() as (first, second):
        refresh(first, second)
        after = states(pair.homes[0])
        assert states(pair.homes[1]) == after
        assert (after["alice"], after["guest"]) == (("member", "active"), ("member", "active"))
        assert {"carol", "dave"} < after.keys()
        assert comes_in(second, type="login", username="alice", password=PASSWORD) == "welcome"
        # Taken away by hand, a copy is written anew, and says nothing.
        (pair.homes[1] / "credentials").unlink()
        refresh(second)
        assert states(pair.homes[1]) == states(pair.homes[0]) == after
    assert caplog.text.count("the account alice stays as the cluster has it") == 1


def test_a_node_that_was_killed_before_it_wrote_its_file_takes_nothing_back(pair: Pair) -> None:
    files = [pair.homes[0] / name for name in ("credentials", "credentials.shared")]
    with pair.running() as (first, second):
        refresh(first, second)
        before = [file.read_bytes() for file in files]
        first.services.authenticator.roll.make(AccountChange("passwd", "alice", password=hashed(OTHER)))
        first.services.authenticator.roll.make(AccountChange("remove", "carol"))
    for kept in (before, [files[0].read_bytes(), before[1]]):  # before both files, and between the two
        for file, data in zip(files, kept, strict=True):
            file.write_bytes(data)
        with pair.running() as (first, second):
            refresh(first, second)
            assert "carol" not in states(pair.homes[0])
            assert verify(CredentialFile(files[0]).get("alice").password, OTHER)
            assert comes_in(second, type="login", username="alice", password=OTHER) == "welcome"


def test_a_change_while_no_node_runs_on_the_home_is_proposed_when_it_starts(pair: Pair) -> None:
    with pair.running():
        pass
    write_settings(pair.homes[1], pair.settings[1])
    told = call("user", "disable", "bob", "--home", str(pair.homes[1]))
    assert told.code == 0, told
    assert told.err == "No server runs on this home: it is proposed to the cluster when this node starts again.\n"
    with pair.running() as (first, second):
        refresh(first, second)
        assert states(pair.homes[0])["bob"] == ("member", "disabled")


def test_a_webhook_is_there_on_all_nodes(pair: Pair) -> None:
    hook = Hook("build", "lobby", hash_token("token"))
    with pair.running() as (first, second):
        HookFile(pair.homes[0] / "hooks").add(hook)
        refresh(first, second)
        assert HookFile(pair.homes[1] / "hooks").load() == {"build": hook}
        HookFile(pair.homes[1] / "hooks").remove("build")
        refresh(second, first)
        assert HookFile(pair.homes[0] / "hooks").load() == {}


def says(node: Server, token: str) -> int:
    """The status with which a node answers a webhook's message."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", node.http_port, timeout=DEADLINE)) as asking:
        asking.request("POST", f"/hook/{token}", b"it is green")
        return asking.getresponse().status


def test_a_webhook_that_a_command_makes_speaks_at_all_nodes_when_the_command_returns(pair: Pair) -> None:
    with pair.running() as (first, second), peer(first, "alice", room="lobby"):
        with peer(second, "dave"):
            pass  # the second has the room
        home = str(pair.homes[1])
        made = call("hook", "add", "build", "--room", "lobby", "--home", home)
        assert made.code == 0, made
        with peer(first, "dave"):
            pass  # the first has what was ordered before
        assert [says(node, made.out.strip()) for node in (second, first)] == [200, 200]
        assert call("hook", "add", "build", "--room", "lobby", "--home", home).code == 7
        assert call("hook", "list", "--home", home).out.split() == ["build", "lobby"]
        removed = call("hook", "remove", "build", "--home", home)
        assert removed.code == 0, removed
        with peer(first, "dave"):
            pass
        assert [says(node, made.out.strip()) for node in (second, first)] == [404, 404]
        assert call("hook", "remove", "build", "--home", home).code == 6
        assert "build" not in first.services.authenticator.accounts
    assert "sethook" in (pair.homes[1] / "audit.log").read_text()


def test_without_nats_an_account_is_not_changed_and_the_reason_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = make_home(tmp_path / "home")
    with nats_servers(tmp_path / "nats", 1) as (server,):
        settings: Cluster = node_settings([server])
        with running_server(home, cluster=settings) as node:
            monkeypatch.setattr(order, "PATIENCE_SECONDS", 0.2)
            server.kill()
            told = call("adduser", "zoe", "--generate", "--home", str(home))
            assert told.code == 1, told
            assert "stores nothing at the moment" in told.err
            assert "zoe" not in node.services.authenticator.accounts
