"""What each process imports: a module that it does not use takes memory in every installation."""

import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
_DATABASE = ("sqlalchemy", "asyncpg")
_WEB = ("fastapi", "aiohttp")

_LIST_MODULES = """
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
print("\\n".join(sys.modules))
"""


def _imported(*names: str) -> set[str]:
    """Return the names of all modules that a new process has after it imported these."""
    done = subprocess.run(
        [sys.executable, "-c", _LIST_MODULES, *names], cwd=_ROOT, capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("modules", "unused"),
    [
        pytest.param(
            (
                "services.appeals.classification.classifier_process",
                "services.appeals.classification.model.message_classifier",
            ),
            (*_DATABASE, *_WEB, "structlog"),
            id="classifier",
        ),
    ],
)
def test_process_imports_nothing_that_it_does_not_use(modules: tuple[str, ...], unused: tuple[str, ...]) -> None:
    assert not _imported(*modules) & set(unused)
