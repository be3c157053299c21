"""A service: one FastAPI app and its workers, built by `build_service()` in `services/<name>/app.py`.

In the embedded run API and worker share a process and event loop; Compose runs them separately (`--process
api|worker`).
"""

import asyncio
import importlib
import math
import os
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Annotated, Any, Literal, Protocol, TypeVar
from uuid import UUID

import aiohttp
import uvicorn
from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, Counter, Gauge, generate_latest
from starlette.types import ASGIApp

from shared import gc_tuning, identity, logs, personal_data_reads
from shared.api import idempotency, openapi_document
from shared.api.query_parameters import refuse_repeated_parameters
from shared.audit import recorder
from shared.auth import oidc, token_recheck, tokens
from shared.auth.callers import CallerDep
from shared.database.outages import is_outage
from shared.database.purge import RetentionSettings
from shared.database.sessions import POOL_SIZES, Database, ReadSession, WriteSession
from shared.events.consumer import Consumer
from shared.events.listen_notify import NotificationListener
from shared.events.relay import relay
from shared.http import problems
from shared.http.body_limit import BodyLimit
from shared.http.client_tls import client_tls
from shared.http.conditional_reads import ConditionalReads
from shared.http.idle_server import IdleServer
from shared.http.request_log import API_HEADERS, Observe
from shared.http.server_protocol import HttpProtocol
from shared.jobs import Jobs, StuckJobs
from shared.large_bodies import LargeBodies
from shared.renamed_settings import refuse_renamed_variables
from shared.service_client import ServiceClient
from shared.settings import ServiceName, Settings, settings
from shared.supervision import Backoff, run_forever
from shared.tables.base import IdempotencyMixin

Process = Literal["all", "api", "worker"]
WorkerFunction = Callable[["Service"], Awaitable[None]]

WORKER_FAILURES = Counter("gospablik_worker_failures_total", "Times a worker loop raised", ["service", "worker"])
DEAD_LETTER_JOBS = Gauge(
    "gospablik_dead_letter_jobs", "Jobs that failed for good and wait for a person", ["service"]
)
OVERDUE_JOBS = Gauge(
    "gospablik_overdue_jobs", "Jobs that have been due for ten minutes and were not begun", ["service"]
)
LONG_RUNNING_JOBS = Gauge("gospablik_long_running_jobs", "Jobs that have been running for an hour", ["service"])
# Less than the time that the gateway waits for a service's readiness.
DEPENDENCY_TIMEOUT_SECONDS = 2.0
RESTART_BACKOFF = Backoff(0.5, 15.0)

WORKER_UP = Gauge("gospablik_worker_up", "1 while a worker loop is healthy", ["service", "worker"])


class ApiPart(Protocol):
    """A component that runs in each process that serves the API, alongside the requests."""

    name: str

    async def run(self, service: "Service") -> None:
        """Run until cancelled."""
        ...

    def stop(self) -> None:
        """End long responses on shutdown; called before the server waits for open responses."""
        ...


P = TypeVar("P", bound=ApiPart)


@dataclass(frozen=True)
class Routes:
    """What the API of a service serves.

    `routers` and `public` are mounted under /api/v1, `root` at the root. `large_bodies` maps paths for files of
    signed-in callers to body limits in bytes; nobody else may send more than the common limit there. `body_limits`
    are those of other single paths. `install` adds the service's own handlers and middleware to the finished app.
    """

    routers: Sequence[APIRouter] = ()
    public: Sequence[APIRouter] = ()
    root: Sequence[APIRouter] = ()
    large_bodies: Mapping[str, int] = field(default_factory=dict)
    body_limits: Mapping[str, int] = field(default_factory=dict)
    install: Callable[[FastAPI], None] | None = None


