"""More requests than the rate allows are refused one by one; nothing of them is recorded, and the talk goes on."""

from pathlib import Path

from tests.server.support import peer, running_server


def test_more_than_the_rate_is_refused_and_not_recorded_and_the_session_goes_on(home: Path) -> None:
    with running_server(home, requests_a_second=10) as server, peer(server, "alice", room="lobby") as alice:
        alice.send(*({"type": "say", "id": str(n), "ref": str(n), "room": "lobby", "text": "x"} for n in range(40)))
        answers = [alice.expect("ack", "error") for _ in range(40)]
        refused = [one for one in answers if one["type"] == "error"]
        assert {(one["code"], one["retry_after"] > 0) for one in refused} == {("too-many-requests", True)}
        acknowledged = [one["id"] for one in answers if one["type"] == "ack"]
        assert len(acknowledged) >= 19, "the burst, but for the join"
        assert len(refused) >= 10
        with peer(server, "bob", room="lobby") as bob:  # others have rates of their own
            assert bob.say("hello", id="b")["type"] == "ack"
        while alice.say("again", id="again")["type"] == "error":
            pass  # until the bucket has filled by one
        while True:
            alice.send({"type": "history", "room": "lobby", "limit": 100})
            page = alice.expect("page", "error")
            if page["type"] == "page":
                break
        said = [one["id"] for one in page["records"] if one["type"] == "message" and one["sender"] == "alice"]
        assert said == [*acknowledged, "again"]


def test_a_goodbye_is_heard_from_who_asked_too_much(home: Path) -> None:
    with running_server(home, requests_a_second=1) as server, peer(server, "alice") as alice:
        alice.send(*({"type": "ping"} for _ in range(10)), {"type": "logout"})
        frames = alice.ends()
        assert frames[-1]["type"] == "bye" and frames[-1]["code"] == "logged-out"
        assert [one["code"] for one in frames if one["type"] == "error"] == ["too-many-requests"] * 8
