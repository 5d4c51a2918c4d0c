"""The manual page, `man/securechat.1`, made from the commands themselves.

Run as `python -m tests.project.man`, it says whether the page is what the commands say; with `--write` it writes it.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import typer

from securechat import __version__
from securechat.cli import commands
from securechat.cli.app import app

PAGE: Final = Path("man/securechat.1")

EXITS: Final = (
    ("0", "done; what was said is stored"),
    ("1", "it failed"),
    ("2", "the command was called in a way that cannot work"),
    ("3", "the server cannot be reached, or the connection was lost"),
    ("4", "the server refused it"),
    ("5", "the server could not prove that it is the right one"),
    ("6", "what was named does not exist"),
    ("7", "what was to be made is there already"),
    ("8", "a room is not what it was: its chain is broken"),
    ("75", "what was said waits in the outbox"),
    ("130", "Ctrl-C"),
)


def page() -> str:
    """The page in roff, for man(7)."""
    assert commands.__doc__, "importing it has registered every command"
    root = typer.main.get_command(app)
    lines = [
        f'.TH SECURECHAT 1 "" "securechat {__version__}" "User Commands"',
        ".SH NAME",
        r"securechat \- a private chat server, its terminal client and its admin commands",
        ".SH SYNOPSIS",
        ".B securechat",
        ".I COMMAND",
        "[options]",
        ".SH COMMANDS",
    ]
    for name, command in _leaves(root, "securechat"):
        lines += [".SS " + _plain(name), ".nh", *_usage(command), ".hy", *_paragraphs(command.help or "")]
        for parameter in command.params:
            if parameter.param_type_name == "option" and "--help" not in parameter.opts:
                lines += [".TP", _option(parameter), _plain(getattr(parameter, "help", "") or "")]
    lines += [".SH EXIT STATUS"]
    for code, meaning in EXITS:
        lines += [".TP", f".B {code}", meaning]
    return "\n".join(lines) + "\n"


def _leaves(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    below = getattr(command, "commands", None)
    if below is None:
        yield name, command
        return
    for child in sorted(below):
        if not below[child].hidden:
            yield from _leaves(below[child], f"{name} {child}")


def _usage(command: Any) -> list[str]:
    words = [_plain(one.metavar or one.name.upper()) for one in command.params if one.param_type_name == "argument"]
    return [f".I {word}" for word in words]


def _option(parameter: Any) -> str:
    names = ", ".join(rf"\fB{_plain(name)}\fR" for name in parameter.opts)
    value = "" if parameter.is_flag else rf" \fI{_plain(parameter.metavar or parameter.type.name.upper())}\fR"
    return names + value


def _paragraphs(text: str) -> Iterator[str]:
    for part in text.strip().split("\n\n"):
        yield ".PP"
        yield _plain(" ".join(part.split()))


def _plain(text: str) -> str:
    """The text as roff prints it: no escape, no request."""
    text = text.replace("\\", r"\e").replace("-", r"\-")
    return rf"\&{text}" if text.startswith((".", "'")) else text


def main(write: bool) -> None:
    """Compare or write the page; exit with 1 when it is not what the commands say."""
    new = page()
    if write:
        PAGE.parent.mkdir(exist_ok=True)
        PAGE.write_text(new, "utf-8")
    elif not PAGE.exists() or PAGE.read_text("utf-8") != new:
        print(f"{PAGE} is not what the commands say: run make man")
        sys.exit(1)
    print(f"{PAGE} is as the commands say.")


if __name__ == "__main__":
    main(sys.argv[1:] == ["--write"])
