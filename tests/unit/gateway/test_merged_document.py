"""The document that front ends generate clients from: names, enums, errors, examples, headers, access."""

import re
from collections import Counter

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
