"""What a shell can complete beside commands and options: profiles and rooms, from what is on this machine.

Nobody is asked over a network, and whatever goes wrong means that there is nothing to complete.
"""

import os
from collections.abc import Callable, Iterable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING

from securechat.cli.options import HOME_VARIABLE

if TYPE_CHECKING:
    from securechat.client.client import Client


def _quiet(names: Callable[[], Iterable[str]]) -> Callable[[str], list[str]]:
    @wraps(names)
    def complete(incomplete: str) -> list[str]:
        try:
            return sorted({name for name in names() if name.startswith(incomplete)})
        except Exception:  # noqa: BLE001 - a traceback in the middle of what somebody types helps nobody
            return []

    # The framework looks at the names of the parameters.
    complete.__annotations__ = {"incomplete": str}
    del complete.__dict__["__wrapped__"]
    return complete


@_quiet
def profiles() -> Iterable[str]:
    """The names of the saved profiles."""
    from securechat.client.profiles import Profiles

    return Profiles.of_person().names()


@_quiet
def rooms() -> Iterable[str]:
    """The rooms and people that the last command was told of, and those of the home's store where there is one."""
    from contextlib import closing

    from securechat.journal.reader import Reader

    kept = _kept()
    known = kept.read_text("utf-8").split() if kept.exists() else []
    store = Path(os.environ.get(HOME_VARIABLE, "")) / "chat.db"
    if store.exists():
        with closing(Reader(store)) as reader:
            known += [room.name for room in reader.rooms() if not room.name.startswith("@")]
    return known


def remember_rooms(client: "Client") -> None:
    """Keep the names of the account's rooms for the next completion, for its owner's eyes alone."""
    from securechat.client import text
    from securechat.files import replace_file

    names = "".join(f"{text.name(state.room)}\n" for state in client.welcome.rooms).encode()
    kept = _kept()
    try:
        if not kept.exists() or kept.read_bytes() != names:
            kept.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            replace_file(kept, names, 0o600)
    except OSError:
        return  # it is a convenience


def _kept() -> Path:
    from securechat.client.profiles import state_folder

    return state_folder() / "rooms"
