"""The clients that the bench speaks to other servers with, held against the bytes that their standards print."""

from collections.abc import Callable

import pytest

from bench.talker import Heard
from bench.talkers.irc import Irc
from bench.talkers.lines import Lines
from bench.talkers.mqtt import Mqtt


def cut_everywhere(make: Callable[[], Irc | Lines | Mqtt], data: bytes) -> list[tuple[list[Heard], bytes]]:
    """What is heard and answered: in one piece, in two pieces cut at each position, and byte by byte."""
    whole = [[data], *([data[:cut], data[cut:]] for cut in range(1, len(data))), [bytes([byte]) for byte in data]]
    outcomes = []
    for pieces in whole:
        talker = make()
        heard = [one for piece in pieces for one in talker.receive(piece)]
        assert (talker.ready, talker.failed) == (True, "")
        outcomes.append((heard, bytes(talker.output)))
    return outcomes


def test_mqtt_logs_in_with_a_clean_session_and_subscribes() -> None:
    talker = Mqtt("u1", ["a/b", "c/d"], password="pw", qos=1)
    talker.begin()
    connect = b"\x10\x16\x00\x04MQTT\x04\xc2\x00\x00\x00\x02u1\x00\x02u1\x00\x02pw"
    subscribe = b"\x82\x0e\x00\x01\x00\x03a/b\x01\x00\x03c/d\x01"  # the filters of 3.8.3, at QoS 1 both
    assert talker.output == connect + subscribe


def test_mqtt_needs_no_room_to_be_ready() -> None:
    talker = Mqtt("u1", [], password="pw", qos=0)
    talker.begin()
    assert talker.output[0] == 0x10
    assert len(talker.output) == 2 + talker.output[1]
    talker.receive(b"\x20\x02\x00\x00")
    assert talker.ready


def test_mqtt_says_at_both_levels() -> None:
    silent, heard = (Mqtt("u1", ["a/b"], password="pw", qos=qos) for qos in (0, 1))
    silent.say("a/b", "hi")
    heard.say("a/b", "hi")
    heard.say("a/b", "ho")
    assert silent.output == b"\x30\x07\x00\x03a/bhi"
    assert heard.output == b"\x32\x09\x00\x03a/b\x00\x01hi" + b"\x32\x09\x00\x03a/b\x00\x02ho"


@pytest.mark.parametrize(("size", "length"), [(127, "7f"), (128, "8001"), (16383, "ff7f"), (16384, "808001")])
def test_mqtt_lengths_are_those_of_table_2_4(size: int, length: str) -> None:
    talker = Mqtt("u1", ["a"], password="pw", qos=0)
    text = "x" * (size - 3)
    talker.say("a", text)
    assert talker.output == b"\x30" + bytes.fromhex(length) + b"\x00\x01a" + text.encode()
    assert talker.receive(bytes(talker.output)) == [Heard("a", text)]
    assert talker.acknowledged == 1  # its own words, heard back


def test_mqtt_packets_may_be_cut_anywhere() -> None:
    entered = b"\x20\x02\x00\x00" + b"\x90\x03\x00\x01\x01"
    long = "é" * 70
    data = (
        entered + b"\x32\x0a\x00\x03a/b\x00\x0ahey" + b"\x30\x91\x01\x00\x03a/b" + long.encode() + b"\x40\x02\x00\x01"
    )
    for heard, answered in cut_everywhere(lambda: Mqtt("u1", ["a/b"], password="pw", qos=1), data):
        assert heard == [Heard("a/b", "hey"), Heard("a/b", long)]
        assert answered == b"\x40\x02\x00\x0a"  # the packet of 3.3.2, with the identifier 10


def test_mqtt_counts_the_acknowledgements_of_its_own_messages() -> None:
    talker = Mqtt("u1", ["a"], password="pw", qos=1)
    talker.say("a", "one")
    assert talker.receive(b"\x32\x08\x00\x01a\x00\x07one" + b"\x40\x02\x00\x01") == [Heard("a", "one")]
    assert talker.acknowledged == 1