class Service:
    """The parts of a service. Domain code gets them as arguments, never from a global."""

    def __init__(
        self,
        name: ServiceName,
        title: str,
        *,
        routes: Callable[[], Routes],
        jobs: Jobs | None = None,
        consumers: Sequence[Consumer] = (),
        workers: dict[str, WorkerFunction] | None = None,
        api_parts: Sequence[ApiPart] = (),
        with_relay: bool = True,
        body_limit: int | None = None,
        before_bodies: Callable[[ASGIApp], ASGIApp] | None = None,
        find_person: Callable[["Service"], identity.FindPerson] | None = None,
        answers: type[IdempotencyMixin] | None = None,
        before: WorkerFunction | None = None,
        before_api: WorkerFunction | None = None,
        dependencies: Mapping[str, WorkerFunction] | None = None,
    ) -> None:
        """Store the parts of the service and register the jobs for dead-lettered events.

        `routes` is called only where the API is served, and imports the modules with the routes, so that a
        worker does not load them: 5 to 15 MB. `workers` run until cancelled.

        `api_parts` run wherever the API is served; routes get a part by `part`. `body_limit` is the limit of
        bodies on paths without a separate limit, if it is smaller than the setting. `before_bodies` is
        middleware that sees requests before their bodies are read. `find_person` finds people of an external
        issuer, by default by calling registry. `answers` is the table of stored responses to requests with an
        idempotency key. `before` runs at the start of each process, `before_api` only where the API is served; an
        exception in them prevents the start. `dependencies` are checked by `/health/ready`; an unavailable one is
        only a warning, since most of the service works without it.
        """
        self.name = name
        self.title = title
        self._load_routes = routes
        self.jobs = jobs
        self.consumers = consumers
        self.workers = workers or {}
        self._api_parts = {type(part): part for part in api_parts}
        self._with_relay = with_relay
        self._find_person = find_person
        self.answers = answers
        self._before = before
        self._before_api = before_api
        self._dependencies = dependencies or {}
        self._body_limit = body_limit
        self._before_bodies = before_bodies
        self.wakeups = NotificationListener(polls_outbox=with_relay)
        self.worker_errors: dict[str, str] = {}
        self._database: Database | None = None
        self._http_clients: list[aiohttp.ClientSession] = []
        for consumer in consumers:
            self._register_dead_letter_job(consumer)

    def _register_dead_letter_job(self, consumer: Consumer) -> None:
        """Register the job that handles the consumer's dead-lettered events."""
        if consumer.jobs is None:
            return

        async def handle(payload: dict[str, Any]) -> None:
            await consumer.handle_dead_letter(self.database, UUID(payload["event_id"]))

        consumer.jobs.handlers[consumer.dead_letter_job] = handle

    @property
    def settings(self) -> Settings:
        """Return the settings of the process."""
        return settings()

    @property
    def database(self) -> Database:
        """Return the connection pool with the service's role."""
        if self._database is None:
            url = self.settings.database_url.get_secret_value()
            limit = self.settings.statement_timeout_seconds
            self._database = Database(url, POOL_SIZES[self.name], name=self.name, read_timeout_seconds=limit)
        return self._database

    @cached_property
    def http(self) -> aiohttp.ClientSession:
        """Return the HTTP client of the process; callers set a timeout for each call."""
        return self.new_http()

    def new_http(self) -> aiohttp.ClientSession:
        """Return a separate HTTP client, which is closed with the service."""
        # Shorter than the five seconds of uvicorn, which could close a connection just when it is reused.
        connector = aiohttp.TCPConnector(
            keepalive_timeout=4, ssl=client_tls(), resolver=aiohttp.ThreadedResolver()
        )
        timeout = aiohttp.ClientTimeout(total=30)
        self._http_clients.append(aiohttp.ClientSession(connector=connector, timeout=timeout))
        return self._http_clients[-1]

    @cached_property
    def people_keys(self) -> tokens.PublicKeys:
        """Return the public keys of the issuer of people's tokens."""
        return tokens.PublicKeys(self.settings.keys_dir / "people.jwks")

    @cached_property
    def identities(self) -> identity.TokenReader:
        """Return the reader of access tokens of people and API clients."""
        config = self.settings
        keys = oidc.IssuerKeys(config.oidc_issuer or "", lambda: self.http, only_https=not config.embedded)
        find = self._find_person(self) if self._find_person else identity.find_person_via_registry(self)
        return identity.TokenReader(
            self.people_keys, identity.external_issuer(config, keys), identity.PersonCache(find)
        )

    @cached_property
    def service_keys(self) -> tokens.PublicKeys:
        """Return the public keys of all services."""
        return tokens.PublicKeys(self.settings.keys_dir / "services.jwks")

    @cached_property
    def signer(self) -> tokens.Signer:
        """Return the signer of this service's tokens."""
        return tokens.Signer(self.name, tokens.read_key(self.settings.keys_dir / f"{self.name}.jwk"))

    @cached_property
    def routes(self) -> Routes:
        """Return what the API serves."""
        return self._load_routes()

    def client(self) -> ServiceClient:
        """Return a client that calls other services with this service's tokens."""
        return ServiceClient(self.name, self.signer, self.settings, self.http)

    def part(self, kind: type[P]) -> P:
        """Return the API part of this type."""
        found = self._api_parts[kind]
        assert isinstance(found, kind)
        return found

    def stop_api_parts(self) -> None:
        """End the long responses of all API parts."""
        for part in self._api_parts.values():
            part.stop()

    def report_worker(self, worker: str, error: str | None) -> None:
        """Store the error of a worker, None if it is healthy, for `/health/ready` and `/metrics`."""
        if error is None:
            self.worker_errors.pop(worker, None)
        else:
            self.worker_errors[worker] = logs.redact(error)
            WORKER_FAILURES.labels(self.name, worker).inc()
        WORKER_UP.labels(self.name, worker).set(1 if error is None else 0)

    def build(self, process: Process = "all") -> FastAPI:
        """Return the ASGI app. `process` says whether it serves the API, runs the workers, or both.

        The app runs the service that is in `app.state.service`, initially this one.
        """

        @asynccontextmanager
        async def lifespan(app: FastAPI) -> AsyncIterator[None]:
            service: Service = app.state.service
            async with service.running(process):
                yield

        app = FastAPI(
            title=self.title,
            version="1",
            lifespan=lifespan,
            docs_url=None,
            redoc_url=None,
            openapi_url=None,
            responses=problems.responses(problems.Problem),
            dependencies=[Depends(refuse_repeated_parameters)],
            generate_unique_id_function=lambda route: route.name,
        )
        app.state.service = self
        openapi_document.install(app)
        openapi_document.serve(app)
        routes = self.routes if process != "worker" else Routes()
        limit, large = self._default_body_limit, routes.large_bodies
        app.add_middleware(BodyLimit, limit=limit, others={**large, **routes.body_limits})
        app.add_middleware(LargeBodies, limit=limit, large=large)
        problems.install(app)  # after these two: it also responds to their errors
        if self._before_bodies is not None:
            app.add_middleware(self._before_bodies)
        app.add_middleware(ConditionalReads)
        app.add_middleware(Observe, service=self.name, defaults=API_HEADERS)
        app.include_router(_health_routes())
        for router in (*routes.routers, *routes.public):
            app.include_router(router, prefix="/api/v1")
        for router in routes.root:
            app.include_router(router)
        if routes.install is not None:
            routes.install(app)
        return app

    def _default_body_limit(self) -> int:
        largest = settings().max_body_bytes
        return largest if self._body_limit is None else min(largest, self._body_limit)

    @asynccontextmanager
    async def running(self, process: Process) -> AsyncIterator[None]:
        """Run the workers of a process, if it has any, until the block ends; then close all connections."""
        await self._begin(process)
        tasks = [asyncio.create_task(self._forever(n, w)) for n, w in self._work(process).items()]
        try:
            yield
        finally:
            self.stop_api_parts()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for client in self._http_clients:
                await client.close()
            if self._database is not None:
                await self._database.close()

    async def _begin(self, process: Process) -> None:
        try:
            refuse_renamed_variables(os.environ)
            RetentionSettings()  # fail at the start if a retention period is too short
            if self._before is not None:
                await self._before(self)
            if self._before_api is not None and process != "worker":
                await self._before_api(self)
        except Exception as error:
            # Log the reason in one line, above the server's traceback.
            logs.get_logger(__name__).error("startup failed", reason=str(error))
            raise

    def _work(self, process: Process) -> dict[str, WorkerFunction]:
        parts = self._api_parts.values() if process != "worker" else ()
        work: dict[str, WorkerFunction] = {part.name: part.run for part in parts}
        if process != "api" or parts:
            work["listen"] = lambda s: s.wakeups.run(s.settings.direct_url, partial(s.report_worker, "listen"))
        if process == "api":
            return work
        if self._with_relay:
            work["relay"] = lambda s: relay(s.database, s.wakeups)
        if (jobs := self.jobs) is not None:
            work["jobs"] = lambda s: jobs.run(s.settings.direct_url, s.database, partial(s.report_worker, "jobs"))
        if (answers := self.answers) is not None:
            work["purge-idempotency-keys"] = lambda s: idempotency.purge_periodically(s.database, answers)
        for consumer in self.consumers:
            work[consumer.name] = lambda s, c=consumer: c.run(s.database, s.wakeups, s.report_worker)  # type: ignore[misc]
        return work | self.workers

    async def _forever(self, name: str, work: WorkerFunction) -> None:
        log = logs.get_logger(name)

        def failed(error: Exception, delay: float) -> None:
            log.error("worker failed", worker=name, retry_in_seconds=delay, exc_info=error)
            self.report_worker(name, repr(error))

        self.report_worker(name, None)
        await run_forever(
            lambda: work(self),
            RESTART_BACKOFF,
            on_failure=failed,
            on_restart=lambda: self.report_worker(name, None),
            is_outage=is_outage,
        )

    async def failing_dependencies(self) -> dict[str, str]:
        """Return the errors of the dependencies that are unavailable now, by name."""
        names = list(self._dependencies)
        errors = await asyncio.gather(*(self._check_dependency(name) for name in names))
        return {name: error for name, error in zip(names, errors, strict=True) if error is not None}

    async def _check_dependency(self, name: str) -> str | None:
        try:
            async with asyncio.timeout(DEPENDENCY_TIMEOUT_SECONDS):
                await self._dependencies[name](self)
        except Exception as error:
            if not is_outage(error):
                raise
            return logs.redact(str(error)) or f"no answer within {DEPENDENCY_TIMEOUT_SECONDS:g} s"
        return None

    async def count_stuck_jobs(self, jobs: Jobs) -> StuckJobs:
        """Return how many jobs make no progress; NaN while the database is unavailable."""
        # `/metrics` must not fail: the other metrics are especially needed during an outage.
        try:
            async with asyncio.timeout(3), self.database.read() as session:
                return await jobs.count_stuck(session)
        except Exception as error:
            if not is_outage(error):
                raise
            logs.get_logger(__name__).warning("job count failed", error=repr(error)[:300])
            return StuckJobs(math.nan, math.nan, math.nan)


