"""Settings: each has its meaning, the page and a new file say what the code says, and what is not right is refused."""

import json
import re
import tomllib
from pathlib import Path

import msgspec
import pytest

from securechat.config import TABLES, Cluster, Config, load_config
from securechat.errors import ConfigError
from securechat.limits import Limits
from securechat.settings import every_setting, in_force, new_file
from tests.cli.calling import call
from tests.project.pages import PAGES, made
from tests.project.tree import ROOT


def test_every_setting_says_what_it_means() -> None:
    assert [one.name for one in every_setting() if not one.meaning] == []
    cluster = (f"cluster.{key}" for key in Cluster.__struct_fields__)
    names = [*Config.__struct_fields__, *cluster, *(f"limits.{key}" for key in Limits.__struct_fields__)]
    assert [one.name for one in every_setting()] == names


@pytest.mark.parametrize("page", PAGES)
def test_what_is_made_of_the_code_is_on_the_page_and_nothing_else(page: str) -> None:
    text = (ROOT / page).read_text("utf-8")
    assert made(text, PAGES[page]) == text, "run make pages"
    first = next(iter(PAGES[page]))
    stale = text.replace(f"<!-- made: {first} -->\n", f"<!-- made: {first} -->\nsomething old\n")
    assert made(stale, PAGES[page]) == text
    with pytest.raises(ValueError, match="no one place for another"):
        made(text, {"another": str})


def test_a_new_file_has_every_key_and_changes_nothing(tmp_path: Path) -> None:
    assert call("config", "init", "--home", str(tmp_path)).code == 0
    path = tmp_path / "securechat.toml"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_text() == new_file()
    assert load_config(tmp_path, {}, {}) == Config()
    assert {one.origin for one in in_force(tmp_path, {}, {})} == {"default"}

    commented = re.sub(r"(?m)^# (\w+ = .+)$", r"\1", new_file())
    unset = {key for key, value in msgspec.structs.asdict(Config()).items() if value is None}
    found = tomllib.loads(commented)
    assert found["limits"] == msgspec.json.decode(msgspec.json.encode(Limits()))
    assert found["cluster"] == msgspec.json.decode(msgspec.json.encode(Cluster()))
    assert set(found) | unset == set(Config.__struct_fields__)
    assert {key: found[key] for key in found if key not in TABLES} == {
        key: value for key, value in msgspec.to_builtins(Config()).items() if key not in TABLES and key not in unset
    }

    again = call("config", "init", "--home", str(tmp_path))
    assert (again.code, again.out) == (7, "")
    assert "left as it is" in again.err


def test_where_each_value_came_from_is_shown(tmp_path: Path) -> None:
    (tmp_path / "securechat.toml").write_text("port = 1\nreactors = 2\n[limits]\ntext_bytes = 5\n[retention]\na = 3\n")
    found = {
        one.setting.name: (one.value, one.origin)
        for one in in_force(tmp_path, {"SECURECHAT_PORT": "3"}, {"host": "::"})
    }
    assert found["port"] == (3, "SECURECHAT_PORT")
    assert found["host"] == ("::", "--host")
    assert found["reactors"] == (2, "securechat.toml")
    assert found["limits.text_bytes"] == (5, "securechat.toml")
    assert found["limits.line_bytes"] == (65_536, "default")
    assert found["retention"] == ({"a": 3}, "securechat.toml")
    assert found["cluster.nodes"] == ((), "default")
    assert not {"limits", "cluster"} & found.keys()

    shown = call("config", "show", "--origin", "--home", str(tmp_path)).out.splitlines()
    assert "port = 1                                     securechat.toml" in shown
    assert "http_port = (not set)                        default" in shown
    assert "port = 1" in call("config", "show", "--home", str(tmp_path)).out.splitlines()
    rows = json.loads(call("config", "show", "--json", "--home", str(tmp_path)).out)
    assert (rows["port"], rows["limits.text_bytes"]) == (1, 5)
    rows = json.loads(call("config", "show", "--json", "--origin", "--home", str(tmp_path)).out)
    assert rows["port"] == {"value": 1, "origin": "securechat.toml"}


