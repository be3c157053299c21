"""The console in this process. Its calls reach the services over HTTP, by their paths, as through the gateway."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
from fastapi import FastAPI
from starlette.routing import Match
from starlette.types import Receive, Scope, Send
from structlog.testing import capture_logs

from services.console.browser_sessions.session_store import SESSION_COOKIE
from services.console.browser_sessions.token_endpoint import Tokens
from services.console.site.site import Site
from shared.service import Service
from tests.conftest import TestDatabase
from tests.integration.access import sample_data
from tests.integration.access.all_services import AllServices, CallerCase
from tests.support.served_app import served
from tests.support.service_under_test import service_under_test

SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin"}


class _Dispatch:
    """Hands each request to the service that has its path; others get the 404 of the first service."""

    def __init__(self, apps: list[FastAPI]) -> None:
        self._apps = apps

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        for app in self._apps:
            if any(route.matches(scope)[0] is not Match.NONE for route in app.routes):
                await app(scope, receive, send)
                return
        await self._apps[0](scope, receive, send)


@dataclass(frozen=True)
class ApiCall:
    """A call of the API that a page made."""

    page: str
    method: str
    path: str
    parameters: tuple[str, ...]
    status: int


@dataclass
class Visited:
    """The answer of a page and the calls it made."""

    response: httpx.Response
    calls: list[ApiCall]


@dataclass
class ConsoleUnderTest:
    """The running console."""

    service: Service
    app: FastAPI
    services: AllServices
    calls: list[ApiCall] = field(default_factory=list)
    _secrets: dict[CallerCase, str] = field(default_factory=dict)

    async def secret(self, who: CallerCase) -> str:
        """Return the secret of a session of this kind of person, as their browser has it."""
        if who not in self._secrets:
            tokens = Tokens(self.services.token(who), "none", 3600)
            sessions = self.service.part(Site).sessions
            self._secrets[who] = await sessions.start(UUID(self.services.subject(who)), tokens)
        return self._secrets[who]

    async def send(self, who: CallerCase | None, method: str, path: str, **options: Any) -> Visited:
        """Send a request from a page of the console, as this kind of person; nobody if None."""
        transport = httpx.ASGITransport(app=self.app, raise_app_exceptions=False)
        cookies = {} if who is None else {SESSION_COOKIE: await self.secret(who)}
        headers = SAME_ORIGIN | options.pop("headers", {})
        with capture_logs() as logs:
            async with httpx.AsyncClient(
                transport=transport, base_url="http://console", cookies=cookies
            ) as client:
                response = await client.request(method, path, headers=headers, **options)
        made = [
            ApiCall(entry["page"], entry["method"], entry["path"], tuple(entry["parameters"]), entry["status"])
            for entry in logs
            if entry["event"] == "api call"
        ]
        self.calls += made
        return Visited(response, made)

    def documented(self, call: ApiCall) -> dict[str, Any] | None:
        """Return the OpenAPI operation of a call; None if no document has it."""
        for app in self.services.apps.values():
            for template, operations in app.openapi()["paths"].items():
                pattern = re.sub(r"\\\{[^}]*\\\}", "[^/]+", re.escape(template))
                if re.fullmatch(pattern, f"/api/v1{call.path}") and call.method.lower() in operations:
                    operation: dict[str, Any] = operations[call.method.lower()]
                    return operation
        return None

    def filled(self, route: str) -> str:
        """Return the address of a route; parameters are sample data of the own organisation, by their names."""
        return route.format_map(self.services.samples["own"])


@asynccontextmanager
async def running_console(
    services: AllServices, database: TestDatabase, keys_dir: Path
) -> AsyncIterator[ConsoleUnderTest]:
    """Run the console on these services."""
    async with (
        served(_Dispatch(list(services.apps.values()))) as gateway,
        service_under_test(
            "console", database, keys_dir, encryption_keys=sample_data.KEY, gateway_url=gateway
        ) as running,
    ):
        app: FastAPI = running.client._transport.app  # type: ignore[attr-defined]
        yield ConsoleUnderTest(running.service, app, services)
