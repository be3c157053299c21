"""Run one service for tests: the real app in this process, on a real Postgres, called over ASGI.

async with service_under_test("appeals", database, keys_dir) as appeals:
    answer = await appeals.client.get("/api/v1/appeals", headers=appeals.headers("moderator"))
"""

import importlib
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any, cast
from unittest import mock
from uuid import UUID, uuid4

import httpx
from argon2 import PasswordHasher
from cryptography.fernet import Fernet
from fastapi import FastAPI
from starlette.datastructures import State

from shared.auth import tokens
from shared.service import Process, Service
from shared.settings import ServiceName, settings
from tests.conftest import SERVICES, TestDatabase

# The client must close idle connections before the server does: a call on a closed connection would be lost.
CLIENT_LIMITS = httpx.Limits(keepalive_expiry=2)
CENTRE_SUBJECT = str(UUID(int=1))
# The session id in the tokens of people; the session is never ended.
SESSION_ID = str(UUID(int=2))
_BY_SERVICE = "Service"
# Password hashing is slow on purpose; tests need its result, not its cost.
FAST_HASHER = PasswordHasher(time_cost=1, memory_cost=512, parallelism=1)


@dataclass(frozen=True)
class ServiceUnderTest:
    """The running app, a client of it, its keys and its database."""

    service: Service
    client: httpx.AsyncClient
    keys_dir: Path
    database: TestDatabase
    granted_access: dict[str, tuple[UUID, str, UUID | None, bool]] = field(default_factory=dict)

    def token(
        self,
        role: str,
        organisation_id: UUID | str | None = None,
        *,
        subject: str = CENTRE_SUBJECT,
        lifetime: timedelta = timedelta(minutes=5),
        include_subordinates: bool = False,
        scope: str | None = None,
    ) -> str:
        """Return a person's access token as the issuer would sign it.

        Before a request with this token changes data, `grant_access` stores the stated access in the database; in
        registry only for `CENTRE_SUBJECT`.
        """
        signer = tokens.Signer(tokens.PEOPLE_ISSUER, tokens.read_key(self.keys_dir / "people.jwk"))
        token = signer.sign(
            subject,
            tokens.PEOPLE_AUDIENCE,
            lifetime,
            name="Test",
            role=role,
            org=str(organisation_id) if organisation_id else None,
            include_subordinates=include_subordinates or None,
            scope=scope,
            sid=SESSION_ID,
        )
        if subject == CENTRE_SUBJECT or self.service.name != "registry":
            self.granted_access[token] = (
                UUID(subject),
                role,
                UUID(str(organisation_id)) if organisation_id else None,
                include_subordinates,
            )
        return token

    async def grant_access(self, request: httpx.Request) -> None:
        """Store the access that the request's token states: changes check it against the database."""
        access = self.granted_access.get(request.headers.get("Authorization", "").removeprefix("Bearer "))
        # Among reads, only exports and the event stream check the access in the database. Tests of the stream send
        # a POST first.
        reads = request.method == "GET" and not request.url.path.endswith((".csv", ".xlsx"))
        if reads or access is None:
            return
        # ON CONFLICT covers one unique index only: a concurrent insert could fail on another, hence the lock.
        connection = await self.database.connect("registry")
        try:
            async with connection.transaction():
                await connection.execute("SELECT pg_advisory_xact_lock(hashtext($1))", str(access[0]))
                await connection.execute(
                    """INSERT INTO people (id, username, full_name, password_hash, role, organisation_id,
                       include_subordinates, active, version, created_at, updated_at)
                       VALUES ($1::uuid, 'test-' || $1::uuid, 'Test', 'none', $2, $3, $4, true, 1, now(), now())
                       ON CONFLICT (id) DO UPDATE
                       SET role = $2, organisation_id = $3, include_subordinates = $4""",
                    *access,
                )
        finally:
            await connection.close()

    def headers(self, role: str, organisation_id: UUID | str | None = None, **more: str) -> dict[str, str]:
        """Return the request headers of a signed-in person."""
        return {"Authorization": f"Bearer {self.token(role, organisation_id)}", **more}

    def service_headers(self, caller: ServiceName, act: str = CENTRE_SUBJECT, **more: str) -> dict[str, str]:
        """Return headers with which another service calls `/internal` routes; `client` signs the token."""
        return {"Authorization": f"{_BY_SERVICE} {caller} {act}", **more}

    def service_token(self, caller: ServiceName, use: str, act: str = CENTRE_SUBJECT) -> str:
        """Return a token of the calling service for one route of this service."""
        signer = tokens.Signer(caller, tokens.read_key(self.keys_dir / f"{caller}.jwk"))
        return signer.sign(caller, self.service.name, tokens.SERVICE_TOKEN_LIFETIME, act=act, use=use)

    async def sign(self, request: httpx.Request) -> None:
        """Replace the header of `service_headers` by a token for the requested route, as `ServiceClient` does."""
        kind, _, rest = request.headers.get("Authorization", "").partition(" ")
        if kind != _BY_SERVICE:
            return
        caller, _, act = rest.partition(" ")
        token = self.service_token(
            cast(ServiceName, caller), tokens.route_claim(request.method, request.url.path), act
        )
        request.headers["Authorization"] = f"Bearer {token}"


