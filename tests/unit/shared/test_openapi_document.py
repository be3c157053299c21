"""Serving a service's OpenAPI document."""

import asyncio
import threading

import httpx
from fastapi import FastAPI

from shared.api import openapi_document


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
