"""Merge of OpenAPI documents: the paths of all services, and one meaning for each component name."""

from typing import Any

from services.gateway.aggregation.openapi_merge import OpenApiDocument, merge_documents

OWN: OpenApiDocument = {
    "openapi": "3.1.0",
    "info": {"title": "All", "version": "1"},
    "paths": {"/health": {"get": {"tags": ["health"], "responses": {}}}},
}


def _service(path: str, schemas: dict[str, Any], **operation: Any) -> OpenApiDocument:
    return {
        "openapi": "3.1.0",
        "info": {},
        "paths": {path: {"get": operation}},
        "components": {"schemas": schemas},
    }


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def test_paths_of_services_and_gateway_are_merged() -> None:
    merged = merge_documents(
        {"registry": _service("/api/v1/pages", {}), "ingest": _service("/callbacks/vk", {})}, OWN, missing=[]
    )
    assert list(merged["paths"]) == ["/api/v1/pages", "/callbacks/vk", "/health"]
    assert merged["info"]["title"] == "All"
    assert merged["servers"] == [{"url": "/", "description": "This gateway"}]
    assert "x-missing" not in merged
    assert [tag["name"] for tag in merged["tags"]] == ["health", "ingest", "registry"]


def test_paths_that_the_gateway_does_not_route_are_omitted() -> None:
    inner = _service("/internal/publications", {}) | {}
    inner["paths"] |= {"/health/ready": {"get": {}}, "/metrics": {"get": {}}, "/api/v1/metrics/sla": {"get": {}}}
    assert list(merge_documents({"metrics": inner}, OWN, missing=[])["paths"]) == [
        "/api/v1/metrics/sla",
        "/health",
    ]


def test_methods_of_one_path_from_two_services_are_merged() -> None:
    first = _service("/api/v1/messages/{id}/triage", {}, operationId="read")
    second: OpenApiDocument = {"paths": {"/api/v1/messages/{id}/triage": {"post": {"operationId": "write"}}}}
    item = merge_documents({"ingest": first, "appeals": second}, OWN, missing=[])["paths"][
        "/api/v1/messages/{id}/triage"
    ]
    assert item["get"]["operationId"] == "read"
    assert item["post"]["operationId"] == "write"


def test_webhooks_are_kept_with_their_components() -> None:
    webhooks = _service("/internal/erasures", {"Body": _ref("Part"), "Part": {}, "Other": {}})
    webhooks["webhooks"] = {"page.closed": {"post": {"requestBody": _ref("Body")}}}
    merged = merge_documents({"webhooks": webhooks}, OWN, missing=[])
    assert merged["webhooks"] == {"page.closed": {"post": {"requestBody": _ref("Body"), "tags": ["webhooks"]}}}
    assert list(merged["components"]["schemas"]) == ["Body", "Part"]
    assert "webhooks" not in merge_documents({}, OWN, missing=[])


def test_equal_components_are_shared() -> None:
    problem = {"type": "object", "properties": {"title": {"type": "string"}}}
    documents = {
        name: _service(f"/api/v1/{name}", {"Problem": dict(problem)}, answer=_ref("Problem"))
        for name in ("pages", "appeals")
    }
    assert merge_documents(documents, OWN, missing=[])["components"]["schemas"] == {"Problem": problem}


def test_different_components_of_one_name_get_a_service_prefix() -> None:
    registry = _service("/api/v1/pages", {"Item": {"type": "string"}}, responses={"200": {"schema": _ref("Item")}})
    appeals = _service(
        "/api/v1/appeals", {"Item": {"type": "integer"}}, responses={"200": {"schema": _ref("Item")}}
    )
    merged = merge_documents({"registry": registry, "appeals": appeals}, OWN, missing=[])
    assert merged["components"]["schemas"] == {
        "AppealsItem": {"type": "integer"},
        "RegistryItem": {"type": "string"},
    }
    answer = merged["paths"]["/api/v1/appeals"]["get"]["responses"]["200"]
    assert answer["schema"] == _ref("AppealsItem")
    assert registry["components"]["schemas"] == {"Item": {"type": "string"}}, (
        "the service's own document must not change"
    )


def test_components_that_refer_to_a_clash_get_a_prefix_too() -> None:
    shared = {"List": {"items": _ref("Item")}, "Fine": {"type": "null"}}
    answer = [_ref("List"), _ref("Fine")]
    registry = _service("/api/v1/pages", shared | {"Item": {"type": "string"}}, answer=answer)
    appeals = _service("/api/v1/appeals", shared | {"Item": {"type": "integer"}}, answer=answer)
    schemas = merge_documents({"registry": registry, "appeals": appeals}, OWN, missing=[])["components"]["schemas"]
    assert set(schemas) == {"Fine", "AppealsItem", "AppealsList", "RegistryItem", "RegistryList"}
    assert schemas["RegistryList"] == {"items": _ref("RegistryItem")}


def test_discriminators_use_the_prefixed_names() -> None:
    union = {"discriminator": {"mapping": {"a": "#/components/schemas/Item"}}}
    registry = _service("/api/v1/pages", {"Item": {"type": "string"}, "Union": union}, answer=_ref("Union"))
    appeals = _service("/api/v1/appeals", {"Item": {"type": "integer"}})
    schemas = merge_documents({"registry": registry, "appeals": appeals}, OWN, missing=[])["components"]["schemas"]
    assert schemas["Union"]["discriminator"]["mapping"] == {"a": "#/components/schemas/RegistryItem"}


def test_components_of_internal_routes_are_omitted() -> None:
    schemas = {"Page": {"owner": _ref("Owner")}, "Owner": {}, "Claims": {"who": _ref("Owner")}}
    document = _service("/api/v1/pages", schemas, answer=_ref("Page"))
    document["paths"]["/internal/identity"] = {"post": {"answer": _ref("Claims")}}
    merged = merge_documents({"registry": document}, OWN, missing=[])
    assert list(merged["components"]["schemas"]) == ["Owner", "Page"]


def test_document_level_security_moves_to_its_operations() -> None:
    bearer = {"type": "http", "scheme": "bearer"}
    document = _service("/api/v1/pages", {})
    document["security"] = [{"bearer": []}]
    document["components"]["securitySchemes"] = {"bearer": bearer}
    merged = merge_documents({"registry": document}, OWN, missing=["appeals"])
    assert merged["paths"]["/api/v1/pages"]["get"]["security"] == [{"bearer": []}]
    assert merged["components"]["securitySchemes"] == {"bearer": bearer}
    assert merged["x-missing"] == ["appeals"]


def test_different_security_schemes_of_one_name_get_a_prefix() -> None:
    first, second = _service("/api/v1/pages", {}), _service("/api/v1/appeals", {})
    for document, scheme in ((first, "bearer"), (second, "basic")):
        document["components"]["securitySchemes"] = {"auth": {"type": "http", "scheme": scheme}}
        next(iter(document["paths"].values()))["get"]["security"] = [{"auth": []}]
    merged = merge_documents({"registry": first, "appeals": second}, OWN, missing=[])
    assert merged["paths"]["/api/v1/pages"]["get"]["security"] == [{"Registryauth": []}]
    assert set(merged["components"]["securitySchemes"]) == {"Registryauth", "Appealsauth"}
