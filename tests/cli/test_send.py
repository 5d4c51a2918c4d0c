"""`securechat send` and `securechat outbox` against a real server: what is printed, what is stored, how it ends."""

import json
import socket
import subprocess
import sys

import pytest

from securechat.certificates import client_context
from securechat.client.client import Client
from securechat.client.outbox import Line, Outbox
from securechat.client.profiles import state_folder
from securechat.client.timeouts import Timeouts
from securechat.limits import CLIENT_OUTBOX
from securechat.protocols.frames import Join, Joined
from securechat.server.server import Server
from tests.cli.commands import Commands
from tests.server.support import DEADLINE, PASSWORD, peer, running_server


@pytest.fixture
def unreachable(commands: Commands) -> Commands:
    """The commands, and a port where nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        commands.port = taken.getsockname()[1]
    return commands


def test_what_is_said_is_stored_once_under_its_id(served: Server, commands: Commands) -> None:
    # The room is joined first: that is its first record.
    assert commands.at("send", "lobby", "hello", "--id", "one") == (0, "lobby 2\n", "")
    code, out, _ = commands.at("send", "lobby", "hello", "--id", "one", "--json")
    receipt = json.loads(out)
    assert (code, receipt.pop("time") > 0) == (0, True)
    assert receipt == {"room": "lobby", "seq": 2, "id": "one", "duplicate": True}
    code, out, err = commands.at("send", "lobby", "something else", "--id", "one")
    assert (code, out) == (4, "")
    assert "The id one is taken" in err
    # By default, and as `-`, the text is what stdin holds.
    assert commands.at("send", "lobby", typed=b"two\r\nlines\n\n") == (0, "lobby 3\n", "")
    assert commands.at("send", "lobby", "-", typed="ü".encode()) == (0, "lobby 4\n", "")
    assert commands.at("send", "@bob", "psst") == (0, "@bob 1\n", "")
    with peer(served, "alice") as alice:
        alice.send({"type": "history", "room": "lobby", "after": 1})
        texts = [record["text"] for record in alice.expect("page")["records"]]
    assert texts == ["hello", "two\nlines", "ü"]


def test_what_cannot_be_said_is_told_in_one_line_and_by_the_exit_code(served: Server, commands: Commands) -> None:
    for typed, words, code, told in (
        (b"", ["lobby"], 4, "A message needs a text."),
        (b"\xff", ["lobby"], 2, "Byte 1 of the text is not UTF-8."),
        (b"x" * 65_537, ["lobby"], 2, "Stdin holds more than 65536 bytes."),
        (b"", ["nowhere", "x"], 4, "There is no room nowhere."),
        (b"", ["lobby", "x", "--id", "a b"], 2, "'a b' cannot be an id."),
        (b"", ["lobby", "x" * 20_000, "--queue"], 4, "The text has 20000 bytes"),
    ):
        ended, out, err = commands.at("send", *words, typed=typed)
        assert (ended, out, err.count("\n")) == (code, "", 1)
        assert told in err
    assert commands("outbox", "list") == (0, "", "")
    code, _, err = commands("send", "lobby", "x")
    assert (code, err.startswith("securechat: No server is named, and no profile is in use.")) == (2, True)
    code, _, err = commands("send", "lobby", "x", "--server", "alice@localhost")
    assert code == 2
    assert "There is no terminal to ask for the password" in err


def test_the_text_may_follow_the_password_on_stdin(served: Server, commands: Commands) -> None:
    at = ["--server", f"alice@localhost:{commands.port}", "--home", str(commands.home), "--password-stdin"]
    typed = commands.password.read_bytes() + b"hello\nall\n"
    assert commands("send", "lobby", *at, typed=typed) == (0, "lobby 2\n", "")


def test_what_cannot_be_sent_waits_and_is_sent_later_in_its_order(unreachable: Commands) -> None:
    commands = unreachable
    code, out, err = commands.at("send", "lobby", "lost")
    assert (code, out) == (3, "")
    code, out, err = commands.at("send", "lobby", "one", "--id", "1", "--queue")
    assert (code, out) == (75, "")
    assert "It is kept under the id 1. Send it with: securechat outbox flush" in err
    assert commands.at("send", "lobby", "one", "--id", "1", "--queue")[0] == 75  # no second one
    assert commands.at("send", "lobby", "other", "--id", "1", "--queue")[0] == 4
    assert commands.at("send", "nowhere", "two", "--id", "2", "--queue")[0] == 75
    account = f"alice@localhost:{commands.port}"
    assert commands("outbox", "list") == (
        0,
        f"{account}  1  lobby  waits  one\n{account}  2  nowhere  waits  two\n",
        "",
    )
    assert commands.at("outbox", "flush")[0] == 75
    with running_server(commands.home, port=commands.port) as server:
        assert commands.at("send", "lobby", "three", "--id", "3", "--queue") == (0, "lobby 3\n", "")
        code, out, _ = commands("outbox", "list", "--json")
        assert json.loads(out) == [{
            "account": account, "id": "2", "room": "nowhere", "text": "two",
            "code": "no-such-room", "reason": "There is no room nowhere.",
        }]  # fmt: skip
        code, out, err = commands.at("outbox", "flush")
        assert (code, out) == (4, "")
        assert "2 was not stored: There is no room nowhere." in err
        with peer(server, "bob") as bob:
            bob.send({"type": "create", "room": "nowhere"})
            bob.expect("created")
        code, out, err = commands.at("outbox", "flush", "--json")
        assert (code, json.loads(out)["seq"], err) == (0, 3, "")
        assert commands.at("outbox", "flush") == (0, "", "Nothing waits.\n")
        with peer(server, "alice") as alice:
            alice.send({"type": "history", "room": "lobby"})
            assert [record.get("text") for record in alice.expect("page")["records"]] == [None, "one", "three"]


def test_a_client_that_is_open_has_the_outbox_too_and_a_line_that_both_send_is_stored_once(commands: Commands) -> None:
    with running_server(commands.home) as server:
        port = commands.port = server.port
        ca, outbox = commands.home / "certs" / "ca.pem", state_folder() / "outbox"
        often = Timeouts(retry=0.05, retry_most=0.1)
        client = Client.connect("localhost", port, client_context(ca), "alice", PASSWORD, outbox=outbox, timeouts=often)
        client.request(Join(room="lobby"), Joined)
        assert commands.at("send", "lobby", "beside it", "--queue") == (0, "lobby 2\n", "")
        server.stop()
        dark = client.send("lobby", "in the dark", id="dark")
        assert commands.at("send", "lobby", "and I", "--id", "too", "--queue")[0] == 75
        assert [line.split("  ")[1] for line in commands("outbox", "list")[1].splitlines()] == ["dark", "too"]
    with client, running_server(commands.home, port=port) as server:
        code, out, _ = commands.at("outbox", "flush")
        # The client may have been there first.
        assert (code, out.splitlines()[-1], dark.wait(DEADLINE).seq) == (0, "lobby 4", 3)
        assert commands("outbox", "list")[1] == ""
        with peer(server, "bob") as bob:
            bob.send({"type": "join", "room": "lobby"})
            bob.send({"type": "history", "room": "lobby", "after": 1})
            texts = [record.get("text") for record in bob.expect("page")["records"]]
    assert texts == ["beside it", "in the dark", "and I", None]


def test_the_profile_in_use_says_where_and_as_whom(served: Server, commands: Commands) -> None:
    at = commands.way_in()
    assert commands("login", at[1], *at[2:])[0] == 0
    assert commands("send", "lobby", "hello") == (0, "lobby 2\n", "")
    served.stop()
    assert commands("send", "lobby", "later", "--queue")[0] == 75
    assert commands("outbox", "list")[1].startswith(f"alice@localhost:{commands.port}  ")
    with running_server(commands.home, port=commands.port):
        assert commands("outbox", "flush") == (0, "lobby 3\n", "")


def test_a_line_can_be_dropped_and_the_outbox_has_a_limit(unreachable: Commands) -> None:
    commands = unreachable
    account = f"alice@localhost:{commands.port}"
    outbox = Outbox(state_folder() / "outbox", account)
    for number in range(CLIENT_OUTBOX):
        outbox.add(Line(str(number), "lobby", "x"))
    outbox.close()
    code, _, err = commands.at("send", "lobby", "one more", "--queue")
    assert (code, err.count("\n")) == (1, 1)
    assert f"{CLIENT_OUTBOX} lines wait in the outbox already." in err
    assert commands("outbox", "drop", "7") == (0, "", "It is dropped.\n")
    assert commands("outbox", "drop", "7")[0] == 6
    assert commands.at("send", "lobby", "one more", "--queue", "--id", "7")[0] == 75


def test_a_wrong_password_or_ca_leaves_nothing_in_the_outbox(served: Server, commands: Commands) -> None:
    code, _, err = commands.at("send", "lobby", "x", "--queue", username="nobody")
    assert (code, "did not let nobody in" in err) == (4, True)
    (commands.home / "certs" / "ca.pem").write_text("nonsense")
    assert commands.at("send", "lobby", "x", "--queue")[0] == 1
    assert commands("outbox", "list") == (0, "", "")


def test_the_exit_codes_are_those_of_the_process(served: Server, commands: Commands) -> None:
    for words, code in ((("lobby", "hello"), 0), (("nowhere", "hello"), 4)):
        done = subprocess.run(
            [sys.executable, "-m", "securechat", "send", *words, *commands.way_in()],
            stdin=subprocess.DEVNULL, capture_output=True, timeout=DEADLINE, check=False,
        )  # fmt: skip
        assert done.returncode == code, done.stderr
