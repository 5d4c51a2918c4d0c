"""The client over real TLS sockets: it comes in, asks, says and hears, from any thread, and leaves in good order."""

import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from securechat.certificates import client_context
from securechat.client.client import Client
from securechat.client.pending import Pending
from securechat.client.timeouts import Timeouts
from securechat.errors import Refused, Unreachable
from securechat.limits import CLIENT_EVENTS, CLIENT_IN_FLIGHT, CLIENT_OUTBOX
from securechat.protocols.frames import Ack, Error, History, Join, Joined, MemberList, Members, Message, Page
from tests.client.scripted import DEADLINE, Peer, Script, ScriptedServer, authority_file, message, scripted

PASSWORD = "correct horse battery staple"


@contextmanager
def talking(tmp_path: Path, script: Script, **timeouts: float) -> Iterator[Client]:
    """A client that was let in by a server that then plays `script`."""

    listens = threading.Event()

    def whole(peer: Peer) -> None:
        peer.let_in()
        assert listens.wait(DEADLINE)
        script(peer)

    with scripted(whole) as server, connect(server, tmp_path, "localhost", **timeouts) as client:
        client.events()  # from here on what is heard is kept
        listens.set()
        yield client


def connect(server: ScriptedServer, tmp_path: Path, host: str = "localhost", **timeouts: float) -> Client:
    ca = authority_file(tmp_path)
    limits = Timeouts(**timeouts)
    return Client.connect(host, server.port, client_context(ca), "alice", PASSWORD, authority=ca, timeouts=limits)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_who_connects_is_let_in_by_name_and_password(tmp_path: Path, host: str) -> None:
    logins: list[dict[str, Any]] = []

    def script(peer: Peer) -> None:
        logins.append(peer.let_in(role="admin"))
        peer.leave()

    with scripted(script) as server, connect(server, tmp_path, host) as client:
        assert client.welcome.role == "admin"
        assert [room.room for room in client.welcome.rooms] == ["lobby"]
        assert "alice" in repr(client)
    assert logins == [{"type": "login", "username": "alice", "password": PASSWORD}]


def test_the_password_is_kept_nowhere_and_shown_nowhere(tmp_path: Path) -> None:
    with talking(tmp_path, Peer.leave) as client:
        assert PASSWORD not in repr(client)
        shown = repr(
            {**vars(client), **vars(client._connection), **vars(client._exchange), **vars(client._exchange.hearing)}
        )
        assert PASSWORD not in shown
        assert PASSWORD not in repr(vars(client._thread))


def test_a_request_gets_its_own_answer_whatever_comes_before_it(tmp_path: Path) -> None:
    def script(peer: Peer) -> None:
        request = peer.expect("join")
        peer.send(message(1, "first"), {"type": "joined", "ref": "another", "room": "x", "head": 0, "members": 0})
        peer.send({"type": "joined", "ref": request["ref"], "room": "lobby", "head": 1, "members": 2})
        peer.leave()

    with talking(tmp_path, script) as client:
        assert client.request(Join(room="lobby"), Joined) == Joined(ref="1", room="lobby", head=1, members=2)
        heard = next(client.events())
        assert isinstance(heard, Message)
        assert heard.text == "first"


def test_a_page_of_history_is_an_answer_and_is_not_heard_as_events(tmp_path: Path) -> None:
    def script(peer: Peer) -> None:
        peer.answer(type="page", room="lobby", records=[message(1, "old")], more=False)
        peer.send(message(2, "new"))
        peer.leave()

    with talking(tmp_path, script) as client:
        page = client.request(History(room="lobby"), Page)
        assert [record.seq for record in page.records] == [1]
        heard = next(client.events())
        assert isinstance(heard, Message)
        assert heard.text == "new"


