"""Private rooms, topics, invitations, edits and deletions, replies, read markers, who is here: as clients see them."""

import threading

import pytest

from securechat.server import audience
from securechat.server.server import Server
from tests.server.support import DEADLINE, Peer, peer, with_any_number_of_reactors


def _ask(one: Peer, kind: str, **fields: object) -> dict[str, object]:
    """Ask, and get the answer, whatever else comes before it."""
    one.send({"type": kind, "ref": "asked", **fields})
    while True:
        frame = one.receive()
        if frame.get("ref") == "asked":
            return frame


@with_any_number_of_reactors
def test_a_private_room_is_nobodys_business_until_they_are_invited(server: Server) -> None:
    with peer(server, "alice") as alice, peer(server, "bob") as bob:
        bob.send({"type": "sync"})
        bob.expect("synced")
        assert _ask(alice, "create", room="plans", private=True)["type"] == "created"
        assert "plans" not in str(_ask(bob, "rooms"))
        for kind in ("join", "members", "subscribe", "history"):
            assert _ask(bob, kind, room="plans")["code"] == "no-such-room"
        assert _ask(alice, "invite", room="plans", username="bob")["type"] == "ack"
        assert bob.expect("invite")["target"] == "bob"
        alice.say("now you know", id="one", room="plans")
        assert bob.expect("message")["text"] == "now you know"
        assert _ask(alice, "invite", room="plans", username="nobody")["code"] == "no-such-account"


@with_any_number_of_reactors
def test_who_was_kicked_hears_that_and_nothing_more(server: Server) -> None:
    with peer(server, "alice") as alice, peer(server, "bob") as bob:
        _ask(alice, "create", room="ops")
        bob.join("ops")
        assert _ask(bob, "kick", room="ops", username="alice")["code"] == "forbidden"
        assert _ask(alice, "kick", room="ops", username="bob")["type"] == "ack"
        assert bob.expect("kick")["target"] == "bob"
        alice.say("gone", id="one", room="ops")
        assert _ask(bob, "ping")["type"] == "pong"
        assert bob.say("back?", id="one", room="ops")["code"] == "not-member"


@with_any_number_of_reactors
def test_who_is_banned_is_out_and_stays_out_until_it_is_lifted(server: Server) -> None:
    with peer(server, "alice") as alice, peer(server, "bob") as bob:
        _ask(alice, "create", room="ops")
        bob.join("ops")
        assert _ask(bob, "ban", room="ops", username="alice")["code"] == "forbidden"
        assert _ask(alice, "ban", room="ops", username="nobody")["code"] == "no-such-account"
        assert _ask(alice, "ban", room="ops", username="bob", seconds=3_600)["type"] == "ack"
        assert bob.expect("kick")["target"] == "bob"
        assert _ask(bob, "join", room="ops")["code"] == "banned"
        assert _ask(alice, "invite", room="ops", username="bob")["code"] == "banned"
        assert _ask(alice, "members", room="ops")["banned"] == ["bob"]
        assert _ask(alice, "ban", room="ops", username="bob") == {"type": "ack", "ref": "asked"} | {
            "id": "", "room": "ops", "seq": 3, "time": server.services.view.rooms["ops"].time,
        }  # fmt: skip
        assert _ask(alice, "ban", room="ops", username="bob")["unchanged"] is True
        assert _ask(alice, "unban", room="ops", username="bob")["type"] == "ack"
        assert _ask(alice, "unban", room="ops", username="bob")["unchanged"] is True
        assert _ask(bob, "join", room="ops")["type"] == "joined"
        assert "banned" not in _ask(alice, "members", room="ops")
        assert "banned" not in _ask(bob, "members", room="ops")


def test_who_is_kicked_does_not_hear_what_is_said_behind_that_in_one_batch(server: Server) -> None:
    with peer(server, "alice") as alice, peer(server, "bob") as bob:
        _ask(alice, "create", room="ops")
        bob.join("ops")
        alice.send(  # in one write: one turn of the reactor, one batch
            {"type": "say", "id": "one", "room": "ops", "text": "to all"},
            {"type": "kick", "id": "two", "room": "ops", "username": "bob"},
            {"type": "say", "id": "three", "room": "ops", "text": "behind his back"},
        )
        while alice.expect("ack")["id"] != "three":
            pass
        assert [bob.receive()["type"] for _ in range(2)] == ["message", "kick"]
        bob.send({"type": "ping"})
        assert bob.receive()["type"] == "pong"


