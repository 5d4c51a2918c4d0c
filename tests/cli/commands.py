"""Commands for scripts, run in this process: each with a file as its stdin, and the way in to one server."""

import sys
from pathlib import Path

import pytest

from securechat.cli import main
from tests.server.support import PASSWORD


class Commands:
    """Runs `securechat …`, against `port` for `alice` unless told otherwise."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
        self.home = folder / "home"
        self.port = 0
        self.state = folder / "state"
        self._input = folder / "input"
        self.password = folder / "password"
        self.password.touch(0o600)
        self.password.write_text(PASSWORD + "\n")
        self._monkeypatch = monkeypatch
        self._capfd = capfd
        monkeypatch.setenv("XDG_STATE_HOME", str(self.state))
        monkeypatch.setenv("XDG_CONFIG_HOME", str(folder / "config"))

    def way_in(self, username: str = "alice") -> list[str]:
        """The options that lead to the server."""
        at = f"{username}@localhost:{self.port}"
        return ["--server", at, "--home", str(self.home), "--password-file", str(self.password)]

    def __call__(self, *arguments: str | Path, typed: bytes = b"") -> tuple[int, str, str]:
        """Run a command as it is; its exit code, stdout and stderr."""
        self._input.write_bytes(typed)
        with self._input.open(encoding="utf-8") as stdin:
            self._monkeypatch.setattr(sys, "stdin", stdin)
            self._monkeypatch.setattr(sys, "argv", ["securechat", *map(str, arguments)])
            with pytest.raises(SystemExit) as ended:
                main()
        out, err = self._capfd.readouterr()
        assert PASSWORD not in out + err
        return int(ended.value.code or 0), out, err

    def at(self, *arguments: str | Path, username: str = "alice", typed: bytes = b"") -> tuple[int, str, str]:
        """Run a command on the server."""
        return self(*arguments, *self.way_in(username), typed=typed)