def get_service(request: Request) -> Service:
    """Return the service that handles this request."""
    service: Service = request.app.state.service
    return service


async def _service(request: Request) -> Service:
    return get_service(request)


def _health_routes() -> APIRouter:
    router = APIRouter(tags=["health"], include_in_schema=False)

    @router.get("/health/live")
    async def live() -> dict[str, str]:
        return {"status": "pass"}

    @router.get("/health/ready")
    async def ready(request: Request) -> JSONResponse:
        service = get_service(request)
        checks = {f"worker:{name}": error for name, error in service.worker_errors.items()}
        # Concurrently, because the gateway waits for little longer than the slower check takes.
        database_error, warnings = await asyncio.gather(_ping(service), service.failing_dependencies())
        if database_error is not None:
            checks["database"] = database_error
        if service.jobs is not None:
            warnings |= {f"schedule:{name}": error for name, error in service.jobs.failing_schedules.items()}
        status = "fail" if checks else "warn" if warnings else "pass"
        return JSONResponse({"status": status, "checks": checks | warnings}, status_code=503 if checks else 200)

    @router.get("/metrics")
    async def metrics(request: Request) -> Response:
        service = get_service(request)
        if service.jobs is not None:
            stuck = await service.count_stuck_jobs(service.jobs)
            DEAD_LETTER_JOBS.labels(service.name).set(stuck.dead_letters)
            OVERDUE_JOBS.labels(service.name).set(stuck.overdue)
            LONG_RUNNING_JOBS.labels(service.name).set(stuck.long_running)
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return router


