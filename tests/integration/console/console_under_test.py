"""The console in this process, whose calls reach the services over HTTP by path, as through the gateway."""

import re
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
from fastapi import FastAPI
from starlette.routing import Match
from starlette.types import Receive, Scope, Send
from structlog.testing import capture_logs
from structlog.typing import EventDict

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
MODERATOR = CallerCase("moderator")


def _print_exception(_: Any, __: str, entry: EventDict) -> EventDict:
    """Print the exception of a log entry: `capture_logs` would hide it."""
    if entry.get("exc_info"):
        traceback.print_exc()
    return entry


class _Dispatch:
    """Passes each request to the service with a route for its path; without one, the first service gives a 404."""

    def __init__(self, apps: list[FastAPI]) -> None:
        self._apps = apps
        # A cache: matching every route of every service takes a tenth of the time of a page.
        self._by_path: dict[str, FastAPI] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        if path not in self._by_path:
            self._by_path[path] = self._find(scope)
        await self._by_path[path](scope, receive, send)

    def _find(self, scope: Scope) -> FastAPI:
        for app in self._apps:
            if any(route.matches(scope)[0] is not Match.NONE for route in app.routes):
                return app
        return self._apps[0]


@dataclass(frozen=True)
class ApiCall:
    """A call of the API that a page made; `parameters` are the names of its query parameters."""

    page: str
    method: str
    path: str
    parameters: tuple[str, ...]
    status: int


@dataclass(frozen=True)
class Operation:
    """An operation of the OpenAPI documents; its path is without `/api/v1`."""

    method: str
    path: str
    described: dict[str, Any]

    @property
    def right(self) -> str | None:
        """Return the required right; None if the operation requires none."""
        found: str | None = self.described.get("x-required-right")
        return found

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        return re.compile(re.sub(r"\\\{[^}]*\\\}", "[^/]+", re.escape(self.path)))

    def is_called_by(self, call: ApiCall) -> bool:
        """Return True if the call is one of this operation."""
        return call.method == self.method and self._pattern.fullmatch(call.path) is not None


@dataclass
class Visited:
    """The response of a page and the calls it made; `who` is None for a visitor who is not signed in."""

    who: CallerCase | None
    response: httpx.Response
    calls: list[ApiCall]


@dataclass
class ConsoleUnderTest:
    """The running console."""

    service: Service
    app: FastAPI
    services: AllServices
    visits: list[Visited] = field(default_factory=list)
    _secrets: dict[CallerCase, str] = field(default_factory=dict)
    _found: dict[tuple[str, str], Operation | None] = field(default_factory=dict)
    _opened: dict[str, Visited] = field(default_factory=dict)

    @property
    def calls(self) -> list[ApiCall]:
        """Return the calls that all pages have made so far."""
        return [call for visited in self.visits for call in visited.calls]

    async def secret(self, who: CallerCase) -> str:
        """Return the session secret in the cookie of this kind of person; start a session at the first call."""
        if who not in self._secrets:
            tokens = Tokens(self.services.token(who), "none", 3600)
            sessions = self.service.part(Site).sessions
            self._secrets[who] = await sessions.start(UUID(self.services.subject(who)), tokens)
        return self._secrets[who]

    async def send(self, who: CallerCase | None, method: str, path: str, **options: Any) -> Visited:
        """Send a request as this kind of person (None: not signed in), as from a page of the console."""
        transport = httpx.ASGITransport(app=self.app, raise_app_exceptions=False)
        cookies = {} if who is None else {SESSION_COOKIE: await self.secret(who)}
        headers = SAME_ORIGIN | options.pop("headers", {})
        with capture_logs([_print_exception]) as logs:
            async with httpx.AsyncClient(
                transport=transport, base_url="http://console", cookies=cookies
            ) as client:
                response = await client.request(method, path, headers=headers, **options)
        made = [
            ApiCall(entry["page"], entry["method"], entry["path"], tuple(entry["parameters"]), entry["status"])
            for entry in logs
            if entry["event"] == "api call"
        ]
        visited = Visited(who, response, made)
        self.visits.append(visited)
        return visited

    async def opened(self, route: str) -> Visited:
        """Return the moderator's visit of a route; it is made once, for all tests that check every page."""
        if route not in self._opened:
            self._opened[route] = await self.send(MODERATOR, "GET", self.filled(route))
        return self._opened[route]

    @cached_property
    def operations(self) -> list[Operation]:
        """Return all operations of the API, sorted by the number of parameters in their path."""
        found = [
            Operation(method.upper(), template.removeprefix("/api/v1"), operation)
            for app in self.services.apps.values()
            for template, operations in app.openapi()["paths"].items()
            for method, operation in operations.items()
        ]
        return sorted(found, key=lambda operation: operation.path.count("{"))

    def operation(self, call: ApiCall) -> Operation | None:
        """Return the operation of a call; None if no OpenAPI document has one."""
        key = (call.method, call.path)
        if key not in self._found:
            self._found[key] = next((one for one in self.operations if one.is_called_by(call)), None)
        return self._found[key]

    def documented(self, call: ApiCall) -> dict[str, Any] | None:
        """Return the OpenAPI description of a call's operation; None if there is none."""
        found = self.operation(call)
        return None if found is None else found.described

    def filled(self, route: str) -> str:
        """Return the address of a route, with parameters replaced by sample data of the caller's organisation."""
        return route.format_map(self.services.samples["own"])


@asynccontextmanager
async def running_console(
    services: AllServices, database: TestDatabase, keys_dir: Path
) -> AsyncIterator[ConsoleUnderTest]:
    """Run the console on these services."""
    async with (
        served(_Dispatch(list(services.apps.values()))) as gateway,
        # A long timeout: the first call of each service loads modules, which is slow on a busy machine.
        service_under_test(
            "console",
            database,
            keys_dir,
            encryption_keys=sample_data.KEY,
            gateway_url=gateway,
            api_timeout_seconds="60",
        ) as running,
    ):
        app: FastAPI = running.client._transport.app  # type: ignore[attr-defined]
        yield ConsoleUnderTest(running.service, app, services)
