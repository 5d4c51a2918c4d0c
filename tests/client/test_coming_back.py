"""A client whose connection is lost comes back by itself, where that can help, and nothing is lost or said twice."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme

from securechat.certificates import client_context
from securechat.client.client import Client
from securechat.client.comeback import PATIENCE, Comeback
from securechat.client.hearing import Back, Lost
from securechat.client.timeouts import Timeouts
from securechat.errors import ChainBroken, Refused, SecurechatError, Unreachable, VerificationFailed
from securechat.protocols.frames import Join, Joined, Login, Message, Password, PasswordChanged, Resume, Sync, Synced
from tests.client.chained import Chained
from tests.client.scripted import DEADLINE, HELLO, Peer, Script, ScriptedServer, authority_file, message, scripted

TOKEN = "kq3mN0p_7vRzUO2-dG5yXb1LhTfCwEaS4iJ8oMtVr6Q"
SECRET = "correct horse battery staple"


def connect(server: ScriptedServer, tmp_path: Path, *, keep_password: bool = False, **timeouts: float) -> Client:
    waits = Timeouts(**{"retry": 0.001, "retry_most": 0.01, **timeouts})
    context = client_context(authority_file(tmp_path))
    return Client.connect(
        "localhost", server.port, context, "alice", SECRET, keep_password=keep_password, timeouts=waits
    )


@contextmanager
def returning(tmp_path: Path, first: Script, *later: Script, **options: Any) -> Iterator[Client]:
    """A client that was given a token, on the first of several connections."""

    entered = threading.Event()

    def begin(peer: Peer) -> None:
        peer.let_in(token=TOKEN)
        assert entered.wait(DEADLINE)
        first(peer)

    with scripted(begin, *later) as server, connect(server, tmp_path, **options) as client:
        entered.set()
        yield client


def at(head: int) -> list[dict[str, Any]]:
    """The rooms of a welcome: the lobby, at this head."""
    return [{"room": "lobby", "head": head, "members": 2, "joined": True}]


def cut(peer: Peer) -> None:
    peer.cut()


def test_it_comes_back_with_its_token_and_says_so(tmp_path: Path) -> None:
    openings: list[dict[str, Any]] = []
    go = threading.Event()

    def first(peer: Peer) -> None:
        assert go.wait(DEADLINE)
        peer.send(message(1, "before"))
        peer.cut()

    def second(peer: Peer) -> None:
        openings.append(peer.let_in(rooms=at(1)))
        assert peer.answer(type="subscribed", room="lobby", head=1)["after"] == 1
        peer.send(message(2, "behind"))
        peer.leave()

    with returning(tmp_path, first, second) as client:
        events = client.events()
        go.set()
        heard = [next(events) for _ in range(4)]
        assert [type(event) for event in heard] == [Message, Lost, Back, Message]
        assert isinstance(heard[1], Lost)
        assert "was lost" in heard[1].reason
    assert openings == [{"type": "resume", "token": TOKEN}]


def test_what_was_not_acknowledged_is_sent_again_with_the_same_ids_in_order(tmp_path: Path) -> None:
    first_time: list[dict[str, Any]] = []
    again: list[dict[str, Any]] = []

    def first(peer: Peer) -> None:
        first_time.extend(peer.expect("say") for _ in range(3))
        peer.store(1, first_time[0])
        peer.expect("say")
        peer.cut()

    def second(peer: Peer) -> None:
        peer.let_in(rooms=at(1))
        for seq in (2, 3, 4):
            again.append(peer.store(seq))
        peer.leave()

    with returning(tmp_path, first, second) as client:
        said = [client.send("lobby", str(number)) for number in range(3)]
        said[0].wait(DEADLINE)
        said.append(client.send("lobby", "3"))
        assert [pending.wait(DEADLINE).seq for pending in said] == [1, 2, 3, 4]
    assert [frame["id"] for frame in again] == [pending.id for pending in said[1:]]
    assert [frame["text"] for frame in again] == ["1", "2", "3"]


def test_questions_that_can_be_asked_twice_are_and_others_are_told_to_have_no_answer(tmp_path: Path) -> None:
    asked = threading.Barrier(2)

    def first(peer: Peer) -> None:
        assert {peer.expect("join", "password")["type"] for _ in range(2)} == {"join", "password"}
        peer.cut()

    def second(peer: Peer) -> None:
        peer.let_in()
        peer.answer(type="joined", room="lobby", head=3, members=1)
        peer.leave()

    failures: list[SecurechatError] = []
    with returning(tmp_path, first, second) as client:

        def change() -> None:
            asked.wait(DEADLINE)
            try:
                client.request(Password(old=SECRET, new="another one of them"), PasswordChanged)
            except SecurechatError as error:
                failures.append(error)

        changing = threading.Thread(target=change)
        changing.start()
        asked.wait(DEADLINE)
        assert client.request(Join(room="lobby"), Joined).head == 3
        changing.join(DEADLINE)
    assert "it may be done" in str(failures[0])


def test_reading_goes_on_from_the_cursors_and_what_comes_again_is_not_heard(tmp_path: Path) -> None:
    syncs: list[dict[str, Any]] = []

    def first(peer: Peer) -> None:
        syncs.append(peer.answer(type="synced"))
        peer.send(message(1, "one"), message(1, "hi", room="ops"), message(2, "two"))
        peer.cut()

    def second(peer: Peer) -> None:
        rooms = [{"room": room, "head": 3, "members": 2, "joined": True} for room in ("lobby", "ops", "@bob")]
        peer.let_in(rooms=rooms)
        syncs.append(peer.answer(type="synced"))
        peer.send(message(2, "two"), message(3, "three"))
        peer.leave()

    with returning(tmp_path, first, second) as client:
        events = client.events()
        client.request(Sync(), Synced)
        heard = [event for event in (next(events) for _ in range(6)) if isinstance(event, Message)]
        assert [(one.room, one.seq) for one in heard] == [("lobby", 1), ("ops", 1), ("lobby", 2), ("lobby", 3)]
        assert client.counts.repeats == 1
    # A direct room that was not there before is new from its first record on.
    assert [sync["after"] for sync in syncs] == [{"lobby": 0}, {"lobby": 2, "ops": 1, "@bob": 0}]


def test_a_room_that_was_joined_alone_is_subscribed_from_its_cursor(tmp_path: Path) -> None:
    subscribed: list[dict[str, Any]] = []

    def first(peer: Peer) -> None:
        peer.answer(type="joined", room="lobby", head=7, members=2)
        peer.send(message(8, "eight"))
        peer.cut()

    def second(peer: Peer) -> None:
        peer.let_in(rooms=at(9))
        subscribed.append(peer.answer(type="subscribed", room="lobby", head=9))
        peer.send(message(9, "nine"))
        peer.leave()

    with returning(tmp_path, first, second) as client:
        events = client.events()
        client.request(Join(room="lobby"), Joined)
        assert [event.seq for event in (next(events) for _ in range(4)) if isinstance(event, Message)] == [8, 9]
    assert subscribed[0]["after"] == 8


def test_nothing_is_heard_behind_a_gap_until_the_room_was_read_again(tmp_path: Path) -> None:
    asked: list[dict[str, Any]] = []

    def script(peer: Peer) -> None:
        peer.answer(type="joined", room="lobby", head=0, members=2)
        peer.send(message(1, "one"), message(4, "four"), message(5, "five"))
        asked.append(peer.answer(type="subscribed", room="lobby", head=5))
        peer.send(*[message(seq, "again") for seq in range(2, 6)])
        # What the server does not have any more cannot be waited for for ever.
        peer.send(message(9, "nine"))
        asked.append(peer.answer(type="subscribed", room="lobby", head=9))
        peer.send(message(8, "eight"), message(9, "nine"))
        peer.leave()

    with returning(tmp_path, script) as client:
        events = client.events()
        client.request(Join(room="lobby"), Joined)
        heard = [next(events) for _ in range(7)]
        assert [event.seq for event in heard if isinstance(event, Message)] == [1, 2, 3, 4, 5, 8, 9]
        assert (client.counts.gaps, client.counts.skipped) == (2, 2)
    assert [request["after"] for request in asked] == [1, 5]


def test_a_chain_that_does_not_go_on_ends_it_with_room_and_number(tmp_path: Path) -> None:
    room = Chained(4)

    def first(peer: Peer) -> None:
        peer.answer(type="joined", room="lobby", head=1, members=2, hash=room.hashes[1])
        peer.send(room.records[1], {**room.records[2], "text": "was changed on the way"})
        peer.cut()

    def second(peer: Peer) -> None:
        peer.let_in(rooms=[room.state(3)])

    with returning(tmp_path, first, second) as client:
        events = client.events()
        client.request(Join(room="lobby"), Joined)
        with pytest.raises(ChainBroken) as broken:
            list(events)
        assert (broken.value.room, broken.value.seq) == ("lobby", 3)
        with pytest.raises(ChainBroken):
            client.say("lobby", "hello")


@pytest.mark.parametrize("code", ["account-changed", "revoked", "bad-credentials", "forbidden", "never heard of"])
def test_a_goodbye_for_good_ends_it(tmp_path: Path, code: str) -> None:
    def script(peer: Peer) -> None:
        peer.send({"type": "bye", "code": code, "message": "Go away."})

    with returning(tmp_path, script) as client, pytest.raises(SecurechatError, match=r"Go away\."):
        list(client.events())


def refuse(peer: Peer) -> None:
    peer.send(HELLO)
    peer.expect("resume")
    peer.send({"type": "error", "code": "bad-credentials", "message": "No."})


def test_a_token_that_is_worth_nothing_ends_it(tmp_path: Path) -> None:
    with returning(tmp_path, cut, refuse) as client, pytest.raises(Refused) as refused:
        list(client.events())
    assert refused.value.code == "bad-credentials"
    assert TOKEN not in str(refused.value)


def test_a_password_that_was_kept_on_request_is_the_way_back_when_the_token_is_not(tmp_path: Path) -> None:
    openings: list[dict[str, Any]] = []

    def third(peer: Peer) -> None:
        openings.append(peer.let_in(token="another"))
        peer.store(1)
        peer.leave()

    with returning(tmp_path, cut, refuse, third, keep_password=True) as client:
        assert client.say("lobby", "hello").seq == 1
    assert openings == [{"type": "login", "username": "alice", "password": SECRET}]


def test_a_server_that_asks_for_patience_gets_it(tmp_path: Path) -> None:
    def throttle(peer: Peer) -> None:
        peer.send(HELLO)
        peer.expect("resume")
        peer.send({"type": "error", "code": "throttled", "message": "Slowly.", "retry_after": 0.05})

    def third(peer: Peer) -> None:
        peer.let_in()
        peer.store(1)
        peer.leave()

    with returning(tmp_path, cut, throttle, third) as client:
        assert client.say("lobby", "hello").seq == 1


def test_a_server_that_cannot_be_proven_is_not_tried_again_and_gets_no_token(tmp_path: Path) -> None:
    stranger = trustme.CA().issue_cert("localhost")

    def second(peer: Peer) -> None:
        peer.send(HELLO)
        peer.receive()

    entered = threading.Event()

    def first(peer: Peer) -> None:
        peer.let_in(token=TOKEN)
        assert entered.wait(DEADLINE)
        peer.cut()

    with scripted(first, second, stranger=stranger) as server, connect(server, tmp_path) as client:
        entered.set()
        with pytest.raises(VerificationFailed):
            list(client.events())
        assert TOKEN.encode() not in server.received


def test_an_outage_that_lasts_too_long_ends_it_and_tells_what_is_not_stored(tmp_path: Path) -> None:
    with returning(tmp_path, cut, outage=0.2, greet=0.1) as client:
        pending = client.send("lobby", "hello")
        with pytest.raises(Unreachable, match=r"Nothing came of trying again for 0\.2 seconds\."):
            list(client.events())
        with pytest.raises(Unreachable):
            pending.wait(DEADLINE)


def test_closing_ends_the_wait_for_the_next_try(tmp_path: Path) -> None:
    with returning(tmp_path, cut, retry=60.0, retry_most=60.0) as client:
        events = client.events()
        pending = client.send("lobby", "hello")
        client.close()
        assert not client._thread.is_alive()
        list(events)
        assert pending.state == "failed"


def test_no_secret_is_in_a_repr(tmp_path: Path) -> None:
    with returning(tmp_path, Peer.leave, keep_password=True) as client:
        parts = [client, client._connection, client._exchange, client._thread, client.welcome]
        shown = repr([*parts, *(vars(part) for part in parts[:3])])
        assert TOKEN not in shown
        assert SECRET not in shown


# --- how long it waits -----------------------------------------------------------------------------------------------

LOSS = Unreachable("The connection was lost.")


def comeback(*, keep_password: bool = False, **timeouts: float) -> Comeback:
    made = Comeback(Login(username="alice", password=SECRET), Timeouts(**timeouts), keep_password=keep_password)
    made.entered(TOKEN)
    return made


def test_each_wait_is_longer_up_to_a_limit_and_no_two_clients_wait_the_same() -> None:
    def waits() -> list[float]:
        one = comeback()
        return [one.wait(LOSS, may_return=True, retry_after=0, in_for=0, now=0) for _ in range(12)]

    for number, wait in enumerate(waits()):
        most = min(30.0, 0.25 * 2**number)
        assert most / 2 <= wait <= most
    assert waits() != waits()


def test_a_connection_that_held_begins_the_waits_anew_and_a_short_one_does_not() -> None:
    one = comeback()
    for _ in range(10):
        one.wait(LOSS, may_return=True, retry_after=0, in_for=0.1, now=0)
    assert one.wait(LOSS, may_return=True, retry_after=0, in_for=0.1, now=0) >= 15
    assert one.wait(LOSS, may_return=True, retry_after=0, in_for=31.0, now=0) <= 0.25


def test_what_the_server_asks_for_is_the_least_and_has_a_limit() -> None:
    assert 60.0 < comeback().wait(LOSS, may_return=True, retry_after=60.0, in_for=0, now=0) <= 60.25
    assert comeback().wait(LOSS, may_return=True, retry_after=1e9, in_for=0, now=0) <= PATIENCE + 0.25


def test_the_password_is_forgotten_when_one_is_in_unless_it_is_to_be_kept() -> None:
    assert isinstance(comeback().opening(), Resume)
    forgetful, keeping = comeback(), comeback(keep_password=True)
    assert SECRET not in repr(vars(forgetful).values())
    assert forgetful._login is None
    refused = Refused("No.", code="bad-credentials")
    keeping.wait(refused, may_return=False, retry_after=0, in_for=0, now=0)
    assert isinstance(keeping.opening(), Login)
    with pytest.raises(Refused):
        forgetful.wait(refused, may_return=False, retry_after=0, in_for=0, now=0)
