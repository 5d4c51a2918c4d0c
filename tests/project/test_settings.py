"""The page on settings says what the code does: every key, its default, and for limits its meaning."""

import ast
import inspect
import re
from pathlib import Path

import msgspec
import pytest

from securechat import limits
from securechat.config import TABLES, Config, load_config
from securechat.errors import ConfigError
from securechat.limits import Limits

PAGE = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text()


def _rows(text: str) -> dict[str, tuple[str, str]]:
    return {key: (default, meaning) for key, default, meaning in re.findall(r"\| `(\w+)` \| `(.+?)` \| (.+) \|", text)}


def test_every_setting_is_on_the_page_with_its_default() -> None:
    rows = _rows(PAGE.partition("## `[retention]`")[0])
    defaults = {key: value for key, value in msgspec.structs.asdict(Config()).items() if key not in TABLES}
    assert {key: ast.literal_eval(default) for key, (default, _) in rows.items()} == defaults


def test_every_limit_is_on_the_page_as_the_code_explains_it() -> None:
    body = ast.parse(inspect.getsource(limits)).body
    (struct,) = [node for node in body if isinstance(node, ast.ClassDef) and node.name == "Limits"]
    meanings = {}
    for field, text in zip(struct.body, struct.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            assert isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant), field.target.id
            meanings[field.target.id] = " ".join(str(text.value.value).split())
    rows = _rows(PAGE.partition("## `[limits]`")[2])
    assert {key: meaning for key, (_, meaning) in rows.items()} == meanings
    assert {key: ast.literal_eval(default) for key, (default, _) in rows.items()} == msgspec.structs.asdict(Limits())


def test_a_flag_wins_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    (tmp_path / "securechat.toml").write_text("port = 1\nreactors = 2\n[limits]\ntext_bytes = 5\n")
    environ = {"SECURECHAT_PORT": "3", "SECURECHAT_HOST": "::1"}
    config = load_config(tmp_path, environ, {"port": 4, "host": None})
    assert (config.port, config.host, config.reactors, config.limits.text_bytes) == (4, "::1", 2, 5)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("prot = 1", "Did you mean port?"),
        ("zzz = 1", "Known are: host"),
        ("[limits]\nlines_bytes = 1", "Did you mean line_bytes?"),
        ("[limits]\nin_flight = 0", "limits.in_flight"),
        ("[limits]\nidle_seconds = -1.0", "limits.idle_seconds"),
        ("limits = 5", "limits"),
        ("port = 70000", "port"),
        ("tls_minimum = '1.1'", "tls_minimum"),
        ("port = ", "is not TOML"),
    ],
)
def test_a_setting_that_is_not_right_is_refused_by_name(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "securechat.toml").write_text(text)
    with pytest.raises(ConfigError, match=re.escape(words)):
        load_config(tmp_path, {}, {})


def test_a_file_that_cannot_be_read_is_no_empty_file(tmp_path: Path) -> None:
    (tmp_path / "securechat.toml").mkdir()
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load_config(tmp_path, {}, {})