def environment(name: str, database: TestDatabase, keys_dir: Path, **more: str) -> dict[str, str]:
    """Return the environment variables of a service process in tests."""
    return {
        "GOSPABLIK_ENVIRONMENT": "embedded",
        "GOSPABLIK_DATABASE_URL": database.url(name),
        "GOSPABLIK_KEYS_DIR": str(keys_dir),
        "GOSPABLIK_CURSOR_KEY": "cursor-key-of-the-tests",
        "GOSPABLIK_AUDIT_KEY": "audit-key-of-the-tests",
        "GOSPABLIK_PSEUDONYM_KEY": "pseudonym-key-of-the-tests",
        "GOSPABLIK_ENCRYPTION_KEYS": Fernet.generate_key().decode(),
        "GOSPABLIK_ATTACHMENTS_DIR": str(keys_dir / "attachments"),
        "GOSPABLIK_WEBHOOKS_ALLOWED_NETWORKS": "127.0.0.0/8",
        "GOSPABLIK_WEBHOOKS_PERSONAL_DATA_HOSTS": "127.0.0.1",
        "GOSPABLIK_WEBHOOKS_REQUIRE_VERIFICATION": "false",
        # Nothing listens on port 1: a run on the same machine must not respond instead of the tested services.
        **{f"GOSPABLIK_{service.upper()}_URL": "http://127.0.0.1:1" for service in SERVICES},
    } | {f"GOSPABLIK_{key.upper()}": value for key, value in more.items()}


def build_service(name: ServiceName) -> Service:
    """Return a new service, built as in its own process."""
    service: Service = importlib.import_module(f"services.{name}.app").build_service()
    return service


@cache
def _routes(name: ServiceName, process: Process) -> FastAPI:
    # Building the routes of an app costs more than most tests, so they are cached.
    return build_service(name).build(process)


def _app(service: Service, process: Process) -> FastAPI:
    app = _routes(service.name, process)
    app.state = State({"service": service})  # the cached app has the state of another test
    return app


@asynccontextmanager
async def service_under_test(
    name: ServiceName,
    database: TestDatabase,
    keys_dir: Path,
    *,
    process: Process = "api",
    **env: str,
) -> AsyncIterator[ServiceUnderTest]:
    """Run a service in this process; `env`: settings without their prefix."""
    with (
        mock.patch.dict(os.environ, environment(name, database, keys_dir, **env)),
        mock.patch("services.registry.authentication.passwords._hasher", FAST_HASHER),
    ):
        settings.cache_clear()
        for cached in _cached_settings(name):
            cached.cache_clear()
        service = build_service(name)
        former = _routes(name, process).state
        app = _app(service, process)
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://test", timeout=30) as client,
        ):
            running = ServiceUnderTest(service, client, keys_dir, database)
            client.event_hooks["request"] += [running.sign, running.grant_access]
            try:
                yield running
            finally:
                # The app is cached: give it back to a longer-running service, such as a package fixture's.
                app.state = former
    settings.cache_clear()
    for cached in _cached_settings(name):
        cached.cache_clear()


def _cached_settings(name: str) -> list[Any]:
    try:
        module = importlib.import_module(f"services.{name}.settings")
    except ModuleNotFoundError:
        return []
    return [value for value in vars(module).values() if hasattr(value, "cache_clear")]


async def insert_organisation(
    database: TestDatabase,
    *,
    name: str = "Школа № 1",
    municipality: str | None = None,
    kind: str = "institution",
    sphere: str | None = None,
    parent: UUID | None = None,
) -> UUID:
    """Insert an organisation as registry would; return its id."""
    connection = await database.connect("registry")
    try:
        organisation_id = uuid4()
        await connection.execute(
            """INSERT INTO organisations (id, name, sort_key, kind, sphere, municipality, parent_id, active,
               version, created_at, updated_at)
               VALUES ($1, $2, lower($2), $4, $5, $3, $6, true, 1, now(), now())""",
            organisation_id,
            name,
            municipality,
            kind,
            sphere,
            parent,
        )
        return organisation_id
    finally:
        await connection.close()


async def insert_page(
    database: TestDatabase,
    organisation_id: UUID,
    *,
    network: str = "vk",
    external_id: str = "101",
    go_live_at: str = "2020-01-01T00:00:00+00:00",
) -> UUID:
    """Insert a page as registry would; return its id."""
    connection = await database.connect("registry")
    try:
        page_id = uuid4()
        await connection.execute(
            """INSERT INTO pages (id, organisation_id, network, external_id, name, sort_key, url, go_live_at,
               active, version, created_at, updated_at)
               VALUES ($1, $2, $3, $4, 'Страница', 'страница', 'https://example.invalid/' || $4,
                       $5::text::timestamptz, true, 1, now(), now())""",
            page_id,
            organisation_id,
            network,
            external_id,
            go_live_at,
        )
        return page_id
    finally:
        await connection.close()
