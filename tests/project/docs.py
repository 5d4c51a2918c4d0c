"""The docs keep their word: every link leads somewhere, and every file that is named is there.

Run as `python -m tests.project.docs`, it prints one line for each broken promise. Links are looked for in Markdown;
names of files also in the comments and docstrings of the code. Addresses on the web are not followed.
"""

import ast
import fnmatch
import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^(```|~~~).*?^\1\s*$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#{1,6} +(.+?) *#*$", re.MULTILINE)
WEB = re.compile(r"\b[a-z]+://\S+")
NAMED_FILE = re.compile(r"(?<![\w./~$<-])[\w.*-]+(?:/[\w.*-]+)*\.(?:py|md|toml)\b(?![/\w(])")
NAMED_FOLDER = re.compile(r"(?<![\w./~$<-])[\w.-]+(?:/[\w.-]+)*/(?![\w*./])")

HISTORY = "CHANGELOG.md"
"""It may name what is gone."""


def _git(root: Path, *arguments: str, stdin: str = "") -> list[str]:
    # A clone may belong to another user than the one who checks it, as in many a build service.
    command = ["git", "-c", "safe.directory=*", "-C", str(root), *arguments]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1):  # 1: check-ignore found nothing
        raise RuntimeError(done.stderr.strip())
    return [name for name in done.stdout.split("\0") if name]


class Docs:
    """A folder's own files: what git has, or would take."""

    def __init__(self, root: Path) -> None:
        self.root = root
        listed = _git(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
        self.files = sorted(name for name in set(listed) if (root / name).is_file())
        self.folders = {str(parent) for name in self.files for parent in Path(name).parents} - {"."}

    def problems(self) -> list[str]:
        """One line for each link and each name that leads nowhere, in the order of the files."""
        found: list[str] = []
        for name in self.files:
            if name.endswith(".md"):
                text = (self.root / name).read_text("utf-8")
                found += self._broken_links(name, text)
                if name != HISTORY:
                    found += self._unknown_names(name, text)
            elif name.endswith(".py"):
                found += self._unknown_names(name, "\n".join(prose(self.root / name)))
        return found

    def _broken_links(self, name: str, text: str) -> Iterator[str]:
        for target in LINK.findall(FENCE.sub("", text)):
            if WEB.match(target) or target.startswith("mailto:"):
                continue
            path, _, anchor = target.partition("#")
            there = (self.root / name).parent / path if path else self.root / name
            if not there.exists():
                yield f"{name}: the link to {target} leads nowhere"
            elif anchor and there.suffix == ".py":
                if f"\ndef {anchor}(" not in there.read_text("utf-8"):
                    yield f"{name}: the link to {target} names no function"
            elif anchor and anchor not in anchors(there.read_text("utf-8")):
                yield f"{name}: the link to {target} names no heading"

    def _unknown_names(self, name: str, text: str) -> Iterator[str]:
        # Where a link leads is looked at by itself.
        text = WEB.sub("", LINK.sub(lambda link: link[0].rpartition("](")[0], text))
        # Folders are told from other uses of the slash by where they begin.
        folders = [named for named in NAMED_FOLDER.findall(text) if named.split("/")[0] in self.folders]
        unknown = {named for named in {*NAMED_FILE.findall(text), *folders} if not self._is_here(named.rstrip("/"))}
        unknown -= set(_git(self.root, "check-ignore", "--no-index", "-z", "--stdin", stdin="\0".join(unknown)))
        for named in sorted(unknown):
            yield f"{name}: there is no {named}"

    def _is_here(self, named: str) -> bool:
        """Whether the name is that of a file or folder, or the end of one: `chat/rules.py` is enough."""
        patterns = (named, f"*/{named}")
        return any(fnmatch.fnmatchcase(path, pattern) for path in (*self.files, *self.folders) for pattern in patterns)


def anchors(text: str) -> set[str]:
    """The names by which a page's headings can be linked to, as GitHub makes them."""
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in HEADING.findall(FENCE.sub("", text))}


def prose(path: Path) -> Iterator[str]:
    """The comments and docstrings of a Python file."""
    source = path.read_text("utf-8")
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.string
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.value.value


def main() -> None:
    """Check the current folder; exit with 1 when something is broken."""
    docs = Docs(Path())
    found = docs.problems()
    for line in found:
        print(line)
    if found:
        sys.exit(1)
    print("Every link and every file named in the docs is there.")


if __name__ == "__main__":
    main()
