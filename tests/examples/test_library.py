"""What docs/library.md shows happens, block after block, against a real server."""

import re
from pathlib import Path

import pytest

from securechat.server.server import Server
from tests.project.tree import ROOT
from tests.server.support import PASSWORD


def test_what_the_page_shows_happens(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path / "home" / "certs")
    names: dict[str, object] = {"port": server.port, "password": PASSWORD}
    for block in re.findall(r"^```python\n(.*?)^```$", (ROOT / "docs" / "library.md").read_text(), re.M | re.S):
        exec(block, names)
    assert capsys.readouterr().out.splitlines() == [
        f"alice at localhost:{server.port}",
        "lobby 2 False",
        "3 stored",
        "2 alice build 512 is green (replay)",
        "3 alice and deployed (replay)",
        "True",
        "3 False ['lobby'] ('alice',)",
        "no-such-room",
    ]
