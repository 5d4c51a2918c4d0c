"""What holds in every source file: certificates are verified, tests wait for events, names say something."""

import ast
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.project.tree import ROOT, python_files

SOURCES = python_files("securechat", "tests", "bench")


@cache
def nodes(path: Path) -> list[ast.AST]:
    """Everything in a file, the module first; each file is parsed and walked once for all tests."""
    return list(ast.walk(ast.parse(path.read_text("utf-8"))))


def weak_spots(nodes: Iterable[ast.AST]) -> Iterator[int]:
    """The lines that turn off or get around the verification of a certificate or its name."""
    for node in nodes:
        match node:
            case (
                ast.Attribute(attr="CERT_NONE" | "_create_unverified_context")
                | ast.Name(id="CERT_NONE" | "_create_unverified_context")
                | ast.alias(name="CERT_NONE" | "_create_unverified_context")
                | ast.Assign(targets=[ast.Attribute(attr="check_hostname")], value=ast.Constant(value=False))
                | ast.keyword(arg="check_hostname", value=ast.Constant(value=False))
                | ast.Call(func=ast.Name(id="setattr"), args=[_, ast.Constant(value="check_hostname"), _])
            ):
                yield getattr(node, "lineno", 0)


@pytest.mark.parametrize(
    "code",
    [
        "context.verify_mode = ssl.CERT_NONE",
        "from ssl import CERT_NONE",
        "context.check_hostname = False",
        "setattr(context, 'check_hostname', False)",
        "ssl._create_unverified_context()",
        "connect(check_hostname=False)",
    ],
)
def test_a_disabled_verification_would_be_seen(code: str) -> None:
    assert list(weak_spots(ast.walk(ast.parse(code))))


ONE_PLACE = ("securechat/certificates/contexts.py", "unproven_context")
"""The one function that makes a context which proves nothing: for the question which CA a server has."""

ITS_ONE_USER = "securechat/client/first_contact.py"
"""The one file that may use it; what it sends on such a connection is tested with it."""


def test_verification_is_disabled_in_one_place() -> None:
    spots = [(path, line) for path in SOURCES for line in weak_spots(nodes(path))]
    path, name = ONE_PLACE
    functions = [node for node in nodes(ROOT / path) if isinstance(node, ast.FunctionDef) and node.name == name]
    assert len(functions) == 1
    inside = range(functions[0].lineno, (functions[0].end_lineno or 0) + 1)
    assert {str(at.relative_to(ROOT)) for at, _ in spots} == {path}
    assert [line for _, line in spots if line not in inside] == []
    assert len(spots) == 2


def test_that_place_has_one_user_which_asks_one_question() -> None:
    users = {
        str(path.relative_to(ROOT)): calls
        for path in SOURCES
        if (calls := sum(_calls(node, ONE_PLACE[1]) for node in nodes(path)))
    }
    assert users == {ITS_ONE_USER: 1}
    sent = [
        ast.unparse(node)
        for node in nodes(ROOT / ITS_ONE_USER)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr.startswith(("send", "write"))
    ]
    assert sent == ["tls.sendall(NativeClientProtocol.encode(Authority()))"]


def _calls(node: ast.AST, name: str) -> bool:
    """Whether this uses the name, other than to import or export it."""
    return (isinstance(node, ast.Name) and node.id == name) or (isinstance(node, ast.Attribute) and node.attr == name)


def test_no_test_sleeps() -> None:
    sleeping = [
        f"{path}:{node.lineno}"
        for path in python_files("tests")
        for node in nodes(path)
        if isinstance(node, ast.Attribute)
        and node.attr == "sleep"
        and ast.unparse(node) in ("time.sleep", "asyncio.sleep")
    ]
    assert sleeping == []


def test_every_file_of_the_package_opens_by_saying_what_it_does() -> None:
    modules = {path: nodes(path)[0] for path in python_files("securechat", "bench")}
    silent = [
        path
        for path, module in modules.items()
        if path.stat().st_size and not (isinstance(module, ast.Module) and ast.get_docstring(module))
    ]
    assert silent == []


def test_no_module_is_a_drawer_for_everything() -> None:
    drawers = {"utils", "util", "helpers", "helper", "common", "misc"}
    assert [path.relative_to(ROOT) for path in SOURCES if path.stem in drawers or path.parent.name in drawers] == []
