"""The parts of the docs that are made from the code, between markers that name them.

Run as `python -m tests.project.pages`, it prints each part that is not what the code says; with `--write` it writes it.
"""

import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from securechat.client.commands import COMMANDS
from securechat.client.screen.actions import KEYS
from securechat.config import TABLES
from securechat.settings import Setting, every_setting, toml
from tests.trust.lines import LINES


def _settings(settings: Iterable[Setting]) -> str:
    rows = [
        f"| `{one.key}` | {f'`{toml(one.default)}`' if one.default is not None else 'not set'} | {one.meaning} |"
        for one in settings
    ]
    return "\n".join(["| key | default | meaning |", "| --- | --- | --- |", *rows])


def _plain() -> str:
    return _settings(one for one in every_setting() if not one.table and one.key not in TABLES)


def _limits() -> str:
    return _settings(one for one in every_setting() if one.table == "limits")


def _cluster() -> str:
    return _settings(one for one in every_setting() if one.table == "cluster")


def _trust() -> str:
    parts = []
    for name, line in LINES.items():
        tests = ", ".join(f"[{_said(named)}](../tests/{named.replace('::', '#test_')})" for named in line.tests)
        parts.append(f"- **{name}** {line.wording} {line.beyond}".rstrip() + f"\n  {tests}")
    return "\n".join(parts)


def _said(named: str) -> str:
    return named.partition("::")[2].replace("_", " ")


def _keys() -> str:
    return "\n".join(f"- {line}" for line in KEYS)


def _commands() -> str:
    rows = [f"| `{command.usage}` | {command.help} |" for command in COMMANDS.values()]
    return "\n".join(["| command | what it does |", "| --- | --- |", *rows])


PAGES: Final[dict[str, dict[str, Callable[[], str]]]] = {
    "docs/configuration.md": {"settings": _plain, "cluster": _cluster, "limits": _limits},
    "docs/trust.md": {"lines": _trust},
    "docs/client.md": {"keys": _keys, "commands": _commands},
}
"""By page, what is made for each marker on it."""


def made(text: str, parts: dict[str, Callable[[], str]]) -> str:
    """The page with its parts made anew. Raises ValueError for a part that has no place on it."""
    for name, make in parts.items():
        pattern = rf"(<!-- made: {name} -->\n)(.*?)(<!-- end: {name} -->)"
        found = re.findall(pattern, text, re.DOTALL)
        if len(found) != 1:
            raise ValueError(f"there is no one place for {name}")
        begin, old, end = found[0]
        text = text.replace(f"{begin}{old}{end}", f"{begin}{make()}\n{end}")
    return text


def main(write: bool) -> None:
    """Compare or write every page; exit with 1 when one is not what the code says."""
    stale = []
    for name, parts in PAGES.items():
        path = Path(name)
        text = path.read_text("utf-8")
        new = made(text, parts)
        if write:
            path.write_text(new, "utf-8")
        elif new != text:
            stale.append(name)
    for name in stale:
        print(f"{name} is not what the code says: run make pages")
    if stale:
        sys.exit(1)
    print(f"What is made of the code is as the code says: {', '.join(PAGES)}.")


if __name__ == "__main__":
    main(sys.argv[1:] == ["--write"])
