"""The OpenAPI document of the registry. Access rules of routes: tests/integration/access."""

from collections.abc import Iterator
from typing import Any

from services.registry.app import build_service

OPEN = {
    "POST /api/v1/auth/token",
    "POST /api/v1/auth/revoke",
    "POST /api/v1/auth/session",
    "POST /api/v1/auth/session/refresh",
    "DELETE /api/v1/auth/session",
    "GET /api/v1/auth/methods",
    "GET /.well-known/jwks.json",
}


def operations() -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in build_service().build("api").openapi()["paths"].items():
        for method, operation in item.items():
            yield f"{method.upper()} {path}", operation


async def test_document_declares_the_responses_of_routes() -> None:
    for name, operation in operations():
        assert operation["summary"], name
        assert operation["description"], name
        if name in OPEN:
            assert "security" not in operation, name
            continue
        assert operation["security"], name
        for status in ("401", "422", "403") if name != "GET /api/v1/me" else ("401",):
            content = operation["responses"][status]["content"]
            assert "application/problem+json" in content, (name, status)


def test_descriptions_of_calendar_changes_say_that_deadlines_move() -> None:
    described = dict(operations())
    path = "/api/v1/calendars/{calendar_id}"
    assert "deadlines that count by this calendar are computed again" in _line(described[f"PATCH {path}"])
    assert "deadlines that count by this calendar, or by one based on it" in _line(described[f"PUT {path}/days"])
    assert "Deadlines are computed again" in _line(described[f"PUT {path}/days.ics"])


def _line(operation: dict[str, Any]) -> str:
    return " ".join(operation["description"].split())


def test_fields_of_created_and_changed_entries_have_examples() -> None:
    document = build_service().build("api").openapi()
    schemas = document["components"]["schemas"]
    for name, schema in schemas.items():
        if not name.endswith(("Create", "Update", "Replace")):
            continue
        for field, described in schema["properties"].items():
            shown = [described, *described.get("anyOf", [])]
            obvious = described.get("type") == "boolean" or any(
                "$ref" in part or part.get("type") in {"boolean", "array"} for part in shown
            )
            assert obvious or any("examples" in part for part in shown), (name, field)
