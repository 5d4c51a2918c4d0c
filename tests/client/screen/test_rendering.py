"""A room as lines: what fits, what is in sight, how it scrolls; and that nobody's text can pass for another's line."""

import itertools
import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securechat.client import text
from securechat.client.screen import panels
from securechat.client.screen.colours import PALETTE, colour_of
from securechat.client.screen.completion import Completion
from securechat.client.screen.model import Doing
from securechat.client.screen.rooms import OwnLine
from securechat.protocols.frames import AnyRecord, Hit, JoinRecord, TopicRecord
from tests.client.screen.records import NOON, delete, edit, message, model, plain, state, viewport


@pytest.fixture(autouse=True)
def utc(local_zone: Callable[[str], None]) -> None:
    local_zone("UTC")


def test_a_conversation_in_a_wide_and_in_a_narrow_window() -> None:
    screen = model()
    lobby = screen.current
    records: list[AnyRecord] = [
        JoinRecord(room="lobby", seq=1, sender="bob", time=NOON),
        message(2, "hello alice"),
        message(3, "hi", sender="alice", reply_to=2),
        message(4, "/me waves"),
        edit(5, 2, "hello Alice"),
        message(6, "oops"),
        delete(7, 6, sender="eve"),
        message(8, "two\nlines", sender="a-very-long-name"),
    ]
    lobby.scrollback.put_before(records, more=False)
    lobby.own.append(OwnLine("a", "lobby", "on its way"))
    lobby.own.append(OwnLine("b", "lobby", "too long", state="failed", reason="It is too long."))
    assert plain(viewport(62, 13).rows(lobby)) == [
        "───────────────── Wednesday 25 November 2026 ─────────────────",
        "12:00         -- │ bob joined.",
        "12:00        bob │ hello Alice                       edited #2",
        "                 │ ╭ bob: hello Alice",
        "12:00      alice │ hi                                       #3",
        "12:00          * │ bob waves                                #4",
        "12:00        bob │ deleted by eve                           #6",
        "12:00 a-very-long-name │ two                                #8",
        "                 │ lines",
        "·····      alice │ on its way                                …",
        "·····      alice │ too long                             failed",
        "-- Not stored: It is too long. Ctrl-t sends it again, Ctrl-x",
        "   drops it.",
    ]
    shown = plain(viewport(40, 16).rows(lobby))
    assert "12:00 edited #2 bob │ hello Alice" in shown
    assert "      │ ╭ bob: hello Alice" in shown
    assert "12:00 #8 a-very-long-name │ two" in shown


def test_days_and_what_is_new_have_lines_of_their_own() -> None:
    screen = model()
    lobby = screen.current
    day = 86_400_000
    lobby.scrollback.put_before([message(1), message(2)], more=False)
    lobby.scrollback.add(TopicRecord(room="lobby", seq=3, sender="bob", time=NOON + day, text="tea"))
    lobby.new_after = 2
    shown = plain(viewport(60, 8).rows(lobby))
    assert [line.strip("─ ") for line in shown if line.startswith("──")] == [
        "Wednesday 25 November 2026",
        "Thursday 26 November 2026",
        "new since you were here",
    ]
    assert shown[-1].endswith("bob set the topic: tea")


def test_scrolling_goes_line_by_line_to_the_ends_and_what_comes_moves_nothing() -> None:
    screen = model()
    lobby = screen.current
    lobby.scrollback.put_before([message(seq) for seq in range(51, 101)], more=True)
    view = viewport(80, 10)
    bottom = plain(view.rows(lobby))
    assert "line 100" in bottom[-1]
    view.scroll(lobby, 8)
    up = plain(view.rows(lobby))
    assert up[-2:] == bottom[:2]
    screen.hear(message(101), 0)
    lobby.scrollback.put_before([message(seq) for seq in range(1, 51)], more=False)
    assert plain(view.rows(lobby)) == up, "neither new nor older lines move what is in sight"
    assert view.below(lobby) == 9
    view.scroll(lobby, 10_000)
    assert "line 1 " in plain(view.rows(lobby))[1]
    assert not view.wants_older(lobby)
    view.scroll(lobby, -10_000)
    assert lobby.anchor is None
    view.show(lobby, 50)
    assert any("line 50 " in line for line in plain(view.rows(lobby))[3:7])


