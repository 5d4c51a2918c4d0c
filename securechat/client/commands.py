"""What can be typed in a conversation: a line to say, or one of the commands in the table. It carries nothing out."""

import re
from typing import Final

import msgspec

from securechat.client.text import ME
from securechat.errors import UsageError
from securechat.limits import PAGE_RECORDS


class Command(msgspec.Struct, frozen=True):
    """One command; `least` and `most` count its arguments, `text` says that the last takes the rest of the line,
    and `screen` that it is one of the full screen alone."""

    name: str
    arguments: str
    help: str
    least: int = 0
    most: int = 0
    text: bool = False
    screen: bool = False

    @property
    def usage(self) -> str:
        """How it is typed."""
        return f"/{self.name} {self.arguments}".rstrip()

    @property
    def explained(self) -> str:
        """The line of `/help` about it."""
        return f"{self.usage:<22} {self.help}"


COMMANDS: Final = {
    command.name: command
    for command in (
        Command("join", "ROOM", "come into a room, and speak there", 1, 1),
        Command("leave", "[ROOM]", "leave this room, or another", 0, 1),
        Command("create", "ROOM [private]", "make a room, open to all or private, and come into it", 1, 2),
        Command("topic", "TEXT", "say what this room is about; /topic - says nothing again", 1, 1, text=True),
        Command("invite", "NAME", "make somebody a member of this room", 1, 1),
        Command("kick", "NAME", "end somebody's membership of this room", 1, 1),
        Command("ban", "NAME [TIME]", "keep somebody out of this room, for 30m, 12h, 7d or until /unban", 1, 2),
        Command("unban", "NAME", "let somebody into this room again; /who lists who is banned, if you may", 1, 1),
        Command("msg", "TARGET TEXT", "say a line in another room, or to a person: /msg @bob hello", 2, 2, text=True),
        Command("me", "TEXT", "say what you do: /me waves", 1, 1, text=True),
        Command("reply", "N TEXT", "answer message number N of this room", 2, 2, text=True),
        Command("edit", "N TEXT", "put another text in the place of your message number N", 2, 2, text=True),
        Command("delete", "N", "have the text of message number N erased", 1, 1),
        Command("search", "TEXT", "find what was said in your rooms", 1, 1, text=True),
        Command("who", "[ROOM]", "list who is in this room, or in another", 0, 1),
        Command("rooms", "", "list the rooms"),
        Command(
            "history", "[N]", f"show the last N records of this room, 20 if not said, {PAGE_RECORDS} at most", 0, 1
        ),
        Command("ignore", "[NAME]", "hide what somebody says, from now on, or show it again; list who is hidden", 0, 1),
        Command("away", "", "have nothing count as read until you type it again, or leave", screen=True),
        Command("clear", "", "clear the screen; what was there is above", screen=True),
        Command("sessions", "[end NAME]", "list where you are logged in, or end one of these logins", 0, 2),
        Command("password", "", "give your account another password; it is asked for"),
        Command("quit", "", "leave the conversation; Ctrl-D does too"),
        Command("help", "", "show this list"),
    )
}
"""Every command by its name, in the order in which `/help` lists them."""


class Say(msgspec.Struct, frozen=True):
    """A line to say in the current room."""

    text: str


class Do(msgspec.Struct, frozen=True):
    """A command to carry out; its arguments are as many as the table allows."""

    name: str
    arguments: tuple[str, ...]


def read(typed: str, *, screen: bool = False) -> Say | Do | None:
    """What a typed line means, on the full screen or in lines; None for a blank one. A line that begins with `//` is
    said with one slash.

    Raises UsageError for an unknown command (it is never said) and for a wrong number of arguments.
    """
    if not typed.strip():
        return None
    if typed.startswith("//"):
        return Say(typed[1:])
    if not typed.startswith("/"):
        return Say(typed)
    name, _, rest = typed[1:].partition(" ")
    command = COMMANDS.get(name)
    if command is None or (command.screen and not screen):
        raise UsageError(f"There is no command /{name}.", hint="Type /help for the list, or // to say a slash.")
    arguments = rest.strip().split(maxsplit=command.most - 1) if command.text else rest.split()
    if not command.least <= len(arguments) <= command.most:
        raise UsageError(f"Type {command.usage}.")
    if name == "me":
        return Say(f"{ME}{arguments[0]}")
    return Do(name, tuple(arguments))


def read_number(typed: str) -> int:
    """The number of a message, as it is shown (`#43`) or without the mark; raises UsageError for what is none."""
    digits = typed.removeprefix("#")
    if digits.isascii() and digits.isdigit() and len(digits) <= 15 and int(digits):
        return int(digits)
    raise UsageError("Type the number of a message, as it stands beside it.")


_UNITS: Final = {"m": 60, "h": 3_600, "d": 86_400}


def read_seconds(typed: str, most_days: int) -> int:
    """What `30m`, `12h` or `7d` is in seconds. Raises UsageError for anything else, and for more than `most_days`."""
    match = re.fullmatch(r"([1-9][0-9]{0,5})([mhd])", typed)
    found = int(match[1]) * _UNITS[match[2]] if match else 0
    if not 0 < found <= most_days * _UNITS["d"]:
        raise UsageError(f"{typed!a} is no time.", hint=f"Type a number and m, h or d, up to {most_days}d.")
    return found


def read_count(arguments: tuple[str, ...], default: int) -> int:
    """The optional number of records; raises UsageError for what is no number from 1 to PAGE_RECORDS."""
    if not arguments:
        return default
    typed = arguments[0]
    if typed.isascii() and typed.isdigit() and len(typed) <= 4 and 1 <= int(typed) <= PAGE_RECORDS:
        return int(typed)
    raise UsageError(f"Type a number from 1 to {PAGE_RECORDS}.")
