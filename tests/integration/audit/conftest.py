"""The registry and its audit trail. No relay runs: the tests chain the rows themselves."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from shared.audit import recorder
from shared.events.relay import number_committed_events
from shared.tables.registry import Organisation
from tests.conftest import TestDatabase
from tests.support.service_under_test import ServiceUnderTest, service_under_test


@pytest.fixture
async def registry(database: TestDatabase, keys_dir: Path) -> AsyncIterator[ServiceUnderTest]:
    """The registry's API without its worker."""
    async with service_under_test("registry", database, keys_dir) as running:
        yield running


async def change(registry: ServiceUnderTest, number: int = 1) -> None:
    """Write one audit row for a change by an operator's command."""
    async with registry.service.database.write() as session:
        recorder.set_context(
            session, replace(recorder.operator_context("registry", "try"), ip_address="192.0.2.7")
        )
        values = {"code": f"school{number}", "name": f"Школа № {number}"}
        row = recorder.RowChange(subject_id=UUID(int=number), organisation_id=UUID(int=number), after=values)
        await recorder.record(session, Organisation, [row])


async def trail(
    registry: ServiceUnderTest, role: str = "auditor", place: str | None = None, **query: Any
) -> list[dict[str, Any]]:
    """Return the audit trail as a caller reads it, after chaining new rows."""
    await number_committed_events(registry.service.database)
    answer = await registry.client.get("/api/v1/audit", params=query, headers=registry.headers(role, place))
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items
