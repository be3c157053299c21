"""The document that front ends generate clients from: names, enums, errors, examples, headers, access."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from tests.support.merged_document import merged_document, operations, service_documents

_SCHEMAS = "#/components/schemas/"


def test_every_operation_is_named_after_what_it_does() -> None:
    names = [operation.described["operationId"] for operation in operations()]
    assert [name for name, times in Counter(names).items() if times > 1] == []
    services = tuple(f"{name}_" for name in [*service_documents(), "gateway"] if name != "webhooks")
    assert [name for name in names if not re.fullmatch(r"[a-z]+(_[a-z0-9]+)+", name)] == []
    assert [name for name in names if name.startswith(services) or re.match("(post|put|patch)_", name)] == []


def test_component_names_are_words_without_module_paths() -> None:
    names = merged_document()["components"]["schemas"]
    assert [name for name in names if not re.fullmatch(r"[A-Z][A-Za-z0-9]+", name)] == []


def test_no_two_services_describe_different_components_under_one_name() -> None:
    described: dict[str, dict[str, object]] = {}
    for service, document in service_documents().items():
        for name, schema in document["components"]["schemas"].items():
            described.setdefault(name, {})[service] = schema
    assert {
        name: sorted(by_service)
        for name, by_service in described.items()
        if len({str(schema) for schema in by_service.values()}) > 1
    } == {}


def test_every_component_is_referred_to_by_a_path() -> None:
    text = str(merged_document())
    names = merged_document()["components"]["schemas"]
    assert [name for name in names if f"'{_SCHEMAS}{name}'" not in text] == []


# A field that is named so holds one of a closed list of values…
_CLOSED = re.compile(
    r"(.*_)?(status|kind|network|type|types|state|urgency|outcome|language|level|origin|role|right|format|sort)"
)
# …but for these: a standard names the values, or several are given in one, separated by commas.
_OPEN = {"ProblemDocument.type", "TokenResponse.token_type", "GET /api/v1/events types"}


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
        if _CLOSED.fullmatch(field)
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


def test_statuses_that_nothing_assigns_are_not_shown() -> None:
    schemas = merged_document()["components"]["schemas"]
    assert not {"new", "merged", "on_approval"} & set(schemas["AppealStatus"]["enum"])
    assert not {"draft", "on_approval"} & set(schemas["ReplyStatus"]["enum"])
