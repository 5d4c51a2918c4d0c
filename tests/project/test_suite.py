"""`make test` runs every test, and its last line tells the truth about all of them."""

import subprocess
import sys
from pathlib import Path

from tests.project.suite import CORE, FILES_A_RUN, UNMEASURED, Result, closing_line, failures, plan
from tests.project.tree import ROOT


def test_every_test_file_is_run_once() -> None:
    folders = [Path(word) for run in plan(ROOT / "tests") for word in run.arguments if not word.startswith("-")]
    for path in (ROOT / "tests").rglob("test_*.py"):
        assert len([folder for folder in folders if path.is_relative_to(folder)]) == 1, path


def test_a_new_file_or_folder_of_tests_is_run_without_being_named(tmp_path: Path) -> None:
    for name in ("test_alone.py", "tokens/test_one.py", "tokens/deep/test_two.py", "tokens/support.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    words = [word for run in plan(tmp_path) for word in run.arguments if not word.startswith("-")]
    tests = ("test_alone.py", "tokens/test_one.py", "tokens/deep/test_two.py")
    assert sorted(words) == sorted(str(tmp_path / name) for name in (*CORE, *tests))


def test_a_large_folder_is_several_runs(tmp_path: Path) -> None:
    (tmp_path / "server").mkdir()
    for number in range(2 * FILES_A_RUN):
        (tmp_path / f"server/test_{number:02}.py").touch()
    runs = {run.name: sum(word.endswith(".py") for word in run.arguments) for run in plan(tmp_path)}
    assert runs == {"core": 0, "server-1": FILES_A_RUN, "server-2": FILES_A_RUN}


def test_only_what_runs_no_product_code_here_goes_unmeasured() -> None:
    for run in plan(ROOT / "tests"):
        folders = {Path(word).relative_to(ROOT / "tests").parts[0] for word in run.arguments if word[0] != "-"}
        measured = any(word.startswith("--cov=securechat") for word in run.arguments)
        assert folders <= set(UNMEASURED) if not measured else folders.isdisjoint(UNMEASURED)


def test_the_closing_line_counts_every_run() -> None:
    said = [
        "FAILED x\n===== 1 failed, 20 passed, 1 error in 3.20s =====\n",
        "====== \x1b[32m300 passed\x1b[0m, 2 errors in 103.20s (0:01:43) ======\n",
    ]
    assert closing_line(said, 104.5).strip("=") == " 3 errors, 1 failed, 320 passed in 104.50s "


def test_no_test_at_all_is_told() -> None:
    assert closing_line(["ImportError: no module\n"], 1.0).strip("=") == " no tests ran in 1.00s "


def test_whatever_failed_is_named_again_at_the_end() -> None:
    results = [
        Result("server", 1, "...\n\x1b[31mFAILED\x1b[0m tests/server/test_chat.py::test_one - assert False\n"),
        Result("core", 1, "FAIL Required test coverage of 100% not reached. Total coverage: 99.10%\n"),
        Result("client", -11, "tests/client/test_text.py ...Fatal Python error: Segmentation fault\n"),
        Result("cli", 0, "=== 3 passed in 1.00s ===\n"),
    ]
    assert failures(results) == [
        "server: FAILED tests/server/test_chat.py::test_one - assert False",
        "core: FAIL Required test coverage of 100% not reached. Total coverage: 99.10%",
        "client: FAILED with exit code -11",
    ]


def test_a_suite_that_is_started_in_the_background_hears_ctrl_c_all_the_same() -> None:
    asked = "import signal; print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
    program = f"""
import subprocess, sys
from tests.project.suite import hear_interrupts
hear_interrupts()
subprocess.run([sys.executable, "-c", {asked!r}], check=True)
"""
    words = ["sh", "-c", 'trap "" INT; exec "$0" -c "$1"', sys.executable, program]
    told = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    assert told.stdout == "True\n"