async def _ping(service: Service) -> str | None:
    """Return why the database cannot be reached; None if it can."""
    try:
        async with asyncio.timeout(2):
            await service.database.ping()
    except Exception as error:  # noqa: BLE001 — any error means that the database cannot be reached
        return repr(error)
    return None


async def _read_transaction(request: Request) -> AsyncIterator[ReadSession]:
    database = get_service(request).database
    async with database.read() as session:
        yield session
        noted = personal_data_reads.noted_reads(session)
    await personal_data_reads.record_reads(database, recorder.request_audit_context(request), noted)


async def _unchecked_write_transaction(request: Request) -> AsyncIterator[WriteSession]:
    async with get_service(request).database.write() as session:
        recorder.set_context(session, recorder.request_audit_context(request))
        yield session


async def _write_transaction(request: Request, caller: CallerDep) -> AsyncIterator[WriteSession]:
    async with get_service(request).database.write() as session:
        context = recorder.request_audit_context(request)
        recorder.set_context(session, context)
        token_recheck.recheck_on_first_statement(session, caller)
        yield session
        await personal_data_reads.insert_reads(session, context, personal_data_reads.noted_reads(session))


# scope="function": the transaction is committed before the response is sent.
ReadTransaction = Annotated[ReadSession, Depends(_read_transaction, scope="function")]
# A token may be 15 minutes old: a write transaction checks whether the caller still has access.
WriteTransaction = Annotated[WriteSession, Depends(_write_transaction, scope="function")]
# For routes without a caller's access token, such as sign-in, links in letters, and `/internal`.
UncheckedWriteTransaction = Annotated[WriteSession, Depends(_unchecked_write_transaction, scope="function")]
ServiceDep = Annotated[Service, Depends(_service)]


