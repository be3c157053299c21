"""The registry on a real database, with the demo's people."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.registry import people
from tests.conftest import TestDatabase
from tests.harness import ServiceUnderTest, service_under_test


@pytest.fixture
async def registry(database: TestDatabase, keys_dir: Path) -> AsyncIterator[ServiceUnderTest]:
    """The registry's API without its worker."""
    async with service_under_test("registry", database, keys_dir) as running:
        yield running


@pytest.fixture
async def with_people(registry: ServiceUnderTest) -> ServiceUnderTest:
    """The registry with `centre`, `head` and `ops`."""
    async with registry.service.database.write() as session:
        await people.ensure_demo_people(session)
    return registry


async def sign_in(registry: ServiceUnderTest, **form: str) -> httpx.Response:
    """One call of the token endpoint; the grant is `password` unless said otherwise."""
    return await registry.client.post("/api/v1/auth/token", data={"grant_type": "password", **form})


async def make(registry: ServiceUnderTest, path: str, **body: Any) -> dict[str, Any]:
    """Register something as the centre's moderator."""
    answer = await registry.client.post(f"/api/v1{path}", json=body, headers=registry.headers("moderator"))
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def pointers(answer: httpx.Response) -> set[str]:
    """The fields that a problem document names."""
    assert answer.headers["content-type"] == "application/problem+json"
    return {error["pointer"] for error in answer.json()["errors"]}