@with_any_number_of_reactors
def test_a_topic_is_told_and_listed(server: Server) -> None:
    with peer(server, "alice", room="lobby") as alice, peer(server, "bob", room="lobby") as bob:
        assert _ask(alice, "topic", room="lobby", text="tea at four")["type"] == "ack"
        assert bob.expect("topic")["text"] == "tea at four"
        rooms = _ask(bob, "rooms")["rooms"]
        assert isinstance(rooms, list)
        assert rooms[0]["topic"] == "tea at four"


@with_any_number_of_reactors
def test_an_edit_is_a_record_and_a_deletion_erases_the_text_and_its_edits(server: Server) -> None:
    with peer(server, "alice", room="lobby") as alice, peer(server, "bob", room="lobby") as bob:
        said = alice.say("first secret", id="one")["seq"]
        assert _ask(bob, "edit", id="x", room="lobby", seq=said, text="forged")["code"] == "forbidden"
        assert _ask(alice, "edit", id="two", room="lobby", seq=said, text="second secret")["type"] == "ack"
        edit = bob.expect("edit")
        assert (edit["about"], edit["text"]) == (said, "second secret")
        assert _ask(bob, "delete", room="lobby", seq=said)["code"] == "forbidden"
        assert _ask(alice, "delete", room="lobby", seq=said)["type"] == "ack"
        assert bob.expect("delete")["about"] == said
        page = _ask(bob, "history", room="lobby")
        assert "secret" not in str(page)
        with peer(server, "bob") as late:
            late.send({"type": "subscribe", "room": "lobby", "after": 0})
            records = [late.receive() for _ in range(1 + edit["seq"] + 1)]
            assert "secret" not in str(records)
            assert [record["seq"] for record in records[1:]] == list(range(1, edit["seq"] + 2))


@with_any_number_of_reactors
def test_an_admin_may_delete_what_others_said_and_a_reply_names_what_it_answers(server: Server) -> None:
    with peer(server, "alice", room="lobby") as alice, peer(server, "dave", room="lobby") as dave:
        said = alice.say("rude", id="one")["seq"]
        alice.send({"type": "say", "id": "two", "room": "lobby", "text": "as I said", "reply_to": said})
        assert alice.expect("ack")["id"] == "two"
        dave.messages(1)
        assert dave.expect("message")["reply_to"] == said
        assert _ask(dave, "delete", room="lobby", seq=said)["type"] == "ack"
        alice.send({"type": "say", "id": "three", "room": "lobby", "text": "?", "reply_to": 999})
        assert alice.expect("error")["code"] == "no-such-record"


@with_any_number_of_reactors
def test_a_read_marker_is_kept_and_told_to_the_accounts_other_sessions(server: Server) -> None:
    with peer(server, "alice", room="lobby") as laptop, peer(server, "alice", room="lobby") as phone:
        seq = laptop.say("hello", id="one")["seq"]
        assert _ask(laptop, "read", room="lobby", seq=seq)["seq"] == seq
        assert phone.expect("read") == {"type": "read", "room": "lobby", "seq": seq}
        assert _ask(phone, "read", room="lobby", seq=1)["seq"] == seq
        with peer(server) as tablet:
            assert tablet.login("alice")["rooms"][0]["read"] == seq


def test_sessions_that_mark_different_rooms_in_one_batch_hear_of_each_other(server: Server) -> None:
    with peer(server, "alice", room="lobby") as laptop, peer(server, "alice") as phone:
        _ask(laptop, "create", room="ops")
        gate = threading.Event()

        def hold_up() -> None:
            assert gate.wait(DEADLINE)

        server.services.reactors[0].post(hold_up)
        laptop.send({"type": "read", "ref": "mine", "room": "lobby", "seq": 1})
        phone.send({"type": "read", "ref": "mine", "room": "ops", "seq": 1})
        gate.set()  # both are there: one turn of the reactor, one batch
        for one, room, other in ((laptop, "lobby", "ops"), (phone, "ops", "lobby")):
            heard = [one.expect("read") for _ in range(2)]
            assert sorted((frame["room"], frame.get("ref")) for frame in heard) == sorted(
                [(room, "mine"), (other, None)]
            )