def test_nothing_is_seen_of_who_is_ignored_and_one_can_scroll_past_it() -> None:
    screen = model()
    lobby = screen.current
    lobby.scrollback.put_before([message(seq, sender="eve" if seq % 3 else "bob") for seq in range(1, 61)], more=False)
    view = viewport(80, 5, hidden=frozenset({"eve"}))
    assert not any("eve" in line for line in plain(view.rows(lobby)))
    view.scroll(lobby, 3)
    view.scroll(lobby, 3)
    assert [line.split()[-2] for line in plain(view.rows(lobby))] == ["30", "33", "36", "39", "42"]
    view.scroll(lobby, 1000)
    assert plain(view.rows(lobby))[0].split()[-2] == "3"


def test_clearing_the_screen_hides_what_was_there_until_one_scrolls() -> None:
    screen = model()
    lobby = screen.current
    lobby.scrollback.put_before([message(1), message(2)], more=False)
    lobby.floor = lobby.scrollback.keys[-1]
    view = viewport(80, 6)
    assert plain(view.rows(lobby)) == [""] * 6
    screen.hear(message(3), 0)
    assert [line for line in plain(view.rows(lobby)) if line] == [f"{'12:00        bob │ line 3':<78}#3"]
    view.scroll(lobby, 1)
    assert any("line 1 " in line for line in plain(view.rows(lobby)))


def test_a_redraw_looks_at_as_many_items_in_a_long_room_as_in_a_short_one() -> None:
    costs = []
    for count in (100, 50_000):
        screen = model()
        screen.current.scrollback.put_before([message(seq) for seq in range(1, count + 1)], more=False)
        view = viewport(80, 40)
        view.rows(screen.current)
        first = view._renderer.rendered
        view.rows(screen.current)
        assert view._renderer.rendered == first, "what was rendered is kept"
        screen.hear(message(count + 1), 0)
        view.rows(screen.current)
        costs.append((first, view._renderer.rendered))
    assert costs[0] == costs[1]
    assert costs[0][1] <= 42


HOSTILE_PIECES = st.sampled_from(
    (
        *("\x1b[2J", "\x9b", "\u202e", "\u200b", "\n", "\r", "\t", "漢", "🇩🇪", "e\u0301\u0301\u0301\u0301\u0301"),
        *("-- forged", "12:00 carol │ forged", "│", "#99", "x" * 30, "\U000e0041", "\u3164", "/me ", "alice ", " "),
    )
)


LEAD = r"(\d\d:\d\d|·{5}) +((#\d|…) )?(alice|eve|\*|--) | +"
"""What may stand before the bar: nothing, or time, number and name, which are the client's own words."""


@given(
    pieces=st.lists(HOSTILE_PIECES | st.text(max_size=6), min_size=1, max_size=12),
    width=st.integers(20, 130),
    kind=st.sampled_from(["message", "topic", "reply", "own"]),
)
def test_no_text_of_others_begins_a_line_or_drives_the_terminal(pieces: list[str], width: int, kind: str) -> None:
    screen = model()
    lobby = screen.current
    hostile = "".join(pieces)
    if kind == "topic":
        lobby.scrollback.add(TopicRecord(room="lobby", seq=1, sender="eve", time=NOON, text=hostile))
    elif kind == "own":
        lobby.own.append(OwnLine("a", "lobby", hostile))
    else:
        lobby.scrollback.add(message(1, hostile, sender="eve"))
        if kind == "reply":
            lobby.scrollback.add(message(2, "yes", sender="eve", reply_to=1))
    for line in plain(viewport(width, 60).rows(lobby)):
        assert text.line(line) == line
        if line and not line.startswith("──"):
            lead, bar, _ = line.partition("│")
            assert bar, line
            assert re.fullmatch(LEAD, lead), line