def test_requests_from_many_threads_each_get_their_own_answer(tmp_path: Path) -> None:
    def script(peer: Peer) -> None:
        requests = [peer.expect("members") for _ in range(8)]
        for request in reversed(requests):
            peer.send({"type": "members", "ref": request["ref"], "room": request["room"], "members": []})
        peer.leave()

    with talking(tmp_path, script) as client:
        answers: dict[str, str] = {}

        def ask(room: str) -> None:
            answers[room] = client.request(Members(room=room), MemberList).room

        threads = [threading.Thread(target=ask, args=(f"room-{number}",)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(DEADLINE)
        assert answers == {room: room for room in answers}
        assert len(answers) == 8


def test_an_error_is_raised_with_its_code_and_its_words_made_safe(tmp_path: Path) -> None:
    def script(peer: Peer) -> None:
        peer.answer(type="error", code="too-many-requests", message="Not \x1b[31mnow.", retry_after=2.5)
        peer.leave()

    with talking(tmp_path, script) as client:
        with pytest.raises(Refused) as refused:
            client.request(Join(room="lobby"), Joined)
        assert refused.value.code == "too-many-requests"
        assert refused.value.message == "Not \\u{1B}[31mnow."
        assert refused.value.retry_after == 2.5


def test_an_answer_of_another_kind_is_no_answer(tmp_path: Path) -> None:
    def script(peer: Peer) -> None:
        peer.answer(type="pong")
        peer.leave()

    with talking(tmp_path, script) as client, pytest.raises(Unreachable, match="another kind"):
        client.request(Join(room="lobby"), Joined)


def test_a_request_without_an_answer_is_given_up_and_a_late_answer_disturbs_nobody(tmp_path: Path) -> None:
    given_up = threading.Event()

    def script(peer: Peer) -> None:
        request = peer.expect("join")
        assert given_up.wait(DEADLINE)
        peer.send({"type": "joined", "ref": request["ref"], "room": "lobby", "head": 0, "members": 1}, message(1, "on"))
        peer.leave()

    with talking(tmp_path, script, answer=0.05) as client:
        with pytest.raises(Unreachable, match=r"no answer within 0\.05 seconds"):
            client.request(Join(room="lobby"), Joined)
        given_up.set()
        assert isinstance(next(client.events()), Message)


def test_a_line_is_pending_until_its_acknowledgement_brings_the_number(tmp_path: Path) -> None:
    said = threading.Event()

    def script(peer: Peer) -> None:
        say = peer.expect("say")
        assert said.wait(DEADLINE)
        peer.store(43, say)
        peer.leave()

    with talking(tmp_path, script) as client:
        pending = client.send("lobby", "hello")
        assert (pending.state, pending.seq, pending.failure) == ("pending", 0, None)
        with pytest.raises(TimeoutError):
            pending.wait(0.01)
        said.set()
        ack = pending.wait(DEADLINE)
        assert (ack.seq, ack.time, ack.room, ack.id) == (43, 2_580_000, "lobby", pending.id)
        assert (pending.state, pending.seq, pending.failure) == ("stored", 43, None)
        assert "stored" in repr(pending)
        events = client.events()
        assert isinstance(next(events), Ack)
        heard = next(events)
        assert isinstance(heard, Message)
        assert (heard.id, heard.seq, heard.text) == (pending.id, 43, "hello")


def test_the_id_of_a_line_can_be_chosen(tmp_path: Path) -> None:
    def script(peer: Peer) -> None:
        assert peer.store(1)["id"] == "mine:1"
        peer.leave()

    with talking(tmp_path, script) as client:
        assert client.say("lobby", "hello", id="mine:1").id == "mine:1"


def test_a_refused_line_fails_with_the_reason(tmp_path: Path) -> None:
    def script(peer: Peer) -> None:
        peer.answer(type="error", code="not-member", message="Join lobby first.")
        peer.leave()

    with talking(tmp_path, script) as client:
        pending = client.send("lobby", "hello")
        with pytest.raises(Refused, match=r"Join lobby first\."):
            pending.wait(DEADLINE)
        assert pending.state == "failed"
        assert isinstance(pending.failure, Refused)
        heard = next(client.events())
        assert isinstance(heard, Error)
        assert heard.code == "not-member"


@pytest.mark.parametrize(("text", "code"), [("x" * 65_536, "too-long"), ("\ud800", "bad-text")])
def test_a_line_that_would_end_the_connection_is_refused_before_it_is_sent(
    tmp_path: Path, text: str, code: str
) -> None:
    def script(peer: Peer) -> None:
        peer.store(1)
        peer.leave()

    with talking(tmp_path, script) as client:
        pending = client.send("lobby", text)
        assert isinstance(pending.failure, Refused)
        assert pending.failure.code == code
        assert client.say("lobby", "short").seq == 1


def test_an_answer_that_is_no_acknowledgement_fails_the_line(tmp_path: Path) -> None:
    def script(peer: Peer) -> None:
        peer.answer(type="pong")
        peer.leave()

    with talking(tmp_path, script) as client, pytest.raises(Unreachable, match="another kind"):
        client.say("lobby", "hello")


def test_few_lines_are_in_flight_and_who_says_more_than_is_kept_waits_for_acknowledgements(tmp_path: Path) -> None:
    count = CLIENT_OUTBOX + 10
    full = threading.Event()
    said_before_any_answer: list[int] = []

    def script(peer: Peer) -> None:
        peer.let_in()
        lines = [peer.expect("say") for _ in range(CLIENT_IN_FLIGHT)]
        assert full.wait(DEADLINE)
        peer.send({"type": "ping"})
        peer.expect("pong")  # and no other line before it
        said_before_any_answer.append(len(said))
        for seq, say in enumerate(lines, 1):
            peer.store(seq, say)
        for seq in range(CLIENT_IN_FLIGHT + 1, count + 1):
            peer.store(seq)
        peer.leave()

    said: list[Pending] = []
    with scripted(script) as server, connect(server, tmp_path) as client:

        def say_all() -> None:
            for number in range(count):
                if number == CLIENT_OUTBOX:
                    full.set()
                said.append(client.send("lobby", f"line {number}"))

        speaker = threading.Thread(target=say_all)
        speaker.start()
        speaker.join(DEADLINE)
        assert [pending.wait(DEADLINE).seq for pending in said] == list(range(1, count + 1))
    assert said_before_any_answer == [CLIENT_OUTBOX]


def test_a_ping_is_answered(tmp_path: Path) -> None:
    def script(peer: Peer) -> None:
        peer.send({"type": "ping"})
        peer.expect("pong")
        peer.send(message(1, "it was answered"))
        peer.leave()

    with talking(tmp_path, script) as client:
        assert isinstance(next(client.events()), Message)


def test_a_silent_server_is_asked_whether_it_is_there_and_its_answer_counts(tmp_path: Path) -> None:
    def script(peer: Peer) -> None:
        for _ in range(3):
            peer.expect("ping")
            peer.send({"type": "pong"})
        peer.send(message(1, "still here"))
        while peer.receive()["type"] == "ping":
            pass

    with talking(tmp_path, script, silence=0.05) as client:
        assert isinstance(next(client.events()), Message)


def test_a_server_that_is_gone_without_a_word_is_noticed(tmp_path: Path) -> None:
    noticed = threading.Event()

    def script(peer: Peer) -> None:
        peer.expect("ping")
        assert noticed.wait(DEADLINE)

    with talking(tmp_path, script, silence=0.05) as client:
        with pytest.raises(Unreachable, match="nothing was heard"):
            next(client.events())
        noticed.set()


def test_many_frames_in_one_tls_record_are_all_heard_at_once(tmp_path: Path) -> None:
    def script(peer: Peer) -> None:
        peer.send(*[message(seq, "x") for seq in range(1, 65)])
        peer.leave()

    with talking(tmp_path, script) as client:
        events = client.events()
        assert [getattr(next(events), "seq", 0) for _ in range(64)] == list(range(1, 65))


def test_frames_cut_anywhere_are_heard_whole(tmp_path: Path) -> None:
    def script(peer: Peer) -> None:
        data = json.dumps(message(1, "ü😀"), ensure_ascii=False).encode() + b"\n"
        for byte in data:
            peer.send_bytes(bytes([byte]))
        peer.leave()

    with talking(tmp_path, script) as client:
        heard = next(client.events())
        assert isinstance(heard, Message)
        assert heard.text == "ü😀"


def test_a_client_whose_events_nobody_takes_stops_reading_and_loses_nothing(tmp_path: Path) -> None:
    count = 40 * CLIENT_EVENTS

    def script(peer: Peer) -> None:
        for first in range(1, count, 512):
            peer.send(
                *[message(seq, "a line of the usual length, or a little more") for seq in range(first, first + 512)]
            )
        peer.leave()

    with talking(tmp_path, script, silence=0.2) as client:
        exchange = client._exchange
        with exchange._changed:
            assert exchange._changed.wait_for(lambda: not exchange.hearing.has_room, DEADLINE)
        heard = most = 0
        for event in client.events():
            most = max(most, len(exchange.hearing._heard))
            heard += 1
            assert isinstance(event, Message)
            assert event.seq == heard
            if heard == count:
                break
        assert heard == count
        # What one read of a full TLS record held may be above the limit; a frame here has more than 100 bytes.
        assert most <= CLIENT_EVENTS + 16_384 // 100


def test_a_line_in_flight_may_have_been_stored_when_the_connection_ends(tmp_path: Path) -> None:
    def script(peer: Peer) -> None:
        peer.expect("say")

    with talking(tmp_path, script) as client:
        with pytest.raises(Unreachable, match="it may be stored"):
            client.say("lobby", "hello")
        with pytest.raises(Unreachable, match="closed the connection"):
            list(client.events())
        with pytest.raises(Unreachable, match="closed the connection"):
            client.say("lobby", "hello")
        with pytest.raises(Unreachable, match="closed the connection"):
            client.request(Join(room="lobby"), Joined)


def end_in_good_order(peer: Peer) -> None:
    peer.send(message(1, "last"))


def end_with_a_cut(peer: Peer) -> None:
    peer.send(message(1, "last"))
    peer.cut()


def end_with_an_error(peer: Peer) -> None:
    peer.send(message(1, "last"), {"type": "error", "code": "internal", "message": "It \x07broke."})


def end_with_bye(peer: Peer) -> None:
    peer.send(message(1, "last"), {"type": "bye", "code": "shutdown", "message": "Back soon.", "retry_after": 2})


def end_with_account_changed(peer: Peer) -> None:
    peer.send(message(1, "last"), {"type": "bye", "code": "account-changed", "message": "Your password changed."})


def end_with_nonsense(peer: Peer) -> None:
    peer.send(message(1, "last"))
    peer.send_bytes(b"\xff\xfe nonsense\n")


@pytest.mark.parametrize(
    ("script", "last", "kind", "told"),
    [
        (end_in_good_order, [], Unreachable, r"^localhost:\d+ closed the connection\.$"),
        (end_with_a_cut, [], Unreachable, r"was lost: it was cut without a goodbye\.$"),
        (end_with_an_error, ["Error"], Unreachable, r"closed the connection: It \\u\{7\}broke\.$"),
        (end_with_bye, ["Bye"], Unreachable, r"The server ended the connection: Back soon\. Try again in 2 s\.$"),
        (end_with_account_changed, ["Bye"], Refused, r"The server ended the connection: Your password changed\.$"),
        (end_with_nonsense, [], Unreachable, r"does not speak the securechat protocol"),
    ],
)
def test_what_was_heard_comes_first_and_then_how_it_ended(
    tmp_path: Path, script: Script, last: list[str], kind: type[Exception], told: str
) -> None:
    with talking(tmp_path, script) as client:
        heard: list[str] = []
        with pytest.raises(kind, match=told):
            for event in client.events():
                heard.append(type(event).__name__)
        assert heard == ["Message", *last]


def test_closing_logs_out_behind_what_was_said_and_ends_the_events(tmp_path: Path) -> None:
    def script(peer: Peer) -> None:
        say = peer.expect("say")
        peer.expect("logout")
        peer.store(1, say)
        peer.send({"type": "bye", "code": "logged-out", "message": "Goodbye."})

    with talking(tmp_path, script) as client:
        pending = client.send("lobby", "last words")
        client.close()
        assert pending.state == "stored"
        assert list(client.events()) == []
        client.close()
        assert not client._thread.is_alive()
        with pytest.raises(Unreachable, match="was closed"):
            client.say("lobby", "too late")


def test_closing_ends_though_the_server_is_stopped(tmp_path: Path) -> None:
    ended = threading.Event()

    def script(peer: Peer) -> None:
        assert ended.wait(DEADLINE)

    with talking(tmp_path, script, close=0.05) as client:
        client.close()
        assert not client._thread.is_alive()
        ended.set()


def test_closing_ends_though_the_server_takes_nothing_of_what_is_to_be_sent(tmp_path: Path) -> None:
    ended = threading.Event()

    def script(peer: Peer) -> None:
        assert ended.wait(DEADLINE)

    with talking(tmp_path, script, close=0.05) as client:
        # More than the sockets' buffers hold.
        pending = [client.send("lobby", "x" * 60_000) for _ in range(CLIENT_IN_FLIGHT)]
        client.close()
        assert not client._thread.is_alive()
        assert {one.state for one in pending} == {"failed"}
        ended.set()


def test_closing_wakes_whoever_waits_for_room_or_for_events(tmp_path: Path) -> None:
    def script(peer: Peer) -> None:
        for _ in range(CLIENT_IN_FLIGHT):
            peer.expect("say")
        waiting.set()
        while peer.receive()["type"] != "logout":
            pass

    waiting = threading.Event()
    outcomes: list[str] = []
    with talking(tmp_path, script) as client:

        def speak() -> None:
            try:
                for _ in range(CLIENT_OUTBOX + 1):
                    client.send("lobby", "x")
            except Unreachable:
                outcomes.append("speaker")

        def listen() -> None:
            list(client.events())
            outcomes.append("listener")

        threads = [threading.Thread(target=speak), threading.Thread(target=listen)]
        for thread in threads:
            thread.start()
        assert waiting.wait(DEADLINE)
        client.close()
        for thread in threads:
            thread.join(DEADLINE)
    assert sorted(outcomes) == ["listener", "speaker"]


def test_a_server_that_reads_late_gets_every_line_whole(tmp_path: Path) -> None:
    all_said = threading.Event()

    def script(peer: Peer) -> None:
        assert all_said.wait(DEADLINE)
        for seq in range(1, CLIENT_IN_FLIGHT + 1):
            peer.store(seq)
        peer.leave()

    with talking(tmp_path, script) as client:
        # More than the sockets' buffers hold.
        said = [client.send("lobby", f"{number} " * 9_000) for number in range(100, 100 + CLIENT_IN_FLIGHT)]
        all_said.set()
        assert [pending.wait(DEADLINE).seq for pending in said] == list(range(1, CLIENT_IN_FLIGHT + 1))


class Moody(ssl.SSLSocket):
    """A TLS socket that now and then has to write in order to read, as a new key makes it, or breaks on request."""

    reads = 0
    is_broken = False

    def recv(self, buflen: int = 1_024, flags: int = 0) -> bytes:
        Moody.reads += 1
        if Moody.reads % 2:
            raise ssl.SSLWantWriteError
        return super().recv(buflen, flags)

    def send(self, data: Any, flags: int = 0) -> int:
        if Moody.is_broken:
            raise BrokenPipeError(32, "Broken pipe")
        return super().send(data, flags)


def test_reading_that_waits_for_writing_goes_on_and_a_broken_write_ends_it(tmp_path: Path) -> None:
    def script(peer: Peer) -> None:
        peer.let_in()
        for seq in range(1, 51):
            peer.store(seq)
        with pytest.raises((EOFError, OSError)):
            peer.receive()

    with scripted(script) as server:
        ca = authority_file(tmp_path)
        context = client_context(ca)
        context.sslsocket_class = Moody
        with Client.connect("localhost", server.port, context, "alice", PASSWORD) as client:
            client.events()
            assert [client.say("lobby", "hello").seq for _ in range(50)] == list(range(1, 51))
            Moody.is_broken = True
            with pytest.raises(Unreachable):
                client.say("lobby", "hello")
            with pytest.raises(Unreachable, match=r"was lost: broken pipe\."):
                list(client.events())


def test_one_thread_alone_touches_the_tls_socket(tmp_path: Path) -> None:
    owners: set[int] = set()

    def watched(name: str) -> Callable[..., Any]:
        def method(self: ssl.SSLSocket, *arguments: Any, **named: Any) -> Any:
            owners.add(threading.get_ident())
            return getattr(ssl.SSLSocket, name)(self, *arguments, **named)

        return method

    names = ["recv", "send", "do_handshake", "unwrap", "shutdown", "pending", "close", "setblocking", "fileno"]
    kind = type("WatchedSocket", (ssl.SSLSocket,), {name: watched(name) for name in names})

    def script(peer: Peer) -> None:
        for seq in range(1, 41):
            peer.store(seq)
        peer.leave()

    def whole(peer: Peer) -> None:
        peer.let_in()
        script(peer)

    with scripted(whole) as server:
        ca = authority_file(tmp_path)
        context = client_context(ca)
        context.sslsocket_class = kind
        with Client.connect("localhost", server.port, context, "alice", PASSWORD) as client:

            def speak() -> None:
                for _ in range(10):
                    client.say("lobby", "hello")

            speakers = [threading.Thread(target=speak) for _ in range(4)]
            for speaker in speakers:
                speaker.start()
            for speaker in speakers:
                speaker.join(DEADLINE)
            owner = client._thread.ident
    assert owners == {owner}


def test_a_client_that_is_refused_leaves_no_descriptor_open(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    context = client_context(authority_file(tmp_path))

    def descriptors() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    before = descriptors()
    for _ in range(5):
        with pytest.raises(Unreachable):
            Client.connect("127.0.0.1", port, context, "alice", PASSWORD)
    assert descriptors() == before
