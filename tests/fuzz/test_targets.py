"""The fuzz targets hold for what a fuzzer begins with, for bytes of any kind, and for what fuzzing has found."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuzz.__main__ import NAMES, SKIPPED
from fuzz.targets import TARGETS, assert_harmless
from securechat.protocols.native import NativeProtocol
from tests.project.tree import ROOT, environment


@pytest.mark.parametrize("name", NAMES)
def test_a_target_holds_for_its_seeds_and_for_bytes_of_any_kind(name: str) -> None:
    target = TARGETS[name]
    for seed in target.seeds:
        target.check(seed)

    @given(
        st.binary(max_size=200)
        | st.sampled_from(target.seeds).flatmap(
            lambda seed: st.integers(0, len(seed)).map(lambda place: seed[:place] + b"\xff" + seed[place:])
        )
    )
    def holds(data: bytes) -> None:
        target.check(data)

    holds()
    target.check(b"")


def test_every_target_can_be_run_by_its_name() -> None:
    assert tuple(TARGETS) == NAMES


def test_a_target_would_see_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AssertionError):
        assert_harmless("\x1b")
    monkeypatch.setattr(NativeProtocol, "receive", lambda self, data: [len(data)])
    with pytest.raises(AssertionError):
        TARGETS["frames"].check(TARGETS["frames"].seeds[0])


def test_without_a_fuzzer_one_line_says_so() -> None:
    code = "import sys; sys.modules['atheris'] = None; sys.argv = ['fuzz']; from fuzz.__main__ import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment(), capture_output=True, text=True, check=True
    )
    assert done.stdout == f"{SKIPPED}\n"