def test_every_name_has_one_colour_that_reads_on_black_and_on_white() -> None:
    assert colour_of("alice") == colour_of("alice")
    assert len({colour_of(f"u{number}") for number in range(200)}) == len(PALETTE)

    def luminance(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        red, green, blue = (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    for colour in PALETTE:
        assert 1.05 / (luminance(colour) + 0.05) >= 3.7
        assert (luminance(colour) + 0.05) / 0.05 >= 3.7
        assert all(int(colour[at : at + 2], 16) in (0, 95, 135, 175, 215, 255) for at in (1, 3, 5))


def test_tab_goes_around_names_rooms_and_commands() -> None:
    screen = model(state("lobby"), state("lounge"))
    for seq, name in enumerate(["bert", "bob", "bea", "bob"], 1):
        screen.hear(message(seq, sender=name), 0)
    screen.hear(message(1, room="@carol"), 0)
    completion = Completion()

    def tabs(typed: str, steps: str = "+++") -> list[str]:
        found, cursor = typed, len(typed)
        seen = []
        for step in steps:
            found, cursor = completion.next(screen, found, cursor, 1 if step == "+" else -1)
            seen.append(found)
        return seen

    assert tabs("b", "++++") == ["bob: ", "bea: ", "bert: ", "bob: "]
    assert tabs("b", "-") == ["bert: "]
    assert tabs("hello be", "+") == ["hello @bea "]
    assert tabs("@c", "+") == ["@carol "]
    assert tabs("see #lo", "++") == ["see #lobby ", "see #lounge "]
    assert tabs("/jo", "+") == ["/join "]
    assert tabs("/join lo", "++") == ["/join lobby ", "/join lounge "]
    assert tabs("/msg @c", "+") == ["/msg @carol "]
    assert tabs("/kick be", "+") == ["/kick bea "]
    assert tabs("zzz", "++") == ["zzz", "zzz"]


def test_what_is_around_the_talk_says_less_on_a_narrow_screen_and_always_fits() -> None:
    screen = model(state("lobby"), state("ops"), state("r" * 64))
    screen.hear(message(1, "alice", room="ops"), 0)
    screen.hear(message(1, "psst", room="@bob"), 0)
    screen.online["bob"] = True
    screen.current.topic = "tea\u202e at four" * 9
    screen.lag = 0.012
    screen.own.append(OwnLine("a", "lobby", "x"))
    screen.say(OwnLine("a", "lobby", "x"))
    view = viewport()
    states = [(True, "pending"), (False, "pending"), (True, "failed")]
    for width, (screen.is_connected, screen.current.own[0].state) in itertools.product(range(20, 200, 7), states):  # type: ignore[assignment]
        for row in (panels.title(screen, width), panels.state(screen, view, width)):
            shown = "".join(piece for _, piece in row)
            assert text.columns(shown) == width, shown
            assert text.line(shown) == shown
        for listed in plain(panels.room_list(screen, 24, 10)):
            assert text.columns(listed) <= 24
    screen.is_connected = False
    screen.current.own[0].state = "pending"
    assert "not connected: 1 line waits, sent when it is back" in plain([panels.state(screen, view, 100)])[0]
    screen.is_connected = True
    assert plain([panels.state(screen, view, 50)])[0].strip().startswith("sending 1  [2:ops(1 1!) 4:@bob(1!)]")
    wide = plain(panels.room_list(screen, 24, 10))
    assert wide[0] == " 1 lobby"
    assert wide[1].split() == ["2", "ops", "1", "1!"]
    assert wide[-1].split() == ["4", "@bob", "•", "1!"]
    assert panels.list_columns(60) == 0 < panels.list_columns(80) < panels.list_columns(160)
    many = model(*(state(f"r{number:03}") for number in range(100)))
    many.go_to(many.rooms["r077"])
    assert any("r077" in line for line in plain(panels.room_list(many, 24, 10)))


def test_what_was_found_is_shown_around_what_is_chosen() -> None:
    screen = model()
    screen.hits = tuple(Hit("lobby", message(seq, f"tea {seq}\x1b[2J")) for seq in range(100, 0, -1))
    screen.hit, screen.looked_for, screen.doing = 60, "tea\x1b", Doing.CHOOSING
    shown = plain(panels.found(screen, 60, 12))
    assert len(shown) == 12
    assert shown[0] == '100 found for "tea\\u{1B}"'
    assert [line for line in shown if line.startswith(">")] == ["> 2026-11-25 12:00 lobby bob │ tea 40\\u{1B}[2J"]
    assert panels.before_input(screen).startswith("Up, Down, Enter")
