"""Make the pictures of the documents: a real server, real clients, and what they show, written down as SVG.

Run as `python -m tests.project.pictures`. Nothing in them is drawn by hand.
"""

import html
import tempfile
import time
import unicodedata
from itertools import groupby
from pathlib import Path
from typing import Final

import pyte
from pyte.screens import Char

from securechat.client.client import Client
from securechat.protocols.frames import Ack, Create, Created, Edit, Invite, Join, Joined, Read, ReadMarker, Topic
from tests.client.screen.support import DEADLINE, FullScreen, connect, sitting
from tests.server.support import make_home, running_server

FOLDER: Final = Path("docs/pictures")
CELL_WIDTH: Final = 8.4
CELL_HEIGHT: Final = 18
MARGIN: Final = 12
PAPER: Final = "#16181d"
INK: Final = "#d8dee9"
FONT: Final = "'DejaVu Sans Mono', Menlo, Consolas, 'Noto Emoji', monospace"


def svg(screen: pyte.Screen) -> str:
    """What a screen shows."""
    width = screen.columns * CELL_WIDTH + 2 * MARGIN
    height = screen.lines * CELL_HEIGHT + 2 * MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}">',
        f'<g font-family="{FONT}" font-size="14" xml:space="preserve">',
        f'<rect width="100%" height="100%" rx="8" fill="{PAPER}"/>',
    ]
    for number in range(screen.lines):
        parts += _line(screen, number)
    x, y = MARGIN + screen.cursor.x * CELL_WIDTH, MARGIN + screen.cursor.y * CELL_HEIGHT
    parts.append(
        f'<rect x="{x:g}" y="{y:g}" width="{CELL_WIDTH:g}" height="{CELL_HEIGHT}" fill="{INK}" opacity="0.6"/>'
    )
    return "\n".join([*parts, "</g>", "</svg>", ""])


def _line(screen: pyte.Screen, number: int) -> list[str]:
    parts = []
    y = MARGIN + number * CELL_HEIGHT
    cells = [(at, screen.buffer[number][at]) for at in range(screen.columns)]
    for (ink, paper, is_bold), run in groupby(cells, key=lambda cell: _look(cell[1])):
        run_cells = list(run)
        x, columns = MARGIN + run_cells[0][0] * CELL_WIDTH, len(run_cells)
        said = "".join(char.data for _, char in run_cells)
        if paper != PAPER:
            parts.append(
                f'<rect x="{x:g}" y="{y}" width="{columns * CELL_WIDTH + 0.3:g}" height="{CELL_HEIGHT}" '
                f'fill="{paper}"/>'
            )
        if said.strip():
            bold = ' font-weight="bold"' if is_bold else ""
            # Words apart, so that no font's own width moves what stands behind them.
            at = 0
            for is_blank, word in groupby(said, key=str.isspace):
                text = "".join(word)
                if not is_blank:
                    length = sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text) * CELL_WIDTH
                    parts.append(
                        f'<text x="{x + at * CELL_WIDTH:g}" y="{y + 13.5:g}" fill="{ink}"{bold} '
                        f'textLength="{length:g}" lengthAdjust="spacingAndGlyphs">{html.escape(text)}</text>'
                    )
                at += len(text)
    return parts


def _look(char: Char) -> tuple[str, str, bool]:
    ink = INK if char.fg == "default" else f"#{char.fg}"
    paper = PAPER if char.bg == "default" else f"#{char.bg}"
    return (paper, ink, char.bold) if char.reverse else (ink, paper, char.bold)


def _save(screen: FullScreen, name: str) -> None:
    with screen.glass.changed:
        drawn = svg(screen.glass.screen)
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{name}.svg").write_text(drawn)
    print(FOLDER / f"{name}.svg")


