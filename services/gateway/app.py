"""The gateway service: health of all services, the merged OpenAPI document and its page, and error pages."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import aiohttp
from fastapi import FastAPI, Header, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from services.gateway.aggregation import health
from services.gateway.aggregation.openapi_cache import OpenApiCache
from services.gateway.api import docs_page
from services.gateway.api.error_pages import STATUSES, error_page, error_page_for_people
from services.gateway.settings import GatewaySettings
from shared.api import openapi_document
from shared.http import problems
from shared.http.request_log import NOSNIFF, Observe
from shared.renamed_settings import refuse_renamed_variables

_DESCRIPTION = """
Feedback from citizens in official pages, the appeals it opens, and the answers to them.

Sign in with `POST /api/v1/auth/token` and send the token as `Authorization: Bearer …`. Times are RFC 3339 with
offset; errors are `application/problem+json` (RFC 9457) and listed at `/problems`; lists are paged by `cursor`.
"""


_NOT_FOUND = problems.catalogue()[problems.NotFound.slug]


class ProblemKind(BaseModel):
    """A kind of error."""

    status: int = Field(description="The HTTP status", examples=[_NOT_FOUND["status"]])
    title: str = Field(examples=[_NOT_FOUND["title"]])
    description: str = Field(examples=[_NOT_FOUND["description"]])


class HealthResponse(JSONResponse):
    """A response with a health document (`application/health+json`)."""

    media_type = health.MEDIA_TYPE


def create_app(settings: GatewaySettings) -> FastAPI:
    """Return the gateway service as an ASGI application."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        refuse_renamed_variables(os.environ)
        # Shorter than uvicorn's keep-alive of five seconds, so that no closed connection is reused.
        connector = aiohttp.TCPConnector(keepalive_timeout=4, resolver=aiohttp.ThreadedResolver())
        async with aiohttp.ClientSession(connector=connector) as http:
            app.state.health = health.HealthCache(
                http,
                settings.process_urls(),
                timeout_seconds=settings.health_timeout_seconds,
                fresh_seconds=settings.health_cache_seconds,
            )
            app.state.documents = OpenApiCache(http, settings.api_urls(), settings.openapi_cache_seconds)
            yield

    gateway = FastAPI(
        title="Gospablik API",
        version="1",
        description=_DESCRIPTION.strip(),
        lifespan=lifespan,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        generate_unique_id_function=lambda route: route.name,
    )
    problems.install(gateway)
    openapi_document.install(gateway)
    gateway.add_middleware(Observe, service="gateway", defaults=NOSNIFF)
    gateway.include_router(docs_page.router)

    @gateway.get(
        "/health",
        tags=["health"],
        summary="Readiness of all services",
        response_class=HealthResponse,
        responses={
            200: {"content": {health.MEDIA_TYPE: {"example": {"status": "pass", "checks": {}}}}},
            503: {"description": "A service is not ready; `output` names it", "content": {health.MEDIA_TYPE: {}}},
        },
    )
    async def get_health(request: Request) -> HealthResponse:
        """Return whether every service and every worker is ready. A result is reused for up to a second."""
        document = await request.app.state.health.document()
        return HealthResponse(
            document,
            status_code=503 if document["status"] == "fail" else 200,
            headers={"Cache-Control": "no-store"},
        )

    @gateway.get("/openapi.json", include_in_schema=False)
    async def document(
        request: Request, if_none_match: Annotated[str | None, Header(include_in_schema=False)] = None
    ) -> Response:
        """Return the merged OpenAPI document of all services."""
        published = await request.app.state.documents.merged_document(gateway.openapi())
        headers = {"ETag": published.etag, "Cache-Control": "no-cache"}
        if if_none_match and published.etag in if_none_match:
            return Response(status_code=304, headers=headers)
        return Response(published.body, media_type="application/json", headers=headers)

    @gateway.get(
        "/problems",
        tags=["errors"],
        summary="All kinds of errors",
        responses={200: {"content": {"application/json": {"example": {"not-found": _NOT_FOUND}}}}},
    )
    async def list_problems() -> dict[str, ProblemKind]:
        """Return every kind of error by the last part of its `type`."""
        return {slug: ProblemKind(**kind) for slug, kind in problems.catalogue().items()}

    @gateway.get(
        "/problems/{slug}",
        tags=["errors"],
        summary="One kind of error",
        responses=problems.responses(problems.NotFound),
    )
    async def get_problem(slug: str) -> ProblemKind:
        """Return one kind of error; the `type` of a problem document links here."""
        known = problems.catalogue()
        if slug not in known:
            raise problems.NotFound(f"Unknown kind of error: {slug}")
        return ProblemKind(**known[slug])

    @gateway.get("/errors/{status}", include_in_schema=False)
    async def gateway_refusal(
        status: int, instance: str = "/", accept: Annotated[str, Header(include_in_schema=False)] = ""
    ) -> Response:
        """Return the response that replaces Traefik's error page: HTML for browsers, else a problem document."""
        if status not in STATUSES:
            raise problems.NotFound(f"The gateway has no error page for status {status}")
        if "text/html" in accept:
            return error_page_for_people(status)
        return error_page(status, instance, body_bytes=settings.gateway_body_bytes)

    return gateway
