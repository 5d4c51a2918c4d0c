"""A conversation: what is heard is shown once and in order, what is typed is said or done, an own line is pending until
it is stored, and nobody can write what looks like another's line.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from securechat.certificates import client_context
from securechat.client.client import Client
from securechat.client.ignored import Ignored
from securechat.client.outbox import Line, Outbox
from securechat.client.plain import PENDING_SHOWN, Talk
from securechat.client.timeouts import Timeouts
from securechat.errors import Refused, Unreachable
from tests.client.scripted import DEADLINE, WELCOME, Peer, authority_file, message, scripted


class Sheet:
    """A face that keeps what is shown, and on which one can wait for it."""

    width = 80

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self.lines: list[str] = []
        self.questions: list[str] = []

    def ask(self, question: str) -> None:
        self.questions.append(question)

    def show(self, block: str) -> None:
        with self._changed:
            self.lines.extend(block.split("\n"))
            self._changed.notify_all()

    def refresh(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def wait(self, seen: Callable[[], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(seen, DEADLINE), self.lines

    def wait_for(self, line: str) -> None:
        self.wait(lambda: line in self.lines)


class Conversation:
    """A talk, its sheet, and the thread that listens."""

    def __init__(self, client: Client, ignored: Ignored) -> None:
        self.sheet = Sheet()
        self.talk = Talk(client, self.sheet, ignored)
        self.failures: list[Exception] = []
        self.listener = threading.Thread(target=self._listen)
        self.listener.start()

    def _listen(self) -> None:
        try:
            self.talk.listen()
        except (Refused, Unreachable) as error:
            self.failures.append(error)


@contextmanager
def conversation(
    tmp_path: Path,
    script: Callable[[Peer], None],
    *,
    rooms: tuple[str, ...] = ("lobby",),
    opened: bool = True,
    head: int = 0,
    ignored: Ignored | None = None,
) -> Iterator[Conversation]:
    """A conversation with a scripted server, which first lets alice in and into `rooms`."""

    def whole(peer: Peer) -> None:
        peer.let_in(rooms=[state(room, head=head) for room in rooms])
        if opened:
            open_up(peer, *rooms, head=head)
        script(peer)

    ca = authority_file(tmp_path)
    with (
        scripted(whole) as server,
        Client.connect("localhost", server.port, client_context(ca), "alice", "secret") as client,
    ):
        talking = Conversation(client, Ignored() if ignored is None else ignored)
        if opened:
            talking.talk.open(list(rooms))
        try:
            yield talking
        finally:
            client.close()
            talking.listener.join(DEADLINE)


def state(room: str, **fields: Any) -> dict[str, Any]:
    return {"room": room, "head": 0, "members": 2, "joined": True, **fields}


def open_up(peer: Peer, *rooms: str, records: tuple[dict[str, Any], ...] = (), head: int = 0) -> None:
    for room in rooms:
        peer.answer(type="joined", room=room, head=head or len(records), members=2)
        peer.answer(type="page", room=room, records=records, more=False)
    peer.answer(type="synced")


def shown(talking: Conversation) -> list[str]:
    """What was shown behind the first two lines, which are the same in all conversations."""
    return talking.sheet.lines[2:]


@pytest.fixture(autouse=True)
def utc(local_zone: Callable[[str], None]) -> None:
    local_zone("UTC")


def test_who_comes_in_sees_the_room_and_its_last_records_each_once(tmp_path: Path) -> None:
    def script(peer: Peer) -> None:
        join = peer.expect("join")
        peer.send({"type": "joined", "ref": join["ref"], "room": "lobby", "head": 2, "members": 3})
        history = peer.expect("history")
        assert history["limit"] == 20
        # The third record came between the two requests: it is heard before its page arrives, and is in it too.
        peer.send(message(3, "three"))
        records = [message(1, "one"), message(2, "two"), message(3, "three")]
        peer.send({"type": "page", "ref": history["ref"], "room": "lobby", "records": records, "more": False})
        peer.send(message(4, "four"))
        peer.answer(type="synced")
        peer.leave()

    with conversation(tmp_path, script, opened=False) as talking:
        talking.talk.open(["lobby"])
        talking.sheet.wait_for("00:04 bob: four")
        assert talking.sheet.lines[0].startswith("-- Connected to localhost:")
        assert talking.sheet.lines[1:] == [
            "-- You are in lobby: 3 members.",
            "00:01 bob: one",
            "00:02 bob: two",
            "00:03 bob: three",
            "00:04 bob: four",
        ]
        assert talking.talk.prompt() == "lobby> "


def test_a_room_that_cannot_be_joined_is_told_and_the_next_one_is_where_one_speaks(tmp_path: Path) -> None:
    def script(peer: Peer) -> None:
        peer.answer(type="error", code="no-such-room", message="There is no room ops.")
        open_up(peer, "lobby")
        assert peer.store(1)["room"] == "lobby"
        peer.leave()

    with conversation(tmp_path, script, opened=False) as talking:
        talking.talk.open(["ops", "lobby"])
        talking.talk.enter("hello")
        talking.sheet.wait_for("00:01 alice #1: hello")
        assert "-- ops: There is no room ops." in talking.sheet.lines


def test_an_own_line_is_pending_until_it_comes_back_with_its_number(tmp_path: Path) -> None:
    go_on = threading.Semaphore(0)

    def script(peer: Peer) -> None:
        say = peer.expect("say")
        assert go_on.acquire(timeout=DEADLINE)
        peer.send({"type": "ack", "ref": say["ref"], "id": say["id"], "room": "lobby", "seq": 43, "time": 60_000})
        assert go_on.acquire(timeout=DEADLINE)
        peer.send(message(42, "meanwhile"), message(43, "hello", sender="alice", id=say["id"]))
        peer.leave()

    with conversation(tmp_path, script, head=41) as talking:
        talking.talk.enter("hello")
        assert talking.talk.pending() == ["... hello"]
        go_on.release()
        talking.sheet.wait(lambda: talking.talk.pending() == ["#43 hello"])
        go_on.release()
        talking.sheet.wait_for("00:43 alice #43: hello")
        assert talking.talk.pending() == []
        assert shown(talking) == ["00:42 bob: meanwhile", "00:43 alice #43: hello"]


def test_pending_lines_are_few_short_and_safe(tmp_path: Path) -> None:
    def script(peer: Peer) -> None:
        for _ in range(PENDING_SHOWN + 2):
            peer.expect("say")
        peer.receive()

    with conversation(tmp_path, script) as talking:
        talking.talk.enter("\x1b[2J\nsecond")
        talking.talk.enter("/msg @bob psst")
        talking.talk.enter("x" * 200)
        for _ in range(PENDING_SHOWN - 1):
            talking.talk.enter("more")
        shown = talking.talk.pending()
        assert shown[0] == "... \\u{1B}[2J\\u{A}second"
        assert shown[1] == "... [@bob] psst"
        assert shown[2] == "... " + "x" * 72 + "..."
        assert shown[PENDING_SHOWN:] == ["... and 2 more"]


def test_a_refused_line_is_shown_with_the_reason_and_what_was_said(tmp_path: Path) -> None:
    def script(peer: Peer) -> None:
        peer.answer(type="error", code="too-many-requests", message="Slowly.")
        peer.leave()

    with conversation(tmp_path, script) as talking:
        talking.talk.enter("hello\nworld")
        talking.sheet.wait(lambda: not talking.talk.pending())
        assert shown(talking) == ["-- Not stored: Slowly. You said: hello", "      | world"]


def test_a_line_that_is_refused_before_it_is_sent_is_shown_as_well(tmp_path: Path) -> None:
    with conversation(tmp_path, Peer.leave) as talking:
        talking.talk.enter("x" * 70_000)
        assert shown(talking)[0] == "-- Not stored: It is too long: 65536 bytes are the most. You said:"
        assert talking.talk.pending() == []


def test_lines_in_flight_are_shown_when_the_connection_ends(tmp_path: Path) -> None:
    def script(peer: Peer) -> None:
        peer.expect("say")
        peer.send({"type": "bye", "code": "shutdown", "message": "The server stops."})

    with conversation(tmp_path, script) as talking:
        talking.talk.enter("hello")
        talking.listener.join(DEADLINE)
        assert [str(error) for error in talking.failures] == ["The server ended the connection: The server stops."]
        assert " ".join(line.strip(" -|") for line in shown(talking)) == (
            "Not acknowledged: The connection ended before the acknowledgement came; it may be stored. You said: hello"
        )
        # What is typed now is told, too.
        talking.talk.enter("too late")
        assert shown(talking)[-1] == "-- The server ended the connection: The server stops."


def test_the_commands_do_what_help_says(tmp_path: Path) -> None:
    def script(peer: Peer) -> None:
        asked.append(
            peer.answer(type="rooms", rooms=[state("lobby"), state("ops", joined=False, members=1, topic="x\n")])
        )
        asked.append(peer.answer(type="members", room="lobby", members=["alice", "bob"]))
        asked.append(peer.answer(type="page", room="lobby", records=[message(1, "old")], more=False))
        asked.append(peer.answer(type="page", room="lobby", records=[], more=False))
        asked.append(peer.store(1))
        asked.append(peer.answer(type="joined", room="ops", head=0, members=1))
        asked.append(peer.answer(type="page", room="ops", records=[], more=False))
        asked.append(peer.answer(type="left", room="ops"))
        peer.leave()

    asked: list[dict[str, Any]] = []
    with conversation(tmp_path, script) as talking:
        for typed in ("/rooms", "/who", "/history 1", "/history", "/msg @bob psst"):
            assert talking.talk.enter(typed)
        talking.sheet.wait_for("00:01 [@bob] alice #1: psst")
        assert talking.talk.enter("/join ops")
        assert talking.talk.prompt() == "ops> "
        assert talking.talk.enter("/leave")
        assert talking.talk.prompt() == "lobby> "
        assert not talking.talk.enter("/quit")
        assert shown(talking) == [
            "-- * lobby: 2 members",
            "--   ops: 1 member - x\\u{A}",
            "-- lobby: alice, bob",
            "-- The last 1 records of lobby:",
            "00:01 bob #1: old",
            "-- What follows is new.",
            "-- There is nothing yet.",
            "00:01 [@bob] alice #1: psst",
            "-- You are in ops: 1 member.",
            "-- You left ops.",
        ]
    assert [(request["type"], request.get("room"), request.get("limit")) for request in asked] == [
        ("rooms", None, None),
        ("members", "lobby", None),
        ("history", "lobby", 1),
        ("history", "lobby", 20),
        ("say", "@bob", None),
        ("join", "ops", None),
        ("history", "ops", 20),
        ("leave", "ops", None),
    ]


def test_ones_logins_are_listed_and_one_of_them_is_ended(tmp_path: Path) -> None:
    def script(peer: Peer) -> None:
        here = {"session": "aa", "created": 0, "device": "lap\x1btop", "online": True, "current": True}
        asked.append(peer.answer(type="sessions", sessions=[here, {"session": "bb", "created": 0}]))
        asked.append(peer.answer(type="revoked"))
        peer.leave()

    asked: list[dict[str, Any]] = []
    with conversation(tmp_path, script) as talking:
        for typed in ("/sessions", "/sessions end bb", "/sessions bb"):
            assert talking.talk.enter(typed)
        assert not talking.talk.enter("/quit")
        assert shown(talking) == [
            "-- * aa on lap\\u{1B}top, since 1970-01-01, this one",
            "--   bb, since 1970-01-01",
            "-- The session bb is over.",
            "-- Type /sessions, or /sessions end NAME.",
        ]
    assert [(request["type"], request.get("session")) for request in asked] == [("sessions", None), ("revoke", "bb")]


def test_help_lists_every_command(tmp_path: Path) -> None:
    with conversation(tmp_path, Peer.leave) as talking:
        talking.talk.enter("/help")
        listed = "\n".join(shown(talking))
        for usage in ("/join ROOM", "/leave [ROOM]", "/rooms", "/who", "/msg TARGET TEXT", "/history [N]", "/quit"):
            assert f"-- {usage}" in listed


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("/nope", "-- There is no command /nope. Type /help for the list, or // to say a slash."),
        ("/no\x1b[2Jpe", "-- There is no command /no\\u{1B}[2Jpe. Type /help for the list, or // to say a"),
        ("/join", "-- Type /join ROOM."),
        ("/history 0", "-- Type a number from 1 to 500."),
    ],
)
def test_a_mistake_is_told_and_never_said(tmp_path: Path, typed: str, told: str) -> None:
    with conversation(tmp_path, Peer.leave) as talking:  # the script hears nothing but the logout
        assert talking.talk.enter(typed)
        assert shown(talking)[0] == told


def test_what_the_server_refuses_is_told(tmp_path: Path) -> None:
    def script(peer: Peer) -> None:
        peer.answer(type="error", code="no-such-room", message="There is no room ops.")
        peer.leave()

    with conversation(tmp_path, script) as talking:
        talking.talk.enter("/join ops")
        assert shown(talking) == ["-- There is no room ops."]
        assert talking.talk.prompt() == "lobby> "


def test_what_was_heard_of_a_room_that_one_could_not_enter_again_is_not_lost(tmp_path: Path) -> None:
    def script(peer: Peer) -> None:
        join = peer.expect("join")
        peer.send(message(1, "still here"))
        peer.send({"type": "error", "ref": join["ref"], "code": "storage", "message": "The disk is full."})
        peer.leave()

    with conversation(tmp_path, script) as talking:
        talking.talk.enter("/join lobby")
        talking.sheet.wait_for("00:01 bob: still here")
        talking.sheet.wait_for("-- The disk is full.")


def test_a_slash_can_be_said_and_a_blank_line_says_nothing(tmp_path: Path) -> None:
    def script(peer: Peer) -> None:
        assert peer.store(1)["text"] == "/etc/hosts"
        peer.leave()

    with conversation(tmp_path, script) as talking:
        talking.talk.enter("")
        talking.talk.enter("   ")
        talking.talk.enter("//etc/hosts")
        talking.sheet.wait_for("00:01 alice #1: /etc/hosts")


def test_who_is_in_no_room_is_told_so(tmp_path: Path) -> None:
    def script(peer: Peer) -> None:
        peer.answer(type="left", room="lobby")
        peer.leave()

    with conversation(tmp_path, script) as talking:
        talking.talk.enter("/leave")
        assert talking.talk.prompt() == "no room> "
        for typed in ("hello", "/who", "/leave", "/history"):
            talking.talk.enter(typed)
        assert shown(talking) == ["-- You left lobby.", *["-- You are in no room. Come into one with /join ROOM."] * 4]


def test_one_can_talk_to_a_person_alone(tmp_path: Path) -> None:
    def script(peer: Peer) -> None:
        peer.answer(type="error", code="no-such-room", message="There is no room @bob.")
        assert peer.store(1)["room"] == "@bob"
        peer.leave()

    with conversation(tmp_path, script) as talking:
        talking.talk.enter("/join @bob")
        assert talking.talk.prompt() == "@bob> "
        talking.talk.enter("psst")
        talking.sheet.wait_for("00:01 [@bob] alice #1: psst")
        assert shown(talking)[0] == "-- You talk to @bob alone."


def test_rooms_are_named_when_there_are_several(tmp_path: Path) -> None:
    def script(peer: Peer) -> None:
        peer.send(message(1, "one room"))
        peer.send(message(1, "direct", room="@bob"))
        peer.send(message(2, "two rooms"))
        peer.leave()

    with conversation(tmp_path, script) as talking:
        talking.sheet.wait_for("00:02 [lobby] bob: two rooms")
        assert shown(talking)[:2] == ["00:01 bob: one room", "00:01 [@bob] bob: direct"]


def test_coming_and_going_is_shown_and_own_membership_elsewhere_followed(tmp_path: Path) -> None:
    def record(kind: str, sender: str, seq: int, room: str = "lobby") -> dict[str, Any]:
        return {"type": kind, "room": room, "seq": seq, "sender": sender, "time": 0}

    def script(peer: Peer) -> None:
        peer.send(record("create", "bob", 1, "ops"), record("join", "carol", 1), record("leave", "carol", 2))
        peer.send(record("join", "alice", 2, "ops"), record("leave", "alice", 3))
        peer.leave()

    with conversation(tmp_path, script) as talking:
        talking.sheet.wait(lambda: talking.talk.prompt() == "ops> ")
        talking.sheet.wait_for("-- 00:00 [lobby] alice left.")
        assert shown(talking) == [
            "-- 00:00 [ops] bob made the room.",
            "-- 00:00 carol joined.",
            "-- 00:00 carol left.",
            "-- 00:00 [ops] alice joined.",
            "-- 00:00 [lobby] alice left.",
        ]


def test_nobody_can_write_the_line_of_another_or_of_the_client(tmp_path: Path) -> None:
    forged = (
        "hi\n-- 00:00 bob left.\n00:00 carol: I resign.\x1b[A\r00:00 dave: me too\u2028-- bye" + " " * 70 + "-- gone"
    )

    def script(peer: Peer) -> None:
        peer.send(message(1, forged, sender="eve"))
        peer.send({"type": "error", "code": "internal", "message": "oops\n00:00 bob: forged"})
        peer.send({"type": "broadcast", "text": "noon\n00:00 bob: forged"})
        peer.send(message(2, "done", sender="eve"))
        peer.leave()

    with conversation(tmp_path, script) as talking:
        talking.sheet.wait_for("00:02 eve: done")
        lines = shown(talking)
        assert lines[0] == "00:01 eve: hi"
        told = lines.index("-- oops\\u{A}00:00 bob: forged")
        assert told > 3
        assert lines[told + 1] == "-- The operator says: noon\\u{A}00:00 bob: forged"
        assert all(line.startswith("      | ") and len(line) < Sheet.width for line in lines[1:told])


def test_the_welcome_tells_which_rooms_one_is_in(tmp_path: Path) -> None:
    def script(peer: Peer) -> None:
        peer.let_in(rooms=[*WELCOME["rooms"], state("ops")])
        open_up(peer, "lobby", records=(message(1, "hello"),))
        peer.leave()

    ca = authority_file(tmp_path)
    with (
        scripted(script) as server,
        Client.connect("localhost", server.port, client_context(ca), "alice", "secret") as client,
    ):
        sheet = Sheet()
        Talk(client, sheet, Ignored()).open(["lobby"])
        assert sheet.lines[-1] == "00:01 [lobby] bob: hello"


def test_who_is_ignored_stays_ignored_and_what_somebody_does_is_shown_as_a_deed(tmp_path: Path) -> None:
    said = message(1, "hello", sender="eve")

    def first(peer: Peer) -> None:
        peer.send(said, message(2, "/me waves"))
        peer.leave()

    def second(peer: Peer) -> None:
        page = peer.expect("history")
        peer.send({"type": "page", "ref": page["ref"], "room": "lobby", "records": [said], "more": False})
        hits = [{"room": "lobby", "record": one} for one in (message(2, "/me waves"), said)]
        peer.answer(type="found", hits=hits, more=False)
        peer.send(message(3, "again", sender="eve"), message(4, "bye"))
        peer.leave()

    kept = tmp_path / "ignored"
    with conversation(tmp_path, first, ignored=Ignored(kept, "alice@localhost:7443")) as talking:
        talking.sheet.wait_for("00:02 * bob waves")
        for typed in ("/ignore eve", "/ignore", "/ignore Eve Smith", "/ignore \x1b"):
            talking.talk.enter(typed)
        assert shown(talking) == [
            "00:01 eve: hello",
            "00:02 * bob waves",
            "-- What eve says is hidden from you now.",
            "-- Hidden: eve.",
            "-- Type /ignore [NAME].",
            "-- That is nobody's name. Type /ignore NAME.",
        ]
    with conversation(tmp_path, second, ignored=Ignored(kept, "alice@localhost:7443"), head=2) as talking:
        talking.talk.enter("/history")
        talking.talk.enter("/search e")
        talking.sheet.wait_for("00:04 bob: bye")
        assert shown(talking)[:3] == [
            "-- The last 1 records of lobby:",
            "-- What follows is new.",
            "-- 1970-01-01 00:02 [lobby] * bob #2 waves",
        ]
        talking.talk.enter("/ignore @eve")
        talking.talk.enter("/ignore")
        assert shown(talking)[-2:] == ["-- What eve says is shown to you again.", "-- Hidden: nobody."]
        assert not any("again" in line for line in shown(talking)[:-2])


def test_a_lost_connection_is_told_in_a_line_and_what_is_typed_meanwhile_is_pending(tmp_path: Path) -> None:
    back = threading.Event()

    def first(peer: Peer) -> None:
        peer.let_in(token="t")
        open_up(peer, "lobby")
        peer.send({"type": "bye", "code": "shutdown", "message": "The server stops."})

    def second(peer: Peer) -> None:
        assert back.wait(DEADLINE)
        peer.let_in(rooms=[state("lobby"), state("ops")])
        peer.answer(type="synced")
        peer.store(1)
        peer.leave()

    context = client_context(authority_file(tmp_path))
    waits = Timeouts(retry=0.001)
    with (
        scripted(first, second) as server,
        Client.connect("localhost", server.port, context, "alice", "secret", timeouts=waits) as client,
    ):
        talking = Conversation(client, Ignored())
        talking.talk.open(["lobby"])
        talking.sheet.wait_for("-- The server ended the connection: The server stops. Trying again.")
        talking.talk.enter("still here")
        assert talking.talk.pending() == ["... still here"]
        back.set()
        talking.sheet.wait_for("00:01 [lobby] alice #1: still here")
        assert talking.talk.pending() == []
        assert "-- Connected again." in talking.sheet.lines
        client.close()
        talking.listener.join(DEADLINE)


def test_another_password_is_asked_for_and_is_neither_said_nor_shown(tmp_path: Path) -> None:
    asked: list[dict[str, Any]] = []

    def script(peer: Peer) -> None:
        request = peer.expect("password")
        peer.send({"type": "error", "ref": request["ref"], "code": "weak-password", "message": "It is too short."})
        asked.extend((request, peer.answer(type="changed")))
        peer.leave()

    with conversation(tmp_path, script) as talking:

        def change(*answers: str) -> str:
            for typed in ("/password", *answers):
                assert talking.talk.enter(typed)
            return talking.sheet.lines[-1]

        assert change("the old one", "the new one", "the other one") == (
            "-- The two are not the same. Your password stays as it is."
        )
        assert change("") == "-- Your password stays as it is."
        assert change("the old one", "short", "short") == "-- It is too short."
        assert talking.talk.enter("/password")
        assert talking.talk.prompt() == "Your password now: "
        for typed in ("the old one", "/quit is a password, too", "/quit is a password, too"):
            assert talking.talk.enter(typed)
        assert talking.sheet.lines[-1] == "-- Your password is another one now; your other sessions have ended."
        assert talking.talk.prompt() == "lobby> "
        whole = ["Your password now: ", "The new one: ", "The new one again: ", ""]
        assert talking.sheet.questions == [*whole, "Your password now: ", "", *whole, *whole]
        assert "old one" not in "".join(talking.sheet.lines)
    assert [(one["old"], one["new"]) for one in asked] == [
        ("the old one", "short"),
        ("the old one", "/quit is a password, too"),
    ]


def test_what_an_earlier_run_left_is_sent_again_and_what_was_refused_then_is_told_once(tmp_path: Path) -> None:
    go = threading.Event()

    def once(peer: Peer) -> None:
        peer.let_in(rooms=[state("lobby")])
        say = peer.expect("say")
        open_up(peer, "lobby")
        assert go.wait(DEADLINE)
        peer.store(1, say)
        peer.leave()

    def again(peer: Peer) -> None:
        peer.let_in()
        peer.leave()

    context, folder = client_context(authority_file(tmp_path)), tmp_path / "outbox"
    with scripted(once, again) as server:
        box = Outbox(folder, f"alice@localhost:{server.port}")
        for line in (Line("a", "lobby", "on its way"), Line("b", "lobby", "bad words")):
            box.add(line)
        box.settle([], [("b", "muted", "Not now.")])
        box.close()
        with Client.connect("localhost", server.port, context, "alice", "secret", outbox=folder) as client:
            talking = Conversation(client, Ignored())
            talking.talk.open(["lobby"], "It may be lost.")
            assert talking.talk.pending() == ["... on its way"]
            go.set()
            talking.sheet.wait_for("00:01 alice #1: on its way")
            talking.sheet.wait_for("-- Stored: lobby #1.")
            assert talking.talk.pending() == []
            client.close()
            talking.listener.join(DEADLINE)
        assert talking.sheet.lines[1:4] == [
            "-- It may be lost.",
            "-- Of what you said before, 1 line is sent again now.",
            "-- Not stored: Not now. You said: bad words",
        ]
        assert sum("on its way" in line for line in talking.sheet.lines) == 1
        with Client.connect("localhost", server.port, context, "alice", "secret", outbox=folder) as client:
            assert client.left_over == ()
