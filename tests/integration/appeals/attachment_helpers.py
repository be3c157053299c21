"""Helpers for tests of attachments: upload photos over real HTTP."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import httpx

from services.appeals.attachments.file_storage import file_storage
from tests.integration.appeals.conftest import AppealsScenario
from tests.support.served_app import served

PATH = "/api/v1/attachments"


@asynccontextmanager
async def http_client(scenario: AppealsScenario) -> AsyncIterator[httpx.AsyncClient]:
    """Start an HTTP server for the service; yield a client that signs its requests."""
    transport = scenario.appeals.client._transport
    assert isinstance(transport, httpx.ASGITransport)
    async with served(transport.app) as url, httpx.AsyncClient(base_url=url, timeout=60) as client:
        client.event_hooks["request"] += [scenario.appeals.sign, scenario.appeals.grant_access]
        yield client


def headers(scenario: AppealsScenario, role: str = "executor", org: UUID | None = None) -> dict[str, str]:
    """Return the headers of a person of the scenario's organisation or of `org`; moderators belong to none."""
    return scenario.appeals.headers(role, None if role == "moderator" else org or scenario.organisation)


async def upload(
    scenario: AppealsScenario,
    http: httpx.AsyncClient,
    content: bytes,
    name: str = "двор.jpg",
    kind: str = "image/jpeg",
    **who: Any,
) -> httpx.Response:
    """Upload a photo; return the response."""
    return await http.post(PATH, files={"file": (name, content, kind)}, headers=headers(scenario, **who))


async def uploaded(scenario: AppealsScenario, http: httpx.AsyncClient, content: bytes, **more: Any) -> Any:
    """Upload a photo, which must be accepted; return the attachment."""
    answer = await upload(scenario, http, content, **more)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def stored_ids() -> set[UUID]:
    """Return the ids of all stored files."""
    return {file_id async for file_id in file_storage().ids()}
