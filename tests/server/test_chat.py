"""People talk: what one says, others hear; who may hear what; and the log behind it."""

from pathlib import Path

import pytest

from securechat.server.server import Server
from tests.server.support import peer, running_server, whoever_gives_the_order, with_any_number_of_reactors


@whoever_gives_the_order
def test_what_one_says_is_acknowledged_then_heard_by_all_in_the_room(server: Server) -> None:
    with peer(server, "alice", room="lobby") as alice, peer(server, "bob", room="lobby") as bob:
        alice.send({"type": "say", "ref": "r", "id": "one", "room": "lobby", "text": "hello"})
        ack = alice.expect("ack", "message")
        assert (ack["type"], ack["ref"], ack["id"], ack["room"]) == ("ack", "r", "one", "lobby")
        for hears in (alice, bob):
            heard = hears.expect("message")
            assert len(heard.pop("salt")) == 22
            assert heard == {
                "type": "message",
                "room": "lobby",
                "seq": ack["seq"],
                "sender": "alice",
                "time": ack["time"],
                "id": "one",
                "text": "hello",
            }


@whoever_gives_the_order
def test_every_reader_sees_the_same_records_once_in_order_without_a_gap(server: Server) -> None:
    people = ("alice", "bob", "carol")
    with peer(server, "dave", room="lobby") as dave:
        for name in people:
            with peer(server, name, room="lobby"):
                pass
        with peer(server, "alice") as alice, peer(server, "bob") as bob, peer(server, "carol") as carol:
            for one in (alice, bob, carol, dave):
                one.send({"type": "sync"})
                one.expect("synced")
            for turn in range(40):
                for name, one in zip(people, (alice, bob, carol), strict=True):
                    one.send({"type": "say", "id": f"{name}-{turn}", "room": "lobby", "text": f"{turn}"})
            heard = [one.messages(120) for one in (alice, bob, carol, dave)]
    assert heard[0] == heard[1] == heard[2] == heard[3]
    seqs = [message["seq"] for message in heard[0]]
    assert seqs == list(range(seqs[0], seqs[0] + 120))
    for name in people:
        assert [m["text"] for m in heard[0] if m["sender"] == name] == [str(turn) for turn in range(40)]


@with_any_number_of_reactors
def test_an_authors_other_session_hears_it_too(server: Server) -> None:
    with peer(server, "alice", room="lobby") as laptop, peer(server, "alice", room="lobby") as phone:
        laptop.say("hello", id="one")
        assert phone.expect("message")["text"] == "hello"


def test_the_same_id_again_gets_the_first_number_and_is_not_delivered_twice(home: Path) -> None:
    with running_server(home) as server, peer(server, "alice", room="lobby") as alice:
        first = alice.say("hello", id="one")
        assert "duplicate" not in first
    with running_server(home) as server, peer(server, "alice", room="lobby") as alice:
        again = alice.say("hello", id="one")
        assert (again["seq"], again["time"], again["duplicate"]) == (first["seq"], first["time"], True)
        assert alice.say("other", id="one")["code"] == "id-reused"
        alice.say("next", id="two")
        assert alice.expect("message")["id"] == "two"


@with_any_number_of_reactors
def test_another_accounts_same_id_is_another_message(server: Server) -> None:
    with peer(server, "alice", room="lobby") as alice, peer(server, "bob", room="lobby") as bob:
        assert bob.say("b", id="same")["seq"] == alice.say("a", id="same")["seq"] - 1


@with_any_number_of_reactors
def test_speaking_in_a_room_one_is_not_in_is_refused(server: Server) -> None:
    with peer(server, "alice") as alice:
        refused = alice.say("hello", id="one")
        assert (refused["code"], refused["message"]) == ("not-member", "Join lobby first.")


@whoever_gives_the_order
def test_requests_sent_behind_a_join_take_effect_after_it(server: Server) -> None:
    with peer(server, "alice") as alice:
        alice.send(
            {"type": "join", "room": "lobby"},
            {"type": "members", "room": "lobby"},
            {"type": "say", "id": "one", "room": "lobby", "text": "hello"},
        )
        assert [alice.receive()["type"] for _ in range(4)] == ["joined", "members", "ack", "message"]


@with_any_number_of_reactors
def test_joining_a_room_one_is_in_subscribes_to_it_and_records_nothing(server: Server) -> None:
    with peer(server, "alice", room="lobby") as alice:
        head = alice.say("hello", id="one")["seq"]
    with peer(server, "alice") as alice:
        joined = alice.join("lobby")
        assert (joined["head"], joined["members"]) == (head, 1)
        alice.say("more", id="two")
        assert alice.expect("message", "join")["seq"] == head + 1


@whoever_gives_the_order
def test_who_has_left_hears_that_and_nothing_more(server: Server) -> None:
    with peer(server, "alice", room="lobby") as alice, peer(server, "bob", room="lobby") as bob:
        bob.send({"type": "leave", "room": "lobby"})
        assert bob.expect("left")["room"] == "lobby"
        assert bob.expect("leave")["sender"] == "bob"
        alice.say("after", id="one")
        bob.send({"type": "ping", "ref": "end"})
        assert bob.receive() == {"type": "pong", "ref": "end"}