def _set_the_scene(bob: Client, carol: Client, dave: Client) -> None:
    bob.request(Create(room="deploys"), Created)
    bob.request(Create(room="kitchen"), Created)
    for one in (bob, carol, dave):
        one.request(Join(room="lobby"), Joined)
    for room in ("deploys", "kitchen"):
        bob.request(Invite(room=room, username="alice"), Ack)
        carol.request(Join(room=room), Joined)
    bob.request(Topic(room="lobby", text="Release on Thursday; tea at four"), Ack)
    bob.say("lobby", "Morning! The new certificates are out, they took ten seconds.")
    carol.say("lobby", "And nobody was disconnected?")
    asked = bob.say("lobby", "Nobody. Open chats keep the old one, new ones get the new one.")
    dave.say("lobby", "Nice. I restarted the server at nine, did anybody notice?")
    slip = carol.say("lobby", "No, my lines wiated and were sent once.")
    carol.request(Edit(id="edit-1", room="lobby", seq=slip.seq, text="No, my lines waited and were sent once."), Ack)
    dave.say("lobby", "Same here, in order, each of them once.", reply_to=asked.seq)


def _talk(alice: FullScreen, bob: Client, carol: Client, dave: Client) -> None:
    """The whole window: rooms, replies, an edit, what is new, and a line that is being typed."""
    alice.wait_for("in order, each of them once")
    alice.enter("I only saw the state in the corner change.")
    alice.wait_for(r"state in the corner change\. +#")
    alice.enter("/join kitchen")
    alice.wait_for("^ kitchen")
    bob.say("lobby", "alice: then the release can go out on Thursday?")
    carol.say("lobby", "The notes are ready.\nI put them where we keep the others.")
    bob.say("deploys", "staging is green")
    bob.say("deploys", "production next")
    dave.say("@alice", "Do you have a minute?")
    alice.wait_for("lobby +2 1!", "deploys +2", "@dave")
    alice.type("\x1ba")
    alice.wait_for("new since you were here", "where we keep the others")
    alice.type("Yes, after the tea ☕")
    alice.wait_for("> Yes, after the tea")
    _save(alice, "talk")


def _narrow(alice: FullScreen, bob: Client) -> None:
    """Forty columns: no list of rooms, and who waits is in the line of state."""
    alice.type("\x15")
    alice.resize(40, 20)
    alice.wait_for(r"^\d\d:\d\d #\d+ bob │")
    bob.say("deploys", "production is green")
    alice.wait_for(r"deploys\(3\)")
    _save(alice, "narrow")


def _search(alice: FullScreen) -> None:
    """What was found, to be chosen with Up and Down."""
    alice.resize(100, 26)
    alice.wait_for("^ 1 deploys|^ 2 kitchen")
    deadline = time.monotonic() + DEADLINE
    while len(alice.client.search("once").hits) < 2:  # the index follows what is said
        assert time.monotonic() < deadline
    alice.type("\x12")
    alice.wait_for("^search:")
    alice.type("once\r")
    alice.wait_for('2 found for "once"')
    _save(alice, "search")


def main() -> None:
    """Make all pictures."""
    with tempfile.TemporaryDirectory() as folder:
        home = make_home(Path(folder) / "home")
        with running_server(home, port=0) as server:
            port = server.port
            with (
                connect(port, home, "bob") as bob,
                connect(port, home, "carol") as carol,
                connect(port, home, "dave") as dave,
            ):
                _set_the_scene(bob, carol, dave)
                with connect(port, home, "alice") as before:
                    for room in ("deploys", "kitchen"):
                        head = next(state.head for state in before.rooms() if state.room == room)
                        before.request(Read(room=room, seq=head), ReadMarker)
                with sitting(port, home, "alice", columns=100, rows=26) as alice:
                    _talk(alice, bob, carol, dave)
                    _narrow(alice, bob)
                    _search(alice)
                    alice.type("\x1b")
                    alice.wait_for("^lobby>")
                    server.stop()
                    alice.wait_for("not connected")
                    alice.enter("This is said when the server is back.")
                    alice.wait_for("1 line waits")
                    _save(alice, "offline")


if __name__ == "__main__":
    main()
