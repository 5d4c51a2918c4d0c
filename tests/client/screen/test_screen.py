"""The full screen at work: keys go in, and what a person would see is waited for, with real clients and a server."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from securechat.client.client import Client
from securechat.client.ignored import Ignored
from securechat.config import Config
from securechat.limits import Limits
from securechat.protocols.frames import Ack, Create, Created, Edit, Join, Joined, Message
from securechat.server.server import Server
from tests.client.screen.support import DEADLINE, connect, sitting
from tests.server.support import PASSWORD, make_home, peer, running_server

PAGE_UP, PAGE_DOWN, UP, DOWN, END = "\x1b[5~", "\x1b[6~", "\x1b[A", "\x1b[B", "\x1b[F"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return make_home(tmp_path / "home")


@pytest.fixture
def server(home: Path) -> Iterator[Server]:
    with running_server(home) as running:
        yield running


@pytest.fixture
def bob(server: Server, home: Path) -> Iterator[Client]:
    with connect(server.port, home, "bob") as client:
        client.request(Join(room="lobby"), Joined)
        yield client


def make_room(client: Client, name: str, *lines: str) -> None:
    client.request(Create(room=name), Created)
    for line in lines:
        client.say(name, line)


def until_found(client: Client, *looked_for: str) -> None:
    """Wait until the server finds each: its index follows the log."""
    deadline = time.monotonic() + DEADLINE
    while not all(client.search(one).hits for one in looked_for):
        assert time.monotonic() < deadline


def test_two_people_talk_reply_edit_and_delete(server: Server, home: Path) -> None:
    with sitting(server.port, home, "alice") as alice, sitting(server.port, home, "bob", columns=50) as bob:
        alice.enter("hello bob")
        alice.wait_for(r"alice │ hello bob +#\d+$")
        bob.wait_for(r"#\d+ alice │ hello bob")
        number = next(line for line in alice.lines if "hello bob" in line).rpartition("#")[2]
        bob.enter(f"/reply {number} hi alice")
        for screen in (alice, bob):
            screen.wait_for("│ ╭ alice: hello bob", r"bob │ hi alice")
        alice.type("\x1be")
        alice.wait_for(f"> /edit {number} hello bob")
        alice.type("\x17Bob\r")
        bob.wait_for("edited #.* alice │ hello Bob", "╭ alice: hello Bob")
        alice.enter(f"/delete {number}")
        bob.wait_for("alice │ deleted")
        bob.enter("/me waves")
        alice.wait_for(r"\* │ bob waves")
        alice.enter("/topic Tea at four")
        bob.wait_for("set the topic: Tea at four", "^ lobby │ Tea at four")
        bob.enter("/topic -")
        alice.wait_without("^ lobby │ Tea at four")
        alice.wait_for("bob took the topic away")
        alice.enter("/jion x")
        alice.wait_for("-- There is no command /jion.")
        alice.enter("/who")
        alice.wait_for(r"-- lobby: alice\*, bob\*")
        alice.enter("/away")
        alice.wait_for("away", "nothing counts as read")
        alice.enter("/help")
        alice.wait_for(r"-- /sessions \[end NAME\] +list where", "-- /help  +show this list", "PgUp shows")
        alice.enter("/clear")
        alice.wait_without("/help")
        alice.enter("/create den private")
        alice.wait_for("alice made the room")
        alice.enter("/invite bob")
        alice.wait_for("alice invited bob")
        alice.enter("come in")
        bob.wait_for(r"\[1:den\(1\)\]")
        bob.type("\x1ba")
        bob.wait_for(r"^ den \(private\)", "alice │ come in")
        alice.type("\x04")
        alice.end()


def test_rooms_are_counted_visited_and_drafts_kept(server: Server, home: Path, bob: Client) -> None:
    make_room(bob, "ops", "one", "two for alice", "three")
    with sitting(server.port, home, "alice", "lobby", "ops") as alice:
        alice.wait_for("^ 2 ops")
        bob.say("ops", "four")
        bob.say("ops", "alice: five")
        alice.wait_for(r"^ 2 ops +2 1!")
        alice.type("a draft")
        alice.wait_for("lobby> a draft")
        alice.type("\x1ba")
        alice.wait_for("^ ops", "three", "─ new since you were here ─", "five")
        alice.wait(lambda lines: lines[-1] == "ops>")
        alice.type("\x1b1")
        alice.wait_for("lobby> a draft", "^ 2 ops  +│")
        alice.type("\x0e")
        alice.wait_for("^ops>$")
        alice.type("\x10")
        alice.wait_for("lobby> a draft")
        alice.type("\x15")
        bob.say("@alice", "psst")
        alice.wait_for(r"@bob +• +1!|@bob +1!")
        alice.enter("/msg @bob yes?")
        alice.enter("/join @bob")
        alice.wait_for("^ @bob", "bob │ psst", "alice │ yes?")
        alice.enter("/create den private")
        alice.wait_for(r"^ den \(private\)", "alice made the room")
        alice.enter("/invite bob")
        alice.wait_for("alice invited bob")
        alice.enter("/kick bob")
        alice.wait_for("alice removed bob")
        alice.enter("/ban bob 7d")
        alice.wait_for("-- bob is banned from den for 7d.")
        alice.enter("/who")
        alice.wait_for("-- Banned: bob")
        alice.enter("/unban bob")
        alice.wait_for("-- bob is not banned from den any more.")
        alice.enter("/leave")
        alice.wait_for("-- You left den.")
        alice.enter("/rooms")
        alice.wait_for(r"-- \* ops: 2 members")
        alice.enter("/sessions")
        alice.wait_for(r"-- \* \S+ .*, this one")
        with connect(server.port, home, "alice") as other:
            alice.type("\x1ba")
            deadline = time.monotonic() + DEADLINE
            while (ops := next(state for state in other.rooms() if state.room == "ops")).read < ops.head:
                assert time.monotonic() < deadline, ops


def test_history_is_read_and_edited_line_by_line(server: Server, home: Path) -> None:
    with sitting(server.port, home, "alice") as alice:
        for line in ("first", "second"):
            alice.enter(line)
        alice.wait_for("alice │ second +#")
        alice.type("typed")
        alice.wait_for("lobby> typed")
        alice.type(UP)
        alice.wait_for("lobby> second")
        alice.type(UP)
        alice.wait_for("lobby> first")
        alice.type(DOWN)
        alice.wait_for("lobby> second")
        alice.type(DOWN)
        alice.wait_for("lobby> typed")
        alice.type("\x01\x0bone two")  # Ctrl-A, Ctrl-K
        alice.wait_for("lobby> one two$")
        alice.type("\x1bb\x0bthree")  # Alt-b, Ctrl-K
        alice.wait_for("lobby> one three$")
        alice.type("\x1b\rfour\r")  # Alt-Enter
        alice.wait_for("alice │ one three", " {11}│ four")
        alice.type("\x1b[200~a\r\nb\x1b[201~")
        alice.wait(lambda lines: lines[-2].endswith("lobby> a") and lines[-1] == "b")
        alice.type("\x15\x7f\x15\x1b[200~" + "\n".join("abcdef") + "\x1b[201~")
        alice.wait_for(r"Paste 6 lines as one message\? y/n")
        alice.type("n")
        alice.wait(lambda lines: lines[-1] == "lobby>")
        alice.type("\x1b[200~" + "\n".join("uvwxyz") + "\x1b[201~")
        alice.wait_for("Paste 6 lines")
        alice.type("y")
        alice.wait(lambda lines: [line.strip() for line in lines[-6:]] == ["lobby> u", *"vwxyz"])
        alice.type("\r")
        alice.wait_for("alice │ u", "│ z$")
        alice.type("/he\t")
        alice.wait_for("lobby> /help")


def test_each_further_key_of_the_help_does_what_it_says(server: Server, home: Path, bob: Client) -> None:
    make_room(bob, "ops", *(f"line {number:02}" for number in range(2, 42)))  # each with its number
    with sitting(server.port, home, "alice", "lobby", "ops") as alice:

        def press(keys: str, *patterns: str) -> None:
            alice.type(keys)
            alice.wait_for(*patterns)

        alice.wait_for("^ 2 ops", "alice joined")
        press("\x1b2", "^ops>$", "line 41")  # Alt-2
        press("\x1b9a", "^ops> a$")  # there is no ninth room
        press("\x7f\x1b\x1b[A", "-MORE 1-")  # Alt-Up, in both ways in which terminals say it
        press("\x1b[1;3A", "-MORE 2-")
        press("\x1b[1;3B", "-MORE 1-")  # Alt-Down
        alice.type("\x1b[1;5F")  # Ctrl-End
        alice.wait_without("-MORE")
        press("\x1br", "^ops> /reply 41$")
        press("\x1br", "^ops> /reply 40$")
        press("because\r", "╭ bob: line 40", "alice │ because +#43$")
        press("and so on\r", "alice │ and so on +#44$")
        press("\x1be", "^ops> /edit 44 and so on$")
        press("\x1be", "^ops> /edit 43 because$")
        press("\x15/r\t", "^ops> /reply$")
        press("\t", "^ops> /rooms$")
        press("\x1b[Z", "^ops> /reply$")  # Shift-Tab
        press("\x15ab\x01\x04", "^ops> b$")  # Ctrl-d leaves where the input is empty, and only there
        erased = alice.glass.written.count("\x1b[2J")
        alice.type("\x0c")
        alice.wait(lambda lines: alice.glass.written.count("\x1b[2J") > erased and lines[-1] == "ops> b", "Ctrl-l")
        alice.wait_for("alice │ and so on +#44$", "^ 2 ops")
        until_found(bob, "line 41")
        alice.type("\x12line\r")
        alice.wait_for("40 found", "> .* line 41")
        press("\x0e", "> .* line 40")
        press("\x10", "> .* line 41")
        press("x\x07", "^ops> b$")  # any other key does nothing; Ctrl-g goes back
        press("\x12\x07", "^ops> b$")


def test_scrolling_loads_what_is_older_and_a_search_goes_there(server: Server, home: Path, bob: Client) -> None:
    make_room(bob, "long", *(f"line {number:03}" for number in range(1, 250)))
    until_found(bob, "line 077")
    with sitting(server.port, home, "alice", "long") as alice:
        alice.wait_for(r"bob │ line 249 ", "alice joined")
        while not any("bob made the room" in line for line in alice.lines):
            was = alice.lines  # with the line of state: at the end of what is loaded, that alone changes
            alice.type(PAGE_UP)
            alice.wait(lambda lines, was=was: lines != was, "the page above")  # type: ignore[misc]
        alice.wait_for("bob made the room", r"-MORE \d+-")
        shown = alice.talk
        bob.say("long", "something new")
        alice.wait_for(r"-MORE \d+-")
        assert alice.talk == shown
        alice.type(END)
        alice.wait_for("something new")
        alice.wait_without("-MORE")
        alice.type("\x12line 077\r")
        alice.wait_for('1 found for "line 077"', "> .* long bob │ line 077")
        alice.type("\r")
        alice.wait_for("│ line 077 ", "│ line 075 ", "│ line 079 ", "-MORE")
        for _ in range(3):
            alice.type(PAGE_DOWN)
        alice.enter("and back")
        alice.wait_for("something new", "alice │ and back")
        alice.resize(50, 20)
        alice.wait_for(r"#\d+ alice │ and back")
        alice.type("\x12\x1b")
        alice.wait(lambda lines: lines[-1] == "long>")


def test_what_is_said_without_a_connection_waits_and_is_said_once(home: Path) -> None:
    with running_server(home) as server:
        port = server.port
        with sitting(port, home, "alice") as alice, connect(port, home, "bob", retry=0.05, retry_most=0.1) as bob:
            bob.request(Join(room="lobby"), Joined)
            alice.enter("before")
            alice.wait_for("alice │ before +#")
            server.stop()
            alice.wait_for("not connected")
            alice.enter("into the dark")
            alice.wait_for("alice │ into the dark +…$", "not connected: 1 line waits")
            again = Server(home, Config(port=port, limits=Limits()))
            again.start()
            try:
                alice.wait_for("alice │ into the dark +#")
                bob.say("lobby", "welcome back")
                alice.wait_for("bob │ welcome back", " connected ")
                seen = [line for line in alice.lines if "into the dark" in line]
                assert len(seen) == 1
            finally:
                again.stop()


def test_a_refused_line_says_why_and_can_be_sent_again_or_dropped(server: Server, home: Path, tmp_path: Path) -> None:
    with sitting(server.port, home, "alice", outbox=tmp_path) as alice:
        alice.enter("/msg @nobody hello?")
        alice.wait_for("failed: Ctrl-t")
        alice.enter("/join @nobody")
        alice.wait_for(r"hello\? +failed", "-- Not stored: There is no account nobody")
        alice.type("\x14")
        alice.wait_for(r"hello\? +failed", "-- Not stored: There is no account nobody")
        alice.screen.stop()
        alice.end()
    with sitting(server.port, home, "alice", outbox=tmp_path) as alice:
        alice.enter("/join @nobody")
        alice.wait_for(r"hello\? +failed", "-- Not stored: There is no account nobody", "1 failed: Ctrl-t")
        alice.type("\x18")
        alice.wait_without("hello\\?")
    with connect(server.port, home, "alice", outbox=tmp_path) as client:
        assert client.left_over == ()


def test_the_bell_rings_for_a_mention_once_and_not_for_what_was_there(
    server: Server, home: Path, bob: Client, tmp_path: Path
) -> None:
    bob.say("lobby", "alice, are you there?")
    with sitting(server.port, home, "alice", ignored=Ignored(tmp_path, "alice")) as alice:
        alice.wait_for("are you there")
        assert "\a" not in alice.glass.written
        bob.say("lobby", "alice!")
        bob.say("lobby", "alice!!")
        alice.wait_for("alice!!")
        assert alice.glass.written.count("\a") == 1
        alice.enter("/ignore bob")
        alice.wait_without("alice!!")
        alice.enter("/ignore")
        alice.wait_for("Hidden: bob")
    assert list(Ignored(tmp_path, "alice")) == ["bob"]


def test_an_edit_by_another_is_shown_in_its_place(server: Server, home: Path, bob: Client) -> None:
    with sitting(server.port, home, "alice") as alice:
        seq = bob.say("lobby", "teh word").seq
        alice.wait_for("teh word")
        bob.request(Edit(id="e1", room="lobby", seq=seq, text="the word"), Ack)
        alice.wait_for(f"bob │ the word +edited #{seq}")
        alice.wait_without("teh word")


def test_another_password_is_asked_for_and_never_on_the_screen(server: Server, home: Path, bob: Client) -> None:
    new = "a sentence that alice made"
    with sitting(server.port, home, "alice") as alice:

        def answer(question: str, typed: str) -> None:
            alice.wait_for(rf"^{question}: *$")
            alice.type(typed)
            alice.wait_for(rf"^{question}: \*{{{len(typed)}}}$")
            alice.type("\r")

        alice.enter("/password")
        alice.wait_for("^Your password now:")
        alice.type("\x07")  # Ctrl-g gives it up
        alice.wait_for("-- Your password stays as it is.", "^lobby>")
        alice.enter("/password")
        answer("Your password now", PASSWORD)
        answer("The new one", new)
        answer("The new one again", new)
        alice.wait_for("-- Your password is another one now", "^lobby>")
        bob.say("lobby", "still there?")
        alice.wait_for("still there")
        assert PASSWORD not in alice.glass.written
        assert new not in alice.glass.written
        assert alice.screen.buffer.text == ""
    with peer(server) as again:
        again.login("alice", new)


def test_a_flood_is_drawn_together_and_typing_goes_on_in_it(server: Server, home: Path, bob: Client) -> None:
    count = 1_000
    with sitting(server.port, home, "alice") as alice:
        drawn = alice.screen.app.render_counter
        said = [bob.send("lobby", f"flood {number}") for number in range(count // 2)]
        alice.type("still here")
        alice.wait_for("^lobby> still here$")
        said += [bob.send("lobby", f"flood {number}") for number in range(count // 2, count)]
        alice.type("\r")
        alice.wait(lambda _: not alice.screen.model.own and f"flood {count - 1}" in "".join(alice.lines), "its end")
        assert all(line.wait(DEADLINE) for line in said)
        assert alice.screen.app.render_counter - drawn < count / 4
        assert alice.screen.viewport._renderer.rendered < count
        shown = [item.text for item in alice.screen.model.current.scrollback.items if isinstance(item, Message)]
        assert [text for text in shown if text != "still here"] == [f"flood {number}" for number in range(count)]
        assert shown.count("still here") == 1
        alice.resize(200, 50)
        alice.wait_for(f"│ flood {count - 1} {{90,}}#")
        alice.resize(40, 10)
        alice.wait_for(f"bob │ flood {count - 1}")


def test_a_find_far_back_is_loaded_with_what_is_around_it_and_one_scrolls_on_to_the_end(
    server: Server, home: Path, bob: Client
) -> None:
    count = 450
    bob.request(Create(room="long"), Created)
    said = [bob.send("long", f"line {number:03}") for number in range(1, count + 1)]
    numbers = [line.wait(DEADLINE).seq for line in said]
    bob.say("long", "about that", reply_to=numbers[9])
    until_found(bob, "line 077", "line 005")
    with sitting(server.port, home, "alice", "long") as alice:
        alice.wait_for("╭ bob: line 010", "about that")
        alice.type("\x12line 077\r")
        alice.wait_for('1 found for "line 077"')
        alice.type("\r")
        alice.wait_for("│ line 077 ", "│ line 075 ", "│ line 079 ", "-MORE")
        bob.say("long", "said meanwhile")
        while "said meanwhile" not in "".join(alice.lines):
            was = alice.lines  # with the line of state: at the end of what is loaded, that alone changes
            alice.type(PAGE_DOWN)
            alice.wait(lambda lines, was=was: lines != was, "the page below")  # type: ignore[misc]
        bob.say("long", "and live again")
        alice.wait_for("and live again")
        scrollback = alice.screen.model.current.scrollback
        records = [item.seq for item in scrollback.items if isinstance(item, Message)]
        assert records == sorted(set(records))
        assert set(numbers[200:]) < set(records)
        alice.type("\x12line 005\r")
        alice.wait_for("1 found")
        alice.type("\r")
        alice.wait_for("│ line 005 ")
        alice.enter("back at the end")
        alice.wait_for("and live again", "alice │ back at the end +#")