@with_any_number_of_reactors
def test_a_room_is_created_by_its_owner_who_is_in_it_and_others_may_join(server: Server) -> None:
    with peer(server, "alice") as alice, peer(server, "bob") as bob:
        alice.send({"type": "create", "room": "ops"})
        created = alice.expect("created")
        assert (created["room"], created["head"]) == ("ops", 1)
        bob.send({"type": "create", "room": "ops"})
        assert bob.expect("error")["code"] == "room-exists"
        bob.join("ops")
        assert alice.expect("join")["sender"] == "bob"
        alice.say("welcome", id="one", room="ops")
        assert bob.expect("message")["text"] == "welcome"


@with_any_number_of_reactors
def test_rooms_are_listed_with_ones_own_marked(server: Server) -> None:
    with peer(server, "alice") as alice, peer(server, "bob", room="lobby"):
        alice.send({"type": "create", "room": "ops"}, {"type": "rooms", "ref": "r"})
        listed = alice.expect("rooms")
        assert listed["ref"] == "r"
        rooms = {room["room"]: room for room in listed["rooms"]}
        assert len(rooms["ops"].pop("hash")) == 43
        assert rooms["ops"] == {"room": "ops", "head": 1, "members": 1, "joined": True}
        assert rooms["lobby"]["members"] == 1
        assert "joined" not in rooms["lobby"]


@with_any_number_of_reactors
def test_members_are_listed_for_members(server: Server) -> None:
    with peer(server, "alice", room="lobby") as alice, peer(server, "bob") as bob:
        alice.send({"type": "members", "room": "lobby"})
        assert alice.expect("members")["members"] == ["alice"]
        bob.send({"type": "members", "room": "lobby"}, {"type": "members", "room": "nowhere"})
        assert bob.expect("error")["code"] == "not-member"
        assert bob.expect("error")["code"] == "no-such-room"


@with_any_number_of_reactors
def test_a_welcome_names_the_rooms_of_the_account(server: Server) -> None:
    with peer(server, "dave", room="lobby") as dave:
        head = dave.say("hello", id="one")["seq"]
    with peer(server) as dave:
        welcome = dave.login("dave")
        assert (welcome["username"], welcome["role"]) == ("dave", "admin")
        (room,) = welcome["rooms"]
        assert (room["room"], room["head"], room["joined"]) == ("lobby", head, True)


# --- direct rooms ---------------------------------------------------------------------------------


@whoever_gives_the_order
def test_a_direct_message_makes_the_room_of_two_and_each_sees_the_others_name(server: Server) -> None:
    with peer(server, "alice") as alice, peer(server, "bob") as bob, peer(server, "carol") as carol:
        for one in (alice, bob, carol):
            one.send({"type": "sync"})
            one.expect("synced")
        ack = alice.say("psst", id="one", room="@bob")
        assert (ack["room"], ack["seq"]) == ("@bob", 1)
        assert alice.expect("message")["room"] == "@bob"
        heard = bob.expect("message")
        assert (heard["room"], heard["sender"], heard["text"]) == ("@alice", "alice", "psst")
        assert bob.say("what?", id="one", room="@alice")["seq"] == 2
        assert alice.expect("message")["text"] == "what?"
        carol.send({"type": "rooms"})
        assert [room["room"] for room in carol.receive()["rooms"]] == ["lobby"]


@whoever_gives_the_order
def test_a_direct_message_waits_for_who_is_offline(server: Server) -> None:
    with peer(server, "alice") as alice:
        alice.say("psst", id="one", room="@bob")
    with peer(server) as bob:
        assert [room["room"] for room in bob.login("bob")["rooms"]] == ["@alice"]
        bob.send({"type": "sync", "after": {"@alice": 0}})
        assert bob.expect("message")["text"] == "psst"


@with_any_number_of_reactors
def test_a_direct_message_to_nobody_is_refused(server: Server) -> None:
    with peer(server, "alice") as alice:
        assert alice.say("psst", id="one", room="@nobody")["code"] == "no-such-account"
        assert alice.say("psst", id="two", room="@no body")["code"] == "bad-name"


# --- reading --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("question", "texts", "more"),
    [
        ({"limit": 3}, ["7", "8", "9"], True),
        ({}, [str(n) for n in range(10)], True),
        ({"after": 4, "limit": 2}, ["3", "4"], True),
        ({"after": 9}, ["8", "9"], False),
        ({"before": 4}, ["0", "1"], True),
    ],
)
def test_history_comes_in_pages_oldest_first(
    home: Path, question: dict[str, int], texts: list[str], more: bool
) -> None:
    with running_server(home) as server, peer(server, "alice", room="lobby") as alice:
        for n in range(10):
            alice.say(str(n), id=f"n{n}")
        alice.send({"type": "history", "ref": "h", "room": "lobby", **question})
        page = alice.expect("page")
        said = [record["text"] for record in page["records"] if record["type"] == "message"]
        assert (page["ref"], page["room"]) == ("h", "lobby")
        assert said == texts
        first = page["records"][0]["seq"]
        assert page["more"] == (more and not (first == 1 and "after" not in question))