@pytest.mark.parametrize(
    ("answer", "said"), [(b"\x20\x02\x00\x05", "code 5"), (b"\x90\x03\x00\x01\x80", "subscription")]
)
def test_mqtt_tells_why_it_was_refused(answer: bytes, said: str) -> None:
    talker = Mqtt("u1", ["a"], password="pw", qos=0)
    talker.receive(answer)
    assert said in talker.failed
    assert not talker.ready


IRC_ENTERED = (
    b":irc.localhost CAP * ACK :echo-message\r\n:irc.localhost 001 u1 :Welcome\r\n:irc.localhost 422 u1 :No MOTD\r\n"
    b":u1!u1@127.0.0.1 JOIN :#lobby\r\n:irc.localhost 353 u1 = #lobby :@u1\r\n:irc.localhost 366 u1 #lobby :End.\r\n"
)


def test_irc_lines_may_be_cut_anywhere() -> None:
    data = IRC_ENTERED + b":u2!u2@h PRIVMSG #lobby :a :b PRIVMSG #c :d\r\nPING :x\r\n:u1!u1@h PRIVMSG #lobby :mine\r\n"
    for heard, answered in cut_everywhere(lambda: Irc("u1", ["lobby"], password="pw"), data):
        assert heard == [Heard("lobby", "a :b PRIVMSG #c :d"), Heard("lobby", "mine")]
        assert answered == b"JOIN #lobby\r\nPONG :x\r\n"


def test_irc_logs_in_says_and_counts_what_it_hears_of_itself() -> None:
    talker = Irc("u1", ["lobby"], password="pw")
    talker.begin()
    assert talker.output == b"PASS pw\r\nCAP REQ :echo-message\r\nNICK u1\r\nUSER u1 0 * :u1\r\nCAP END\r\n"
    talker.receive(IRC_ENTERED)
    talker.output.clear()
    talker.say("lobby", "hello")
    assert talker.output == b"PRIVMSG #lobby :hello\r\n"
    heard = talker.receive(b":u11!u11@h PRIVMSG #lobby :hello\r\n:u1!u1@h PRIVMSG #lobby :hello\r\n")
    assert (len(heard), talker.acknowledged) == (2, 1)


def test_irc_is_ready_when_it_is_in_all_its_rooms() -> None:
    talker = Irc("u1", ["a", "b"], password="pw")
    talker.receive(b":s 001 u1 :Welcome\r\n:s 366 u1 #a :End.\r\n")
    assert not talker.ready
    talker.receive(b":s 366 u1 #b :End.\r\n")
    assert talker.ready


@pytest.mark.parametrize(
    "line",
    ["ERROR :Closing link", ":s 433 * u1 :Nickname is taken", ":s CAP * NAK :echo-message", ":s 471 u1 #lobby :full"],
)
def test_irc_tells_why_it_was_refused(line: str) -> None:
    talker = Irc("u1", ["lobby"], password="pw")
    talker.receive(f"{line}\r\n".encode())
    assert talker.failed == line
    assert not talker.ready


def test_lines_may_be_cut_anywhere() -> None:
    data = b"Welcome u1\nJoined lobby\nu2: a: b\nServer received your message\nu1: c\n"
    for heard, answered in cut_everywhere(lambda: Lines("u1", ["lobby"], password="pw"), data):
        assert heard == [Heard("lobby", "a: b"), Heard("lobby", "c")]
        assert answered == b"JOIN lobby\n"


def test_lines_log_in_and_tell_why_they_were_refused() -> None:
    talker = Lines("u1", ["lobby"], password="pw")
    talker.begin()
    assert talker.output == b"LOGIN u1 pw\n"
    talker.receive(b"Wrong username or password\n")
    assert talker.failed == "Wrong username or password"