def test_a_check_says_what_is_wrong_and_how_to_mend_it(tmp_path: Path) -> None:
    assert call("config", "check", "--home", str(tmp_path)).code == 0
    assert json.loads(call("config", "check", "--json", "--home", str(tmp_path)).out) == {"ok": True}
    (tmp_path / "securechat.toml").write_text("prot = 1\n")
    refused = call("config", "check", "--home", str(tmp_path))
    assert (refused.code, refused.err.count("Did you mean port?")) == (1, 1)
    refused = call("config", "check", "--json", "--home", str(tmp_path))
    said = json.loads(refused.out)
    assert (refused.code, said["ok"], said["fix"]) == (1, False, "Did you mean port?")


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
        ("[limits]\nidle_seconds = inf", "limits.idle_seconds"),
        ("[limits]\nidle_seconds = 1e7", "limits.idle_seconds"),
        ("[limits]\nconnections = 9999999999999999999999", "limits.connections"),
        ("retention_days = 9999999999999999999999", "retention_days"),
        ("[retention]\nlobby = 99999999", "retention"),
        ("limits = 5", "limits"),
        ("[cluster]\nnods = []", "Did you mean nodes?"),
        ("[cluster]\nnodes = ['a.example']", "nodes: 'a.example' is not HOST:PORT"),
        ("[cluster]\nnodes = ['alice@a.example:1']", "is not HOST:PORT"),
        ("[cluster]\nnodes = ['[::1]:0']", "is not HOST:PORT"),
        ("[cluster]\nnodes = ['a.example:1\\n']", "is not HOST:PORT"),
        (f"[cluster]\nnodes = {['a:1'] * 17}", "there are 17, and 16 are the most"),
        ("[cluster]\nservers = ['tls://a:1']", "node: '' cannot be a node's name"),
        ("[cluster]\nservers = ['tls://a:1']\nnode = 'n'", "all three are needed"),
        ("[cluster]\nservers = ['a:1']\nnode = 'n'", "'a:1' is not tls://HOST:PORT"),
        ("[cluster]\nservers = ['nats://127.0.0.1:1']\nnode = 'n'", "is unencrypted; write tls://127.0.0.1:1"),
        ("[cluster]\nservers = ['nats://a:1']\nnode = 'n'\nplaintext = 'loopback'", "write tls://a:1"),
        ("[cluster]\nreplicas = 6", "cluster.replicas"),
        ("[cluster]\nstream = 'a.b'", "cluster.stream"),
        ("port = 70000", "port"),
        ("tls_minimum = '1.1'", "tls_minimum"),
        ("port = ", "is not TOML"),
    ],
)
def test_a_setting_that_is_not_right_is_refused_by_name(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "securechat.toml").write_text(text)
    with pytest.raises(ConfigError, match=re.escape(words)):
        load_config(tmp_path, {}, {})


@pytest.mark.parametrize(
    "text",
    [
        "servers = ['nats://127.0.0.1:1', 'nats://[::1]:1', 'nats://localhost:1']\nplaintext = 'loopback'",
        "servers = ['tls://a.example:1']\nca = 'ca'\ncertificate = 'c'\nkey = 'k'",
    ],
)
def test_a_cluster_that_is_right_is_taken(tmp_path: Path, text: str) -> None:
    (tmp_path / "securechat.toml").write_text(f"[cluster]\nnode = 'node-1'\n{text}\n")
    assert load_config(tmp_path, {}, {}).cluster.servers


def test_a_file_that_cannot_be_read_is_no_empty_file(tmp_path: Path) -> None:
    (tmp_path / "securechat.toml").mkdir()
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load_config(tmp_path, {}, {})