@with_any_number_of_reactors
def test_those_who_share_a_room_hear_who_comes_and_goes(server: Server) -> None:
    with peer(server, "bob", room="lobby"):
        pass
    with peer(server, "alice", room="lobby") as alice:
        alice.send({"type": "sync"})
        alice.expect("synced")
        with peer(server, "bob") as bob, peer(server, "bob"):
            assert alice.expect("presence") == {"type": "presence", "username": "bob", "online": True}
            members = _ask(bob, "members", room="lobby")
            assert (members["members"], members["online"]) == (["alice", "bob"], ["alice", "bob"])
        assert alice.expect("presence") == {"type": "presence", "username": "bob", "online": False}


def test_in_a_larger_room_who_is_here_is_told_to_those_who_ask(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audience, "PRESENCE_MEMBERS", 2)
    with peer(server, "alice", room="lobby") as alice, peer(server, "bob", room="lobby") as bob:
        alice.send({"type": "sync"})
        alice.expect("synced")
        bob.close()
        assert alice.expect("presence") == {"type": "presence", "username": "bob", "online": False}
        with peer(server, "carol", room="lobby"), peer(server, "bob"):
            alice.send({"type": "members", "room": "lobby"})
            while (frame := alice.receive())["type"] != "members":
                # Carol came when she was no member yet.
                assert frame["type"] == "join"
            assert (frame["members"], frame["online"]) == (["alice", "bob", "carol"],) * 2


@with_any_number_of_reactors
def test_what_was_there_before_is_told_as_a_replay_and_what_is_new_is_not(server: Server) -> None:
    with peer(server, "alice", room="lobby") as alice:
        alice.say("old", id="one")
        with peer(server, "alice") as late:
            late.send({"type": "subscribe", "room": "lobby", "after": 1})
            assert late.expect("message")["replay"] is True
            alice.say("new", id="two")
            assert "replay" not in late.expect("message")


@with_any_number_of_reactors
def test_the_chain_of_hashes_is_told_at_every_head(server: Server) -> None:
    with peer(server, "alice", room="lobby") as alice, peer(server, "bob") as bob:
        alice.say("hello", id="one")
        joined = bob.join("lobby")
        page = _ask(bob, "history", room="lobby", limit=1)
        assert joined["hash"] == page["hash"] != ""
        before = _ask(bob, "history", room="lobby", before=joined["head"], limit=1)
        assert before["hash"] == page["base"]


@with_any_number_of_reactors
def test_what_was_said_is_found_by_those_who_are_in_the_room_alone(server: Server) -> None:
    with peer(server, "alice", room="lobby") as alice, peer(server, "bob") as bob:
        alice.say("the quick brown fox", id="one")
        alice.say("psst, the fox", id="two", room="@carol")
        found: list[object] = []
        while len(found) < 2:  # the index follows the log by itself
            answer = _ask(alice, "search", text="FOX")
            found = answer["hits"]  # type: ignore[assignment] # a list of hits
        assert [hit["room"] for hit in found] == ["@carol", "lobby"]  # type: ignore[index] # as above
        assert _ask(bob, "search", text="fox")["hits"] == []
        bob.join("lobby")
        assert len(_ask(bob, "search", text="fo", room="lobby")["hits"]) == 1  # type: ignore[arg-type] # a list
        assert _ask(bob, "search", text="fox", **{"from": "bob"})["hits"] == []
        assert _ask(bob, "search", text="fox", room="@carol")["code"] == "no-such-room"


@with_any_number_of_reactors
def test_an_edited_message_is_found_by_what_it_says_now(server: Server) -> None:
    with peer(server, "alice", room="lobby") as alice:
        said = alice.say("tea at four", id="one")["seq"]
        _ask(alice, "edit", id="two", room="lobby", seq=said, text="tea at five")
        hits: list[dict[str, dict[str, object]]] = []
        while not hits:
            hits = _ask(alice, "search", text="five")["hits"]  # type: ignore[assignment] # a list of hits
        assert [(hit["record"]["type"], hit["record"]["text"]) for hit in hits] == [("edit", "tea at five")]
        assert _ask(alice, "search", text="four")["hits"] == []
