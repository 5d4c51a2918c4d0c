"""What holds in every source file: certificates are verified, tests wait for events, names say something."""

import ast
from collections.abc import Iterator

import pytest

from tests.project.tree import ROOT, python_files

SOURCES = python_files("securechat", "tests", "bench")


def weak_spots(tree: ast.AST) -> Iterator[int]:
    """The lines that turn off or get around the verification of a certificate or its name."""
    for node in ast.walk(tree):
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
    assert list(weak_spots(ast.parse(code)))


def test_verification_is_disabled_nowhere() -> None:
    assert [f"{path}:{line}" for path in SOURCES for line in weak_spots(ast.parse(path.read_text("utf-8")))] == []


def test_no_test_sleeps() -> None:
    sleeping = [
        f"{path}:{node.lineno}"
        for path in python_files("tests")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Attribute) and ast.unparse(node) in ("time.sleep", "asyncio.sleep")
    ]
    assert sleeping == []


def test_every_file_of_the_package_opens_by_saying_what_it_does() -> None:
    texts = {path: path.read_text("utf-8") for path in python_files("securechat", "bench")}
    assert [path for path, text in texts.items() if text and not ast.get_docstring(ast.parse(text))] == []


def test_no_module_is_a_drawer_for_everything() -> None:
    drawers = {"utils", "util", "helpers", "helper", "common", "misc"}
    assert [path.relative_to(ROOT) for path in SOURCES if path.stem in drawers or path.parent.name in drawers] == []
