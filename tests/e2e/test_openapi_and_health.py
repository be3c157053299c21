"""The OpenAPI document, the docs page, and the health of all services."""

import re
from typing import Any

from tests.e2e.conftest import RunningDemo
from tests.support.eventually import eventually

OPEN = {"/health", "/docs", "/openapi.json", "/problems", "/problems/{slug}"}


async def whole_document(demo: RunningDemo) -> dict[str, Any]:
    """Return the document once it has all services, which build their documents at the first request."""

    async def look() -> dict[str, Any] | None:
        document: dict[str, Any] = (await demo.anyone.get("/openapi.json")).json()
        return document if "paths" in document and "x-missing" not in document else None

    return await eventually(look, "the document of all services")


async def test_health_passes_and_names_every_service(demo: RunningDemo) -> None:
    answer = await demo.anyone.get("/health")
    assert answer.status_code == 200
    body = answer.json()
    assert body["status"] == "pass"
    names = {check.partition(":")[0] for check in body["checks"]}
    assert names == {"registry", "ingest", "appeals", "metrics", "webhooks", "console"}


async def test_document_contains_all_routes_of_all_services(demo: RunningDemo) -> None:
    document = await whole_document(demo)
    assert document["openapi"].startswith("3.")
    paths: dict[str, Any] = document["paths"]
    own = 0
    for name in ("registry", "ingest", "appeals", "metrics", "webhooks"):
        service = (await demo.anyone.get(f"{demo.system.urls[name]}/openapi.json")).json()
        assert service["paths"], name
        own += len(service["paths"])
        for path, operations in service["paths"].items():
            assert set(operations) <= set(paths[path]), f"{name} {path}"
    assert len(paths) >= own
    assert not [path for path in paths if path.startswith("/internal")]
    text = str(document)
    for reference in set(re.findall(r"#/components/schemas/([\w.\-]+)", text)):
        assert reference in document["components"]["schemas"], reference


async def test_every_operation_has_a_summary_tags_and_a_body_example(demo: RunningDemo) -> None:
    document = await whole_document(demo)
    bare = []
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if not operation.get("summary") or not operation.get("tags"):
                bare.append(f"{method} {path}")
            body = operation.get("requestBody", {}).get("content", {}).get("application/json")
            if body and "example" not in str(body) and "example" not in str(_resolve(document, body["schema"])):
                bare.append(f"{method} {path}: body without example")
    assert bare == []


def _resolve(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    if "anyOf" in schema:  # the schema of an optional body allows null
        return {"anyOf": [_resolve(document, one) for one in schema["anyOf"]]}
    reference = schema.get("$ref", "").removeprefix("#/components/schemas/")
    found: dict[str, Any] = document["components"]["schemas"].get(reference, schema)
    return found


async def test_docs_page_loads_nothing_from_other_hosts(demo: RunningDemo) -> None:
    page = await demo.anyone.get("/docs")
    assert page.status_code == 200
    addresses = re.findall(r"""(?:src|href)=["']([^"']+)""", page.text)
    assert addresses
    for address in addresses:
        assert not address.startswith(("http:", "https:", "//")), address
        if not address.startswith("data:"):
            assert (await demo.anyone.get(address)).status_code == 200, address


async def test_non_public_routes_are_refused_without_a_token(demo: RunningDemo) -> None:
    document = await whole_document(demo)
    open_routes = {
        "/api/v1/auth/token",
        "/api/v1/auth/revoke",
        "/api/v1/auth/methods",
        "/api/v1/auth/session",
        "/api/v1/auth/session/refresh",
        "/api/v1/notices/confirmation",
        "/api/v1/notices/unsubscription",
        "/.well-known/jwks.json",
        "/api/v1/open-data/weeks",
        "/api/v1/open-data/weeks/{week}",
        "/api/v1/open-data/weeks/{week}.csv",
        "/open311/v2/discovery.json",
        *OPEN,
    }
    for path, operations in document["paths"].items():
        if path in open_routes or path.startswith("/callbacks"):
            continue
        concrete = re.sub(r"\{[^}]+\}", "019a0000-0000-7000-8000-000000000000", path)
        for method in operations:
            answer = await demo.anyone.request(method.upper(), concrete, json={})
            expected = 403 if path.startswith("/open311/") else 401
            assert answer.status_code == expected, f"{method} {path}: {answer.status_code}"
