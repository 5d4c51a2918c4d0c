"""Run the fuzz targets with atheris: `python -m fuzz [--seconds N] [TARGET …]`, each in a process of its own.

What is found is kept in `.fuzz/`: inputs that reach something new, and those that break an assertion. Such a one
becomes a plain test, and then a fix.
"""

import argparse
import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Final

NAMES: Final = ("frames", "credentials", "configuration", "rendering")
"""The targets; named here because looking at them imports what is to be instrumented."""

KEPT: Final = Path(".fuzz")

SKIPPED: Final = "Fuzzing is skipped: atheris is not installed (pip install 'securechat[fuzz]')."


def fuzz(name: str, seconds: int) -> None:
    """Fuzz one target in this process, which ends with it: 0 when nothing was found."""
    import atheris

    with atheris.instrument_imports(include=["securechat"]):
        from fuzz.targets import TARGETS

    target = TARGETS[name]
    corpus = KEPT / name
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds):
        (corpus / f"seed-{number}").write_bytes(seed)
    limits = [f"-max_total_time={seconds}", "-timeout=10", "-max_len=1024", "-verbosity=0", "-print_final_stats=1"]
    atheris.Setup(
        [sys.argv[0], *limits, f"-artifact_prefix={KEPT}/{name}-", str(corpus)],
        target.check,
        enable_python_coverage=True,
    )
    atheris.Fuzz()


def fuzz_all(names: list[str], seconds: int) -> int:
    """Fuzz these targets at once; how many of them found something."""
    began = {
        name: subprocess.Popen(
            [sys.executable, "-m", "fuzz", "--here", "--seconds", str(seconds), name],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="backslashreplace",
        )
        for name in names
    }
    found = 0
    for name, process in began.items():
        said, _ = process.communicate()
        runs = [line.split()[-1] for line in said.splitlines() if line.startswith("stat::number_of_executed_units")]
        if process.returncode:
            found += 1
            print(said)
        print(f"fuzz {name}: {'found something' if process.returncode else 'nothing found'} in {' '.join(runs)} runs")
    return found


def main() -> None:
    """Fuzz what is asked for; exit with 1 when something was found."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description="Run the fuzz targets.")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"any of {', '.join(NAMES)} (default: all)")
    parser.add_argument("--seconds", type=int, default=20, help="for each (default 20)")
    parser.add_argument("--here", action="store_true", help="one target, in this very process")
    asked = parser.parse_args()
    if unknown := set(asked.targets) - set(NAMES):
        parser.error(f"there is no target {', '.join(sorted(unknown))}")
    if importlib.util.find_spec("atheris") is None:
        print(SKIPPED)
    elif asked.here:
        fuzz(asked.targets[0], asked.seconds)
    else:
        sys.exit(1 if fuzz_all(asked.targets or list(NAMES), asked.seconds) else 0)


if __name__ == "__main__":
    main()
