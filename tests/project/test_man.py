"""The manual page names every command and option, and is roff that shows them as they are."""

import shutil
import subprocess

import pytest
import typer

from securechat.cli.app import app
from tests.project import man
from tests.project.test_commands import every_command
from tests.project.tree import ROOT


def test_the_page_is_as_the_commands_say_and_names_them_all() -> None:
    text = man.page()
    assert (ROOT / man.PAGE).read_text("utf-8") == text
    plain = text.replace(r"\-", "-")
    for name, command in every_command(typer.main.get_command(app), "securechat"):
        if not getattr(command, "commands", None):
            assert f".SS {name}\n" in plain
        for parameter in command.params:
            if parameter.param_type_name == "option" and "--help" not in parameter.opts and name != "securechat":
                assert parameter.opts[0] in plain


@pytest.mark.skipif(shutil.which("groff") is None, reason="there is no groff to read it with")
def test_the_page_can_be_read() -> None:
    done = subprocess.run(["groff", "-man", "-ww", "-z", ROOT / man.PAGE], capture_output=True, text=True, check=True)
    assert done.stderr == ""