@with_any_number_of_reactors
def test_history_both_before_and_after_a_number_is_refused(server: Server) -> None:
    with peer(server, "alice", room="lobby") as alice:
        alice.send({"type": "history", "room": "lobby", "before": 1, "after": 1})
        assert alice.expect("error")["code"] == "bad-frame"


@whoever_gives_the_order
def test_subscribing_with_a_cursor_replays_what_came_after_it_then_follows(server: Server) -> None:
    with peer(server, "alice", room="lobby") as alice:
        for n in range(700):  # more than a page
            alice.send({"type": "say", "id": f"n{n}", "room": "lobby", "text": str(n)})
        alice.messages(700)
        with peer(server, "alice") as late:
            late.send({"type": "subscribe", "ref": "s", "room": "lobby", "after": 1})
            subscribed = late.expect("subscribed")
            assert (subscribed["ref"], subscribed["room"], subscribed["head"]) == ("s", "lobby", 701)
            assert [message["seq"] for message in late.messages(700)] == list(range(2, 702))
            alice.say("new", id="new")
            assert late.expect("message")["seq"] == 702


@with_any_number_of_reactors
def test_subscribing_without_a_cursor_hears_only_what_is_new(server: Server) -> None:
    with peer(server, "alice", room="lobby") as alice:
        alice.say("old", id="one")
        with peer(server, "alice") as late:
            late.send({"type": "subscribe", "room": "lobby"})
            late.expect("subscribed")
            alice.say("new", id="two")
            assert late.expect("message")["text"] == "new"


@with_any_number_of_reactors
def test_a_cursor_from_the_future_hears_what_is_new(server: Server) -> None:
    with peer(server, "alice", room="lobby") as alice:
        alice.send({"type": "subscribe", "room": "lobby", "after": 999})
        alice.expect("subscribed")
        alice.say("new", id="one")
        assert alice.expect("message")["text"] == "new"


@whoever_gives_the_order
def test_sync_reads_all_rooms_of_the_account_those_to_come_too(server: Server) -> None:
    with peer(server, "alice", room="lobby") as alice:
        alice.say("old", id="one")
        with peer(server, "alice") as other:
            other.send({"type": "sync", "ref": "s", "after": {"lobby": 1, "elsewhere": 3}})
            assert other.receive() == {"type": "synced", "ref": "s"}
            assert other.expect("message")["text"] == "old"
            alice.send({"type": "create", "room": "ops"})
            assert other.expect("create")["room"] == "ops"
            alice.say("in ops", id="two", room="ops")
            assert other.expect("message")["text"] == "in ops"


# --- what is refused --------------------------------------------------------------------------------


NO_ROOM = ("", "Lobby", "a b", "x" * 64 + "y", "lobby\n", "\u001b[31m", "@", "@Bob", "@a:b", "é")


@with_any_number_of_reactors
def test_a_room_name_that_no_room_can_have_is_refused_in_every_request(server: Server) -> None:
    with peer(server, "alice") as alice:
        for kind in ("create", "join", "leave", "members", "history", "subscribe", "say"):
            for name in NO_ROOM:
                frame = {"type": kind, "ref": "r", "room": name}
                if kind == "say":
                    frame |= {"id": "one", "text": "hello"}
                alice.send(frame)
                error = alice.receive()
                assert (error["type"], error["ref"]) == ("error", "r"), frame
                assert error["code"] in ("bad-name", "bad-frame"), frame
                assert "\u001b" not in error["message"]
                alice.send({"type": "ping"})  # and ends a row of bad lines
                assert alice.receive()["type"] == "pong"


@with_any_number_of_reactors
def test_a_text_that_could_drive_a_terminal_or_is_too_long_is_refused(server: Server) -> None:
    with peer(server, "alice", room="lobby") as alice:
        for text in ("", " \n", "bell\u0007", "red \u001b[31m", "c1 \u009b31m", "del \u007f", "x" * 16_385):
            assert alice.say(text, id="one")["code"] == "bad-text"
        assert alice.say("fine\n\tstill fine ✓", id="two")["type"] == "ack"


@with_any_number_of_reactors
def test_an_id_of_other_characters_is_refused(server: Server) -> None:
    with peer(server, "alice", room="lobby") as alice:
        for id in ("", "a b", "é", "x\n"):
            assert alice.say("hello", id=id)["code"] == "bad-id"


@with_any_number_of_reactors
def test_direct_rooms_cannot_be_joined_left_or_created(server: Server) -> None:
    with peer(server, "alice") as alice:
        alice.say("psst", id="one", room="@bob")
        for kind in ("join", "leave", "create"):
            alice.send({"type": kind, "room": "@bob"})
            assert alice.expect("error")["code"] == "forbidden"
