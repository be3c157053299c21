"""Computed figures as JSON and CSV responses, with an `ETag` of their content."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any

from fastapi import Response
from pydantic import BaseModel

from shared.api.accepted_csv import CSV_MEDIA_TYPE
from shared.api.response_headers import with_headers
from shared.http.conditional_reads import CONTENT_ETAG
from shared.tabular.writer import csv_bytes


def csv_responses(example: str) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI description of a CSV response, with an example."""
    content = {CSV_MEDIA_TYPE: {"schema": {"type": "string"}, "example": example}}
    return {200: {"content": content} | with_headers(200, "ETag")[200]}


# Models are serialised in a thread and returned as bytes: FastAPI would validate and serialise them again.
async def json_response(model: BaseModel, media_type: str = "application/json") -> Response:
    """Return a model as a JSON response."""
    content = await asyncio.to_thread(model.model_dump_json, by_alias=True)
    return Response(content, media_type=media_type, headers={"ETag": CONTENT_ETAG, "Vary": "Accept"})


async def csv_response(rows: Iterable[Sequence[object]], name: str) -> Response:
    """Return rows, the first of which is the heading, as a CSV response that spreadsheet programs can read."""
    return csv_file_response(await asyncio.to_thread(csv_bytes, rows, with_mark=True), name)


def csv_file_response(content: bytes, name: str) -> Response:
    """Return content as a CSV response."""
    headers = {"Content-Disposition": f'attachment; filename="{name}.csv"', "ETag": CONTENT_ETAG, "Vary": "Accept"}
    return Response(content, media_type=CSV_MEDIA_TYPE, headers=headers)
