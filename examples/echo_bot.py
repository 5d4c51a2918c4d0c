"""A bot that answers: whoever says `!echo TEXT` in the room hears TEXT.

    python examples/echo_bot.py ROOM

It talks as the profile in use. What was said while it was not there is no question to it: that is marked as a replay.
Each answer has an id made from its question, so that no break of the connection makes it answer twice.
"""

import sys

import securechat
from securechat.protocols.frames import Join, Joined

COMMAND = "!echo "


def main(room: str) -> None:
    """Answer until the connection is over for good, or Ctrl-C."""
    with securechat.connect() as client:
        client.request(Join(room=room), Joined)
        for message in client.messages(room):
            if message.replay or message.sender == client.welcome.username:
                continue
            if message.text.startswith(COMMAND):
                answer = message.text.removeprefix(COMMAND)
                client.say(room, answer, id=f"echo-{message.id}"[:64], reply_to=message.seq)


if __name__ == "__main__":
    main(sys.argv[1])
