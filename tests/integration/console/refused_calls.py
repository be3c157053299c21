"""Answers of the API that the sample data does not lead to: the test says how a call is refused."""

import re
from typing import Any

import pytest

from services.console.api_calls.client import Answer, Api, ApiProblem


def answer_calls(monkeypatch: pytest.MonkeyPatch, call: str, answer: Any) -> list[Any]:
    """Give this answer to each call that matches the pattern `METHOD /path`, without making it.

    An exception is raised instead. Return the list of the bodies of these calls.
    """
    bodies: list[Any] = []
    send = Api.send

    async def answering(api: Api, method: str, path: str, body: Any = None, **options: Any) -> Answer:
        if not re.fullmatch(call, f"{method} {path}"):
            return await send(api, method, path, body, **options)
        bodies.append(body)
        if isinstance(answer, Exception):
            raise answer
        return Answer(200, answer)

    monkeypatch.setattr(Api, "send", answering)
    return bodies


def problem(status: int, *pointers: str, slug: str = "", **more: Any) -> ApiProblem:
    """Return a problem of the API; `pointers` are those of the wrong fields."""
    errors = [{"pointer": pointer, "detail": "is wrong"} for pointer in pointers]
    return ApiProblem(status, {"type": f"/problems/{slug}", "errors": errors, **more}, {})
