"""Serving a service's OpenAPI document."""

import asyncio
import threading
from typing import Annotated

import httpx
from fastapi import FastAPI, Query
from pydantic import Field

from shared.api import openapi_document
from shared.api.query_parameters import ListFilter, from_query
from shared.contracts.values import Urgency


class LetterFilter(ListFilter):
    urgency: list[Urgency] | None = Field(default=None, description="One or more")
    number: int | None = Field(default=None, ge=1, alias="no")


async def test_other_requests_are_answered_while_the_document_is_built() -> None:
    app = FastAPI(openapi_url=None)
    openapi_document.serve(app)
    building, built = threading.Event(), threading.Event()
    calls = []

    def build() -> openapi_document.Document:
        calls.append(1)
        building.set()
        assert built.wait(60)
        return {"openapi": "3.1.0"}

    @app.get("/other")
    async def other() -> str:
        return "answered"

    app.openapi = build  # type: ignore[method-assign]
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as client:
        document, another = (asyncio.create_task(client.get("/openapi.json")) for _ in range(2))
        assert await asyncio.to_thread(building.wait, 60)
        assert (await client.get("/other")).json() == "answered"
        assert not document.done()
        another.cancel()
        built.set()
        assert (await document).json() == {"openapi": "3.1.0"}
        assert (await client.get("/openapi.json")).json() == {"openapi": "3.1.0"}
    assert calls == [1]


def test_filters_read_by_from_query_are_described_as_those_read_by_fastapi() -> None:
    def document(filter_type: object) -> openapi_document.Document:
        app = FastAPI(openapi_url=None)
        openapi_document.install(app)

        @app.get("/letters")
        async def list_letters(_filters: filter_type, limit: int = 50) -> int:  # type: ignore[valid-type]
            return limit

        return app.openapi()

    described = document(Annotated[LetterFilter, from_query(LetterFilter)])
    assert described == document(Annotated[LetterFilter, Query()])
    assert [one["name"] for one in described["paths"]["/letters"]["get"]["parameters"]] == [
        "urgency",
        "no",
        "limit",
    ]
