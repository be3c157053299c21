"""What each process imports: a module that it does not use takes memory in every installation."""

import json
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import SERVICES

_ROOT = Path(__file__).parents[2]
_DATABASE = ("sqlalchemy", "asyncpg")
_WEB = ("fastapi", "aiohttp")
_OTHERS_TABLES = tuple(f"shared.tables.{name}" for name in ("appeals", "ingest", "metrics", "webhooks"))

_LIST_MODULES = """
import importlib, json, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
print(json.dumps(list(sys.modules)))
"""

_BUILD_SERVICE = """
import importlib, json, sys
import cli.commands.serve
from shared.tables import Base

def count_foreign_keys():
    keys = [key for table in Base.metadata.tables.values() for key in table.foreign_keys]
    for key in keys:
        assert key.column.table.name in Base.metadata.tables
    return len(keys)

service = importlib.import_module(f"services.{sys.argv[1]}.app").build_service()
worker, keys = list(sys.modules), count_foreign_keys()
service.build("api")
print(json.dumps({"worker": worker, "api": list(sys.modules), "foreign_keys": [keys, count_foreign_keys()]}))
"""


def _run(program: str, *arguments: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], cwd=_ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


@cache
def _built(name: str) -> dict[str, Any]:
    """Return the modules of the worker and the API of a service, and how many foreign keys their tables have."""
    found: dict[str, Any] = _run(_BUILD_SERVICE, name)
    return found


@pytest.mark.parametrize("name", SERVICES)
def test_service_has_the_tables_that_foreign_keys_of_its_tables_refer_to(name: str) -> None:
    """A flush of a row would fail otherwise, and an id would lose its type."""
    worker, api = _built(name)["foreign_keys"]
    assert 0 < worker <= api


@pytest.mark.parametrize("name", SERVICES)
def test_service_imports_nothing_of_the_gateway(name: str) -> None:
    assert not {"services.gateway", "fastapi_offline"} & set(_built(name)["api"])


@pytest.mark.parametrize(
    ("name", "unused"),
    [
        ("registry", ("services.registry.api", "icalendar", *_OTHERS_TABLES)),
        ("ingest", ("services.ingest.api",)),
        ("appeals", ("services.appeals.api",)),
        ("metrics", ("services.metrics.api",)),
        ("webhooks", ("services.webhooks.api",)),
    ],
)
def test_worker_imports_nothing_that_only_the_api_serves(name: str, unused: tuple[str, ...]) -> None:
    found = _built(name)
    assert f"services.{name}.api" in found["api"]
    assert not set(found["worker"]) & set(unused)


def test_api_of_metrics_loads_no_library_of_documents_before_the_first_report() -> None:
    assert not {"openpyxl", "typst", "jinja2"} & set(_built("metrics")["api"])


def test_console_has_no_tables_of_other_services() -> None:
    assert not set(_built("console")["api"]) & set(_OTHERS_TABLES)


def test_gateway_service_imports_no_database() -> None:
    modules = _run(_LIST_MODULES, "cli.commands.serve", "services.gateway.app")
    assert "fastapi" in modules
    assert not {*_DATABASE, "shared.service"} & set(modules)


def test_classifier_process_imports_neither_database_nor_web_framework() -> None:
    modules = _run(
        _LIST_MODULES,
        "services.appeals.classification.classifier_process",
        "services.appeals.classification.model.message_classifier",
    )
    assert "numpy" in modules
    assert not {*_DATABASE, *_WEB, "structlog"} & set(modules)
