"""Answers of the API that the sample data does not lead to: the test says how a call is refused; and its forms."""

import re
from typing import Any
from uuid import UUID

import pytest

from services.console.api_calls.client import Answer, Api, ApiProblem
from tests.integration.access.all_services import CallerCase

# Who sends the forms, what they contain, and the addresses of a draft and of a published reply.
MODERATOR, EXECUTOR, MANAGER = CallerCase("moderator"), CallerCase("executor"), CallerCase("manager")
OPERATIONS = CallerCase("operations")
SOME = str(UUID(int=7))
KEY = "k" * 20
SAID = "Так решили на планёрке"
DRAFT = "/appeals/{draft_appeal_id}/reply"
PUBLISHED = "/appeals/{draft_appeal_id}/replies/{published_reply_id}"


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
