"""Put each known defect back and check that its test fails: `python -m tests.known_defects [NAME …]`.

Works on a copy of the tracked files in a temporary folder. First the chosen tests have to pass there
without a defect. Prints for each defect the first error of its test; exits with 1 if a test did not fail.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.known_defects.catalogue import DEFECTS, Defect

ROOT = Path(__file__).parents[2]
# Exit codes of pytest: https://docs.pytest.org/en/stable/reference/exit-codes.html
_PASSED, _FAILED = 0, 1
# How long a test waits for what the defect prevents, and how long it may take.
_HANG_SECONDS = 60
_SECONDS_PER_TEST = 240
_SECONDS_FOR_ALL = 1_800


def copy_tracked_files(target: Path) -> None:
    """Copy the files that git tracks, as they are in the working tree."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in filter(None, listed.stdout.split("\0")):
        source, copied = ROOT / name, target / name
        if source.is_file():
            copied.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, copied)


def run_tests(folder: Path, tests: Sequence[str], seconds: int) -> tuple[int | None, str]:
    """Return pytest's exit code, None if the tests did not end in time, and the first error or last line."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
    env = {**os.environ, "HANG_SECONDS": str(_HANG_SECONDS)}
    try:
        ended = subprocess.run(
            command, cwd=folder, env=env, capture_output=True, text=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        return None, f"did not end within {seconds} s"
    lines = [line for line in ended.stdout.splitlines() if line.strip()]
    errors = [line.removeprefix("E").strip() for line in lines if line.startswith("E  ")]
    return ended.returncode, (errors or lines[-1:] or ended.stderr.splitlines()[-1:] or [""])[0]


def is_caught(folder: Path, defect: Defect) -> bool:
    """Put the defect into the copy, run its test, take the defect out; return whether the test failed."""
    path = folder / defect.path
    correct = path.read_text()
    path.write_text(correct.replace(defect.correct, defect.defective))
    started = time.monotonic()
    try:
        code, error = run_tests(folder, [defect.test], _SECONDS_PER_TEST)
    finally:
        path.write_text(correct)
    # A test that hangs with the defect fails too: in the project, pytest-timeout ends it.
    caught = code in {_FAILED, None}
    result = "caught" if caught else f"NOT CAUGHT (pytest's exit code {code})"
    print(f"{defect.name}: {result} in {time.monotonic() - started:.0f} s: {error[:150]}", flush=True)
    print(f"    {defect.consequence}: {defect.test}", flush=True)
    return caught


def main() -> int:
    """Return the exit code: 0 if every chosen defect is caught."""
    parser = argparse.ArgumentParser(prog="tests.known_defects", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these defects")
    names = set(parser.parse_args().names)
    if unknown := names - {defect.name for defect in DEFECTS}:
        parser.error(f"unknown defects: {', '.join(sorted(unknown))}")
    chosen = [defect for defect in DEFECTS if not names or defect.name in names]
    with tempfile.TemporaryDirectory(prefix="gospablik-defects-") as name:
        folder = Path(name)
        copy_tracked_files(folder)
        code, last = run_tests(folder, sorted({defect.test for defect in chosen}), _SECONDS_FOR_ALL)
        print(f"without a defect: {last}", flush=True)
        if code != _PASSED:
            return 1
        missed = [defect.name for defect in chosen if not is_caught(folder, defect)]
    print(f"{len(chosen) - len(missed)} of {len(chosen)} defects are caught")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
