"""Errors of fields in a problem document."""

from typing import Annotated

import httpx
import pytest
from fastapi import FastAPI
from pydantic import AfterValidator, BaseModel

from shared.http import problems


def _not_blank(value: str) -> str:
    if not value.strip():
        raise ValueError("the text is empty")
    return value


class _Body(BaseModel):
    text: Annotated[str, AfterValidator(_not_blank)]


@pytest.mark.parametrize(
    ("body", "pointer", "detail"),
    [
        pytest.param({"text": " "}, "/text", "The text is empty", id="validator of ours"),
        pytest.param({}, "/text", "Field required", id="validator of pydantic"),
    ],
)
async def test_invalid_field_is_named_with_a_whole_sentence(
    body: dict[str, str], pointer: str, detail: str
) -> None:
    app = FastAPI()
    problems.install(app)

    @app.post("/texts")
    async def add(body: _Body) -> None: ...

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api") as client:
        answer = await client.post("/texts", json=body)
    assert answer.status_code == 422
    assert answer.json()["errors"] == [{"pointer": pointer, "detail": detail}]
