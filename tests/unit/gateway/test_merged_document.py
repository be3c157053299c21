"""The document from which front ends generate clients: names, enums, errors, examples, headers, access."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator, ValidationError

from services.webhooks.event_catalogue.catalogue import CATALOGUE
from shared.auth.rights import Right
from shared.http import problems
from tests.support.merged_document import Operation, merged_document, operations, service_documents

_SCHEMAS = "#/components/schemas/"


def test_operation_ids_are_unique_and_name_the_action() -> None:
    names = [operation.described["operationId"] for operation in operations()]
    assert [name for name, times in Counter(names).items() if times > 1] == []
    services = tuple(f"{name}_" for name in [*service_documents(), "gateway"] if name != "webhooks")
    assert [name for name in names if not re.fullmatch(r"[a-z]+(_[a-z0-9]+)+", name)] == []
    assert [name for name in names if name.startswith(services) or re.match("(post|put|patch)_", name)] == []


def test_component_names_are_words_without_module_paths() -> None:
    names = merged_document()["components"]["schemas"]
    assert [name for name in names if not re.fullmatch(r"[A-Z][A-Za-z0-9]+", name)] == []


def test_component_names_have_one_meaning_in_all_services() -> None:
    described: dict[str, dict[str, object]] = {}
    for service, document in service_documents().items():
        for name, schema in document["components"]["schemas"].items():
            described.setdefault(name, {})[service] = schema
    assert {
        name: sorted(by_service)
        for name, by_service in described.items()
        if len({str(schema) for schema in by_service.values()}) > 1
    } == {}


def test_every_component_is_used_by_a_path() -> None:
    text = str(merged_document())
    names = merged_document()["components"]["schemas"]
    assert [name for name in names if f"'{_SCHEMAS}{name}'" not in text] == []


# A field with a name of this form takes its values from a closed list, unless `_OPEN` names it.
_CLOSED = re.compile(
    r"(.*_)?(status|kind|network|type|types|state|urgency|outcome|language|level|origin|role|right|format|sort)"
)
# Types of problems are URIs (RFC 9457); the other values may be comma-separated lists.
_OPEN = {
    "ProblemDocument.type",
    "RowProblem.type",
    "GET /api/v1/events types",
    "GET /api/v1/stream type",
    "GET /open311/v2/requests.json status",
}


def _inline_enums(value: Any, where: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        if len(value.get("enum", ())) > 1 and not re.fullmatch(r"/components/schemas/\w+", where):
            yield where
        for key, child in value.items():
            yield from _inline_enums(child, f"{where}/{key}")
    elif isinstance(value, list):
        for number, child in enumerate(value):
            yield from _inline_enums(child, f"{where}/{number}")


def test_every_enum_is_one_named_component() -> None:
    found = [where for where in _inline_enums(merged_document()) if not where.endswith("/grant_type")]
    assert found == []
    values = Counter(
        (name, json.dumps(schema["enum"]))
        for name, schema in merged_document()["components"]["schemas"].items()
        if "enum" in schema
    )
    assert values.total() > 40


def test_fields_with_closed_lists_of_values_refer_to_an_enum() -> None:
    schemas = merged_document()["components"]["schemas"]
    fields = {
        f"{name}.{field}": described
        for name, schema in schemas.items()
        for field, described in schema.get("properties", {}).items()
        if _CLOSED.fullmatch(field) and "const" not in described
    }
    parameters = {
        f"{operation} {parameter['name']}": parameter["schema"]
        for operation in operations()
        for parameter in operation.described.get("parameters", ())
        if parameter["in"] == "query" and _CLOSED.fullmatch(parameter["name"])
    }
    plain = [
        name
        for name, described in (fields | parameters).items()
        if '"string"' in json.dumps(described) and name not in _OPEN
    ]
    assert plain == []


def test_unused_statuses_are_not_in_the_document() -> None:
    schemas = merged_document()["components"]["schemas"]
    assert not {"new", "on_approval"} & set(schemas["AppealStatus"]["enum"])
    # The API never returns a discarded draft.
    assert "discarded" not in schemas["ReplyStatus"]["enum"]


# Routes whose errors are not problem documents: OAuth (RFC 6749), health, and those of Open311.
_OTHER_ERRORS = {"POST /api/v1/auth/token", "POST /api/v1/auth/revoke", "GET /health"}


def _has_other_errors(operation: Operation) -> bool:
    return str(operation) in _OTHER_ERRORS or operation.path.startswith("/open311/")


def _responses(*, good: bool) -> Iterator[tuple[Operation, str, dict[str, Any]]]:
    for operation in operations():
        for status, response in operation.described["responses"].items():
            if (status < "400") is good:
                yield operation, status, response


def test_errors_of_an_operation_are_distinguished_by_type() -> None:
    schemas = merged_document()["components"]["schemas"]
    for operation, status, response in _responses(good=False):
        if _has_other_errors(operation) and "application/problem+json" not in response["content"]:
            continue
        (body,) = response["content"].items()
        assert body[0] == "application/problem+json", operation
        schema = body[1]["schema"]
        references = [part["$ref"] for part in schema["oneOf"]]
        assert list(schema["discriminator"]["mapping"].values()) == references, operation
        for kind, reference in schema["discriminator"]["mapping"].items():
            described = schemas[reference.removeprefix(_SCHEMAS)]["properties"]
            assert (described["type"]["const"], described["status"]["const"]) == (kind, int(status)), operation


def test_errors_of_open311_are_lists_with_the_statuses_of_its_specification() -> None:
    found = {str(operation): operation for operation in operations() if operation.path.startswith("/open311/")}
    assert len(found) == 6
    for name, operation in found.items():
        responses = operation.described["responses"]
        for status in responses.keys() & {"400", "403", "404", "429", "503"}:
            (body,) = responses[status]["content"].items()
            reference = {"$ref": f"{_SCHEMAS}Open311Errors"}
            assert (body[0], body[1]["schema"]) == ("application/json", reference), name
            _valid(body[1]["example"], reference)
        assert {"400", "403"} <= responses.keys(), name
        assert ("404" in responses) is ("{" in name or name.startswith("POST ")), name
        # 422 is the answer to a NUL character in the address, before the route is found.
        assert not {"401", "409"} & responses.keys(), name


def test_schema_of_invalid_fields_requires_pointer_and_detail() -> None:
    schema = merged_document()["components"]["schemas"]["InvalidProblem"]
    assert "errors" in schema["required"]
    assert set(merged_document()["components"]["schemas"]["FieldError"]["required"]) == {"pointer", "detail"}


def test_problems_of_route_dependencies_are_listed() -> None:
    def of(path: str, method: str) -> set[str]:
        responses = merged_document()["paths"][path][method]["responses"]
        return {
            kind
            for response in responses.values()
            for kind in response.get("content", {}).get("application/problem+json", {}).get("examples", ())
        }

    reads = {
        "unauthenticated",
        "forbidden",
        "invalid",
        "too-many-requests",
        "unavailable",
        "query-timeout",
        "internal",
    }
    assert of("/api/v1/appeals", "get") == reads
    replies = of("/api/v1/appeals/{appeal_id}/replies", "post")
    assert {
        "reply-under-way",
        "duplicate",
        "idempotent-request-in-progress",
        "idempotency-key-reused",
        "precondition-failed",
        "bad-request",
    } < replies
    assert "precondition-required" not in replies
    assert "precondition-required" in of("/api/v1/appeals/{appeal_id}/moves", "post")


def _valid(value: Any, schema: dict[str, Any]) -> None:
    document = merged_document() | {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    # References in the schema are relative to the whole document.
    Draft202012Validator(document | schema, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(value)


def test_every_success_body_has_a_valid_example() -> None:
    without = []
    for operation, status, response in _responses(good=True):
        for kind, media in response.get("content", {}).items():
            schema = media.get("schema", {})
            if schema.get("format") == "binary":
                continue
            named = media.get("examples", {})
            examples = [media["example"]] if "example" in media else [one["value"] for one in named.values()]
            if not examples:
                without.append(f"{operation} {status} {kind}")
            for example in examples:
                _valid(example, schema)
    assert without == []


def test_examples_of_problems_and_requests_are_valid() -> None:
    for _, _, response in _responses(good=False):
        for media in response.get("content", {}).values():
            for example in media.get("examples", {}).values():
                _valid(example["value"], media["schema"])
    for operation in operations():
        for media in operation.described.get("requestBody", {}).get("content", {}).values():
            examples = [one["value"] for one in media.get("examples", {}).values()]
            for example in [*examples, *([media["example"]] if "example" in media else [])]:
                _valid(example, media.get("schema", {}))


def test_webhooks_equal_the_event_catalogue_and_have_valid_examples() -> None:
    webhooks = merged_document()["webhooks"]
    assert list(webhooks) == list(CATALOGUE)
    for event_type, item in webhooks.items():
        operation = item["post"]
        headers = {header["name"] for header in operation["parameters"] if header["required"]}
        assert headers == {"webhook-id", "webhook-timestamp", "webhook-signature"}
        accepted = "200" if event_type == "webhook.verification" else "204"
        assert {accepted, "410", "429", "503", "default"} == operation["responses"].keys()
        media = operation["requestBody"]["content"]["application/json"]
        assert media["example"] == CATALOGUE[event_type].example
        _valid(media["example"], media["schema"])


def test_example_of_another_webhook_is_invalid() -> None:
    webhooks = merged_document()["webhooks"]
    opened = webhooks["appeal.opened"]["post"]["requestBody"]["content"]["application/json"]
    with pytest.raises(ValidationError):
        _valid(CATALOGUE["page.renamed"].example, opened["schema"])


def test_examples_of_fields_are_valid() -> None:
    for name, schema in merged_document()["components"]["schemas"].items():
        for field, described in schema.get("properties", {}).items():
            for example in described.get("examples", ()):
                try:
                    _valid(example, described)
                except ValidationError as error:
                    raise AssertionError(f"{name}.{field}: {error.message}") from error


def test_preconditions_are_plain_strings_and_required_where_the_route_needs_them() -> None:
    found = {
        str(operation): parameter
        for operation in operations()
        for parameter in operation.described.get("parameters", ())
        if parameter["name"] == "If-Match"
    }
    assert all(parameter["schema"] == {"type": "string"} for parameter in found.values())
    assert found["POST /api/v1/appeals/{appeal_id}/moves"]["required"]
    assert not found["POST /api/v1/appeals/{appeal_id}/replies"]["required"]
    for operation in operations():
        required = found.get(str(operation), {}).get("required", False)
        assert ("428" in operation.described["responses"]) is required, operation


def test_headers_of_successful_responses_are_declared() -> None:
    declared = {
        f"{operation} {status}": set(response.get("headers", ()))
        for operation, status, response in _responses(good=True)
    }
    limits = {"RateLimit", "RateLimit-Policy"}
    assert declared["GET /api/v1/appeals 200"] == limits | {"Link"}
    assert declared["GET /api/v1/appeals/{appeal_id} 200"] == limits | {"ETag"}
    assert declared["POST /api/v1/appeals 201"] == limits | {"ETag", "Idempotent-Replay", "Location"}
    assert declared["POST /api/v1/appeals/{appeal_id}/replies 201"] == limits | {"ETag", "Idempotent-Replay"}
    assert declared["POST /callbacks/vk 200"] == set()
    for operation, status, response in _responses(good=False):
        if status in {"429", "503"} and not _has_other_errors(operation):
            assert "Retry-After" in response["headers"], operation


def test_operations_name_the_right_and_the_scope_that_they_need() -> None:
    schemes = merged_document()["components"]["securitySchemes"]
    flows = schemes["oauth2"]["flows"]
    assert set(flows) == {"password", "clientCredentials"}
    assert set(flows["clientCredentials"]["scopes"]) == set(Right)
    for operation in operations():
        right = operation.described.get("x-required-right")
        scopes = [need["oauth2"] for need in operation.described.get("security", ()) if "oauth2" in need]
        if right is not None:
            assert right in set(Right)
        assert scopes == ([[right]] if right else [[]] if "security" in operation.described else []), operation


def test_body_that_is_verified_before_it_is_parsed_is_described() -> None:
    document = merged_document()
    operation = document["paths"]["/api/v1/partners/{partner_id}/events"]["post"]
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    assert schema == {"$ref": "#/components/schemas/PartnerEventIn"}
    kinds = document["components"]["schemas"]["PartnerEventIn"]["discriminator"]["mapping"]
    assert kinds.keys() == {"appeal.create", "appeal.status", "appeal.answer"}
    assert "security" not in operation
    headers = {one["name"] for one in operation["parameters"] if one["in"] == "header" and one["required"]}
    assert headers == {"webhook-id", "webhook-timestamp", "webhook-signature"}


def test_services_answer_with_no_status_whose_response_the_gateway_replaces() -> None:
    documented = [one for one in operations() if {"502", "504"} & one.described["responses"].keys()]
    of_services = [kind for kind in problems.kinds() if not kind.__module__.startswith("services.gateway.")]
    assert documented == []
    assert [kind for kind in of_services if kind.status in {502, 504}] == []
