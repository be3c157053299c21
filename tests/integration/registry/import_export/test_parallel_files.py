"""Parallel exports, previews and imports leave database connections for other requests."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any
from unittest import mock
from uuid import uuid4

import pytest

from services.registry.api import import_export
from services.registry.import_export import importer
from shared.caller_queue import CallerQueue
from shared.database.sessions import POOL_SIZES
from tests.integration.registry.import_export.conftest import IMPORT, csv_file, exported, imported
from tests.support.eventually import eventually_true
from tests.support.service_under_test import ServiceUnderTest

CONTENT = csv_file(["Код", "Наименование", "Вид"], ["s1", "Школа", "учреждение"])


async def _preview(registry: ServiceUnderTest) -> dict[str, Any]:
    return await imported(registry, CONTENT, dry_run=True)


async def _import(registry: ServiceUnderTest) -> dict[str, Any]:
    return await imported(registry, CONTENT)


async def _workbook(registry: ServiceUnderTest) -> bytes:
    return await exported(registry, format="xlsx")


class _Held:
    """Wraps a function run in threads: holds each thread until `release`, and counts the threads it holds."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function, self._release = function, threading.Event()
        self.started, self.inside, self.most_inside = 0, 0, 0

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.started, self.inside = self.started + 1, self.inside + 1
        self.most_inside = max(self.most_inside, self.inside)
        assert self._release.wait(60)
        self.inside -= 1
        return self._function(*args, **kwargs)

    def release(self) -> None:
        self._release.set()


async def test_file_of_a_caller_without_access_is_not_read(registry: ServiceUnderTest) -> None:
    read: list[bytes] = []
    token = registry.token("moderator", subject=str(uuid4()))
    with mock.patch.object(import_export, "read_file", read.append):
        answer = await registry.client.post(IMPORT, content=CONTENT, headers={"Authorization": f"Bearer {token}"})
    assert (answer.status_code, read) == (401, [])


@pytest.mark.parametrize(
    ("ask", "module", "name", "connections"),
    [
        (_workbook, import_export, "workbook_bytes", 0),
        (_preview, importer, "_read", 0),
        (_preview, importer, "_make_plan", 0),
        (_import, importer, "_make_plan", 1),
    ],
    ids=["workbook", "reading", "preview", "import"],
)
async def test_people_sign_in_while_several_colleagues_download_or_import_the_registry(
    registry_with_people: ServiceUnderTest, ask: Any, module: Any, name: str, connections: int
) -> None:
    registry = registry_with_people
    # All colleagues have the same token here, so this queue, unlike the real one, has no limit per caller.
    queue = CallerQueue("Too many files", concurrency=1, max_waiting=16, timeout_seconds=60)
    held = _Held(getattr(module, name))
    with mock.patch.object(module, name, held), mock.patch.object(import_export, "WORKBOOK_QUEUE", queue):
        asked = [asyncio.create_task(ask(registry)) for _ in range(POOL_SIZES["registry"])]
        try:
            await eventually_true(lambda: held.started > 0)
            # Sent after the others, so it would wait for a connection behind them.
            form = {"grant_type": "password", "username": "head", "password": "demo"}
            signed = await registry.client.post("/api/v1/auth/token", data=form)
            assert signed.status_code == 200, signed.text
            pool: Any = registry.service.database.engine.pool
            # Others may still be checking the access of their callers; then they wait without a connection.
            await eventually_true(lambda: pool.checkedout() == connections)
            assert held.inside == 1
        finally:
            held.release()
        assert all(await asyncio.gather(*asked))
    assert (held.started, held.most_inside) == (len(asked), 1)
