"""The skeleton of a bridge: a room here, and anything else at the other end that can read and write lines of JSON.

    python examples/bridge.py ROOM

What is said in the room goes to stdout as `{"id", "sender", "text"}`, and what comes from stdin in the same form is
said in the room. Nothing is lost over breaks and restarts: the server remembers how far the bridge has got, and what
comes from the other end keeps its id. Replace `Other` with the network that you bridge to.
"""

import contextlib
import json
import sys
import threading
from collections.abc import Iterator

import securechat
from securechat import Client
from securechat.errors import Refused, Unreachable

CONSUMER = "bridge"
"""Under this name the server remembers how far it got in each room."""


class Other:
    """The other end. A real one has to give each message an id that stays the same when it is given again."""

    def hear(self) -> Iterator[dict[str, str]]:
        """What is said there, until it ends."""
        return map(json.loads, sys.stdin)

    def say(self, id: str, sender: str, text: str) -> None:
        """Say something there; when this returns, it must be safe."""
        print(json.dumps({"id": id, "sender": sender, "text": text}), flush=True)


def inward(client: Client, room: str, other: Other) -> None:
    """From there to here, until it ends there."""
    for message in other.hear():
        try:
            client.say(room, f"<{message['sender']}> {message['text']}", id=f"bridge-{message['id']}"[:64])
        except Refused as refused:  # one bad message is no reason to stop
            print(refused, file=sys.stderr)
    client.close()


def outward(client: Client, room: str, other: Other) -> None:
    """From here to there, from where it stood the last time; the first time, from what is new."""
    for message in client.messages(room, after=client.cursor(room, CONSUMER) or None):
        if message.sender != client.welcome.username:  # what the bridge itself said came from there
            other.say(f"{room}-{message.seq}", message.sender, message.text)
        # When the other end has closed meanwhile, this is said there again the next time, with the id that it had.
        with contextlib.suppress(Unreachable):
            client.advance(room, CONSUMER, message.seq)


def main(room: str) -> None:
    """Carry both ways until the other end closes."""
    other = Other()
    with securechat.connect() as client:
        threading.Thread(target=inward, args=(client, room, other), daemon=True).start()
        outward(client, room, other)


if __name__ == "__main__":
    main(sys.argv[1])
