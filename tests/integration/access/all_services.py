"""All services on one database, where every change is rolled back: each call finds the same data."""

import json
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from uuid import uuid5

import httpx
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from services.appeals.attachments.file_storage import FolderStorage
from shared.database.sessions import Database, WriteSession
from shared.settings import ServiceName
from tests.conftest import TestDatabase
from tests.integration.access import documented_rights, sample_data
from tests.integration.access.route_table import RouteCall
from tests.integration.access.sample_data import NAMESPACE, SampleData, Things
from tests.support.service_under_test import ServiceUnderTest, service_under_test

SERVICES: tuple[ServiceName, ...] = ("registry", "ingest", "appeals", "metrics", "webhooks")
# Routes of Open311 have its errors and statuses: 403 for a missing or invalid token, 400 for invalid parameters.
OPEN311 = re.compile(r" /open311/")
# These are not reachable from outside: the gateway serves one OpenAPI document for all services.
INTERNAL = re.compile(r" /(internal|health|metrics|openapi\.json)")


class _DiscardedChanges(Database):
    """Makes every change, lets the database check it, and rolls it back."""

    @asynccontextmanager
    async def write(self) -> AsyncIterator[WriteSession]:
        async with self._writers() as session:
            try:
                yield session
                await session.flush()
            finally:
                await session.rollback()


@dataclass(frozen=True)
class CallerCase:
    """A kind of caller: a role, with or without subordinate organisations."""

    role: str
    include_subordinates: bool = False

    @property
    def is_of_centre(self) -> bool:
        """Return whether the role belongs to the centre: it is bound to no organisation."""
        return self.role in documented_rights.centre()

    def __str__(self) -> str:
        return f"{self.role} with subordinates" if self.include_subordinates else self.role


EVERYBODY = tuple(
    CallerCase(role, include_subordinates)
    for role in documented_rights.roles()
    for include_subordinates in ((False,) if role in documented_rights.centre() else (False, True))
)


@dataclass(frozen=True)
class RouteRequest:
    """A request without the token of its caller."""

    method: str
    path: str
    query: dict[str, Any]
    headers: dict[str, str]
    body: Any
    content: bytes | None

    def names(self, value: str) -> bool:
        """Return whether the path, query or body of the request contains the value."""
        return value in self.path or value in json.dumps([self.query, self.body])


@dataclass
class AllServices:
    """The running services and their sample data."""

    services: dict[ServiceName, ServiceUnderTest]
    apps: dict[ServiceName, FastAPI]
    samples: SampleData
    _tokens: dict[tuple[CallerCase, timedelta, str | None], str] = field(default_factory=dict)

    def subject(self, who: CallerCase) -> str:
        """Return the id of this kind of caller; each kind is a separate person."""
        return str(uuid5(NAMESPACE, str(who)))

    def token(self, who: CallerCase, *, lifetime: timedelta = timedelta(hours=1), scope: str | None = None) -> str:
        """Return an access token of this kind of caller, bound to their own organisation."""
        if (kept := self._tokens.get((who, lifetime, scope))) is not None:
            return kept
        place = None if who.is_of_centre else self.samples["own"]["organisation_id"]
        registry = self.services["registry"]
        made = self._tokens[who, lifetime, scope] = registry.token(
            who.role,
            place,
            subject=self.subject(who),
            lifetime=lifetime,
            include_subordinates=who.include_subordinates,
            scope=scope,
        )
        return made

    def route_request(self, route: str, call: RouteCall, sample_ids: Things) -> RouteRequest:
        """Return the request to this route for the sample rows of one organisation."""
        method, path = route.split()
        filled = path.format_map(_Named(sample_ids, call.names))
        made = call.body(sample_ids) if call.body else None
        headers, content = dict(call.headers), call.content
        if call.form is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            content = urlencode(call.form(sample_ids)).encode()
        return RouteRequest(method, filled, dict(call.query), headers, made, content)

    async def send(self, route: str, asked: RouteRequest, token: str | None, **query: Any) -> httpx.Response:
        """Call a route with this token; a change accepts any current version (`If-Match: *`)."""
        headers = asked.headers | ({"If-Match": "*"} if asked.method != "GET" else {})
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        return await self.services[self.routes[route]].client.request(
            asked.method,
            asked.path,
            params=asked.query | query,
            headers=headers,
            json=asked.body,
            content=asked.content,
        )

    @cached_property
    def routes(self) -> dict[str, ServiceName]:
        """Return every route that is reachable from outside, with its service, even if hidden from OpenAPI."""
        return {route: name for route, name in self._all() if not INTERNAL.search(route)}

    @cached_property
    def internal(self) -> dict[str, ServiceName]:
        """Return every route that only services may call, with its service."""
        return {route: name for route, name in self._all() if " /internal" in route}

    def _all(self) -> Iterator[tuple[str, ServiceName]]:
        for name, app in self.apps.items():
            for route in iter_route_contexts(app.routes):
                for method in (route.methods or set()) - {"HEAD"}:
                    yield f"{method} {route.path}", name

    def is_documented(self, route: str) -> bool:
        """Return whether the OpenAPI document contains the route."""
        method, path = route.split()
        return method.lower() in self.apps[self.routes[route]].openapi()["paths"].get(path, {})

    def operation(self, route: str) -> dict[str, Any]:
        """Return the OpenAPI operation of a route."""
        method, path = route.split()
        app = self.apps[self.routes[route]]
        found: dict[str, Any] = app.openapi()["paths"][path][method.lower()]
        return found

    def content(self, route: str) -> dict[str, Any]:
        """Return the media types of a 200 response."""
        found: dict[str, Any] = self.operation(route)["responses"].get("200", {}).get("content", {})
        return found

    def is_list(self, route: str) -> bool:
        """Return whether a successful response is an array or an object with `items`."""
        schemas = [media.get("schema", {}) for media in self.content(route).values()]
        while schemas:
            schema = schemas.pop()
            if schema.get("type") == "array" or "items" in schema.get("properties", {}):
                return True
            schemas += [part for key in ("anyOf", "oneOf", "allOf") for part in schema.get(key, [])]
            if "$ref" in schema:
                schemas.append(self.schema(schema["$ref"], route))
        return False

    def schema(self, reference: str, route: str) -> dict[str, Any]:
        """Return a schema of the OpenAPI document that contains the route."""
        app = self.apps[self.routes[route]]
        found: dict[str, Any] = app.openapi()["components"]["schemas"][reference.rsplit("/", 1)[1]]
        return found


