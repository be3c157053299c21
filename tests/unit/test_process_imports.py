"""What each process imports: a module that it does not use takes memory in every installation."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import SERVICES

_ROOT = Path(__file__).parents[2]
_DATABASE = ("sqlalchemy", "asyncpg")
_WEB = ("fastapi", "aiohttp")
_OTHERS_TABLES = tuple(f"shared.tables.{name}" for name in ("appeals", "ingest", "metrics", "webhooks"))

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


_CHECK_FOREIGN_KEYS = """
import importlib, sys
from shared.tables import Base
importlib.import_module(sys.argv[1])
keys = [key for table in Base.metadata.tables.values() for key in table.foreign_keys]
for key in keys:
    assert key.column.table.name in Base.metadata.tables
print(len(keys))
"""


@pytest.mark.parametrize("name", SERVICES)
def test_service_knows_the_tables_that_foreign_keys_of_its_tables_refer_to(name: str) -> None:
    """A flush of a row would fail otherwise, and an id would lose its type."""
    done = subprocess.run(
        [sys.executable, "-c", _CHECK_FOREIGN_KEYS, f"services.{name}.app"],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout) > 0


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
        pytest.param(("services.registry.worker", "shared.service"), _OTHERS_TABLES, id="registry-worker"),
        pytest.param(("services.console.app",), _OTHERS_TABLES, id="console"),
    ],
)
def test_process_imports_nothing_that_it_does_not_use(modules: tuple[str, ...], unused: tuple[str, ...]) -> None:
    assert not _imported(*modules) & set(unused)
