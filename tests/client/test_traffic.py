"""What is on its way: lines go out in the order in which they were said, also when some of them go out again."""

import threading
from pathlib import Path
from typing import Any

import pytest

from securechat.client.pending import Pending, Question
from securechat.client.traffic import HOLD_SECONDS, Traffic
from securechat.errors import Unreachable
from securechat.limits import CLIENT_IN_FLIGHT
from securechat.protocols.frames import AnyEvent, Message, Ping, PongAnswer, Say
from tests.client.scripted import DEADLINE, HELLO, Peer
from tests.client.test_coming_back import returning

UNAVAILABLE = {"type": "error", "code": "unavailable", "message": "Too few are there.", "retry_after": 0.01}


def line(ref: int) -> Pending:
    made = Pending(Say(id=f"id-{ref}", room="lobby", text=str(ref)), threading.Condition())
    made.ref, made.note = str(ref), f"{ref} ".encode()
    return made


def question(ref: int) -> Question:
    made = Question(Ping())
    made.ref, made.note = str(ref), f"{ref} ".encode()
    return made


def traffic(*slots: Pending | Question) -> Traffic:
    made = Traffic()
    for slot in slots:
        made.add(slot)
    return made


def test_so_many_lines_are_on_their_way_at_once() -> None:
    one = traffic(*map(line, range(CLIENT_IN_FLIGHT + 2)))
    assert one.take(0.0).split() == [str(ref).encode() for ref in range(CLIENT_IN_FLIGHT)]
    assert one.has_waiting
    assert one.answered("0") is not None
    assert one.take(0.0) == f"{CLIENT_IN_FLIGHT} ".encode()
    assert one.take(0.0, all=True) == f"{CLIENT_IN_FLIGHT + 1} ".encode()
    assert one.answered("0") is None


def test_a_line_that_is_held_goes_out_again_before_all_that_was_said_later() -> None:
    first, second, third = line(1), line(2), line(3)
    one = traffic(first, second, third)
    assert one.take(0.0) == b"1 2 3 "
    for later in (third, second):
        one.answered(later.ref)
        one.hold(later, 10.0, 2.0)
    one.add(line(5))
    one.add(question(6))
    # The first has no answer yet: what is held may still be overtaken by it, and by nothing else.
    assert one.take(100.0) == b"6 "
    one.answered("1")
    one.hold(first, 11.0, None)
    assert one.deadline == 11.0 + HOLD_SECONDS
    assert one.take(one.deadline - 0.01) == b""
    one.add_first(question(7))
    assert one.take(one.deadline) == b"1 2 3 7 5 "


def test_what_has_no_answer_when_the_connection_is_lost_is_sent_again_in_order() -> None:
    first, second, third = line(1), line(2), line(3)
    one = traffic(first, second)
    one.take(0.0)
    one.answered("1")
    one.hold(first, 0.0, 60.0)
    one.add(third)
    assert one.empty() == [first, second, third]
    assert (one.empty(), one.take(100.0)) == ([], b"")


def test_lines_that_the_server_cannot_store_now_stay_pending_and_are_stored_in_order(tmp_path: Path) -> None:
    again: list[dict[str, Any]] = []

    def script(peer: Peer) -> None:
        said = [peer.expect("say") for _ in range(3)]
        for refused in (said[2], said[1]):
            peer.send({**UNAVAILABLE, "ref": refused["ref"]})
        peer.answer(type="pong")  # meanwhile other things are asked and answered
        peer.send({**UNAVAILABLE, "ref": said[0]["ref"]})
        for seq in range(1, 5):
            again.append(peer.store(seq))
        assert [frame["id"] for frame in again[:3]] == [frame["id"] for frame in said]
        peer.leave()

    with returning(tmp_path, script) as client:
        events = client.events()
        said = [client.send("lobby", str(number)) for number in range(3)]
        client.request(Ping(), PongAnswer)
        said.append(client.send("lobby", "3"))
        assert [pending.wait(DEADLINE).seq for pending in said] == [1, 2, 3, 4]
        heard: list[AnyEvent] = []
        while len([one for one in heard if isinstance(one, Message)]) < 4:
            heard.append(next(events))  # type: ignore[arg-type] # nothing is lost here
        assert [one.code for one in heard if hasattr(one, "code")] == []
    assert [frame["text"] for frame in again] == ["0", "1", "2", "3"]


def test_lines_that_are_held_when_the_client_is_closed_are_told_to_be_unfinished(tmp_path: Path) -> None:
    held = threading.Event()

    def script(peer: Peer) -> None:
        peer.send({**UNAVAILABLE, "ref": peer.expect("say")["ref"], "retry_after": 600.0})
        peer.answer(type="pong")
        held.set()
        peer.leave()

    with returning(tmp_path, script) as client:
        pending = client.send("lobby", "hello")
        client.request(Ping(), PongAnswer)
        assert held.wait(DEADLINE)
        assert pending.state == "pending"
    with pytest.raises(Unreachable, match="it may be stored"):
        pending.wait(DEADLINE)


def test_a_node_that_lets_nobody_in_now_is_asked_again(tmp_path: Path) -> None:
    def behind(peer: Peer) -> None:
        peer.send(HELLO)
        peer.expect("resume")
        peer.send(UNAVAILABLE)

    def again(peer: Peer) -> None:
        peer.let_in()
        peer.store(1)
        peer.leave()

    with returning(tmp_path, Peer.cut, behind, again) as client:
        assert client.say("lobby", "hello").seq == 1
