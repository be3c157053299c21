"""Test the image, Compose and the documented operations in containers: `python -m tests.containers [STEP…]`.

Needs root, and either Docker or Podman with docker-compose. After single steps, the installation is kept in the
folder, so that further steps continue with it. After all steps, or after the step `clean`, only base images and
the build cache remain.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Literal

from tests.containers import faults, first_start, key_separation, maintenance, measures
from tests.containers.engine import BarMissedError, NotPossibleError, PodmanService, StepFailedError, find_engine
from tests.containers.installation import Installation

_FOLDER = Path("/var/tmp/gospablik-containers")
_NOT_POSSIBLE = 2
_BEFORE_ALL_OTHERS = ("bases", "image", "start", "people", "region")


def _former_version() -> str:
    """Return the last commit before the newest migration: an upgrade from it changes the schema."""
    root = Path(__file__).parents[2]
    line = ["git", "log", "-1", "--format=%H", "--diff-filter=A", "--", "migrations/versions"]
    newest = subprocess.run(line, cwd=root, capture_output=True, text=True, check=True).stdout.strip()
    line = ["git", "rev-parse", f"{newest}~1"]
    return subprocess.run(line, cwd=root, capture_output=True, text=True, check=True).stdout.strip()


def _steps(installation: Installation, arguments: argparse.Namespace) -> dict[str, Callable[[], str]]:
    on = partial
    return {
        "bases": on(first_start.base_images, installation, ask_registry=not arguments.stand_ins),
        "image": on(first_start.image, installation),
        "start": on(first_start.start, installation),
        "people": on(first_start.people, installation),
        "region": on(first_start.region, installation),
        "job": on(first_start.main_job, installation),
        "keys": on(key_separation.keys, installation),
        "blind": on(faults.blind, installation),
        "stats": on(measures.stats, installation),
        "backup": on(maintenance.backup, installation),
        "job-again": on(first_start.main_job, installation),
        "rotate": on(maintenance.rotate, installation),
        "outages": on(faults.outages, installation),
        "safety": on(faults.safety, installation),
        "upgrade": on(
            maintenance.upgrade,
            installation,
            arguments.former or _former_version(),
            ask_registry=not arguments.stand_ins,
        ),
        "remove": on(_remove, installation),
        "clean": on(_clean, installation),
    }


def _remove(installation: Installation) -> str:
    installation.remove()
    return "containers, data and settings are removed"


def _clean(installation: Installation) -> str:
    installation.remove()
    installation.remove_images()
    return "everything but base images and the build cache is removed"


def _run(name: str, step: Callable[[], str]) -> Literal["ok", "bar", "failed"]:
    """Run one step and print its result; return whether it passed, missed a bar, or failed."""
    began = time.monotonic()
    outcome: Literal["ok", "bar", "failed"]
    try:
        said, outcome = step(), "ok"
    except BarMissedError as error:
        said, outcome = str(error), "bar"
    except (StepFailedError, subprocess.TimeoutExpired) as error:
        said, outcome = str(error), "failed"
    print(f"{outcome:<6} {name:<9} {time.monotonic() - began:4.0f} s  {said}", flush=True)
    return outcome


def main() -> None:
    """Run the given steps, or all; exit with 1 if a step failed, with 2 if containers cannot run here."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m tests.containers")
    parser.add_argument("steps", nargs="*", metavar="STEP", help="run these only; by default all")
    parser.add_argument("--folder", type=Path, default=_FOLDER, help=f"where files are kept ({_FOLDER})")
    parser.add_argument("--stand-ins", action="store_true", help="never ask a registry for base images")
    parser.add_argument(
        "--former", help="the version to upgrade from; by default the version before the newest migration"
    )
    arguments = parser.parse_args()
    try:
        engine = find_engine(arguments.folder)
        installation = Installation(engine)
        steps = _steps(installation, arguments)
        if unknown := set(arguments.steps) - set(steps):
            parser.error(f"no step {', '.join(sorted(unknown))}; there are {', '.join(steps)}")
        with PodmanService(engine):
            installation.refuse_foreign()
            installation.clone()
            failed = []
            for name in arguments.steps or steps:
                outcome = _run(name, steps[name])
                if outcome != "ok":
                    failed.append(name)
                if outcome == "failed" and name in _BEFORE_ALL_OTHERS:
                    break
    except NotPossibleError as error:
        print(f"containers cannot be tested here: {error}", file=sys.stderr)
        sys.exit(_NOT_POSSIBLE)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}; all commands and their output: {engine.folder / 'commands.log'}")


if __name__ == "__main__":
    main()
