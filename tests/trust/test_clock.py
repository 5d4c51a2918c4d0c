"""Deadlines ask the clock that never jumps; wall time only stamps what is stored or shown (TRUST O1)."""

import ast

from tests.project.tree import ROOT, python_files

STAMPS = {
    "securechat/server/server.py": "stamps records",
    "securechat/server/operating.py": "stamps records where no server runs",
    "securechat/server/keeper.py": "how old records are, which were stamped by it",
    "securechat/server/entry.py": "whether an invitation or a ban still holds",
    "securechat/server/questions.py": "whether a ban from a room still holds",
    "securechat/journal/backup.py": "stamps the files in a backup",
    "securechat/server/snapshots.py": "how old the newest snapshot is, which another node stamped",
    "securechat/journal/jetstream/snapshots.py": "stamps a snapshot",
    "securechat/client/ids.py": "makes ids that sort by their time",
    "securechat/doctor.py": "whether records are from the future",
}
"""Where wall time is asked for, and what for; certificates ask it by `datetime`, for their dates. What a
command shows or begins is a person's, and theirs is wall time."""


def test_deadlines_ask_the_clock_that_never_jumps() -> None:
    asking = {
        str(path.relative_to(ROOT))
        for path in python_files("securechat")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Attribute) and ast.unparse(node) in ("time.time", "time.time_ns")
    }
    assert {path for path in asking if not path.startswith("securechat/cli/")} == STAMPS.keys()