class _Named(dict[str, str]):
    def __init__(self, sample_ids: Things, names: Mapping[str, str]) -> None:
        super().__init__()
        self.sample_ids, self.names = sample_ids, names

    def __missing__(self, parameter: str) -> str:
        name = self.names.get(parameter, parameter)
        if name not in self.sample_ids:
            raise AssertionError(f"sample_data.py has no «{name}»: add it, or name another row in *_routes.py")
        return str(self.sample_ids[name])


async def _register_everybody(database: TestDatabase, made: SampleData) -> None:
    """Register all callers with the access in their tokens: some routes look up the caller's current access."""
    connection = await database.connect("registry")
    try:
        for who in EVERYBODY:
            await connection.execute(
                """INSERT INTO people (id, username, full_name, role, organisation_id, include_subordinates,
                   active, version, created_at, updated_at)
                   VALUES ($1, $2, $2, $3, $4, $5, true, 1, now(), now())""",
                uuid5(NAMESPACE, str(who)),
                f"caller {who}",
                who.role,
                None if who.is_of_centre else made["own"]["organisation_id"],
                who.include_subordinates,
            )
    finally:
        await connection.close()


@asynccontextmanager
async def running_services(database: TestDatabase, keys_dir: Path) -> AsyncIterator[AllServices]:
    """Insert the sample data and run all services on it, without their workers."""
    made = await sample_data.build(database)
    await _register_everybody(database, made)
    photos = FolderStorage(keys_dir / "attachments")
    await photos.prepare()
    for things in made.values():
        await photos.write(things["attachment_id"], sample_data.PHOTO)
    async with AsyncExitStack() as exits:
        services: dict[ServiceName, ServiceUnderTest] = {}
        for name in SERVICES:
            running = await exits.enter_async_context(
                service_under_test(
                    name,
                    database,
                    keys_dir,
                    encryption_keys=sample_data.KEY,
                    stream_per_process="0",
                    notices_pages=sample_data.NOTICES_PAGES,
                )
            )
            # The settings of this service are still active here, so its role connects.
            url = running.service.settings.database_url.get_secret_value()
            await running.service.database.close()  # ingest has used it at its start
            running.service._database = _DiscardedChanges(url, 2, name=name)
            services[name] = running
        apps = {name: running.client._transport.app for name, running in services.items()}  # type: ignore[attr-defined]
        yield AllServices(services, apps, made)