async def _once_per_key(
    request: Request,
    response: Response,
    session: WriteTransaction,
    caller: CallerDep,
    key: idempotency.IdempotencyDep,
) -> idempotency.OncePerKey:
    service = get_service(request)
    if service.answers is None:
        raise RuntimeError(f"the service «{service.name}» stores no responses to requests with an idempotency key")
    status = request.scope["route"].status_code or 200
    return idempotency.OncePerKey(session, service.answers, caller.subject, key, response, status)


Once = Annotated[idempotency.OncePerKey, Depends(_once_per_key)]


class _Server(IdleServer):
    """A server that ends streams before it waits for open responses."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Shut down as uvicorn does."""
        self._service.stop_api_parts()
        await super().shutdown(sockets)


def serve(name: str, process: Process = "all") -> None:
    """Build a service with `services.<name>.app.build_service` and serve it until a signal stops it."""
    logs.configure(name, settings().log_level)
    service: Service = importlib.import_module(f"services.{name}.app").build_service()
    app = service.build(process)
    gc_tuning.freeze_startup_objects()
    config = uvicorn.Config(
        app,
        host=settings().host,
        port=settings().port,
        loop="uvloop",
        http=HttpProtocol,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=5,
        server_header=False,
        proxy_headers=False,  # not by uvicorn: `shared.http.client_address` decides which proxies are trusted
    )
    server = _Server(config, service)
    with suppress(KeyboardInterrupt):
        server.run()
    if not server.started:
        sys.exit("the server did not start")
