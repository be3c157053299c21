"""Examples of successful JSON bodies, combined from the examples of their fields.

The example of a field is given by `Field(examples=[…])`, so it changes with its schema. A nullable field without
an example is null, unless it is an object. `MissingExampleError` names a field for which no value can be derived.
"""

from collections.abc import Mapping
from typing import Any

_JSON_TYPES = frozenset({"application/json", "application/geo+json"})
_BY_FORMAT = {
    "uuid": "0193f0a4-7c11-7d0e-9d5b-3f1f5a4f2b10",
    "date-time": "2026-11-27T16:40:00+08:00",
    "date": "2026-11-27",
}
_BY_TYPE: Mapping[str, Any] = {"boolean": False, "integer": 1, "number": 0.5, "null": None}


class MissingExampleError(ValueError):
    """A field of a response has no example and none can be derived."""


def add_examples(document: dict[str, Any]) -> None:
    """Add an example to every successful JSON body of the document, unless its route has one."""
    schemas = document["components"]["schemas"]
    for path, item in document["paths"].items():
        for method, operation in item.items():
            for status, response in operation["responses"].items():
                for media_type in _JSON_TYPES & response.get("content", {}).keys():
                    body = response["content"][media_type]
                    if status.startswith("2") and "schema" in body and not body.keys() & {"example", "examples"}:
                        body["example"] = example_of(body["schema"], schemas, f"{method.upper()} {path}")


def example_of(  # noqa: PLR0911 — one for each kind of schema
    schema: Mapping[str, Any], schemas: Mapping[str, Any], where: str
) -> Any:
    """Return an example of the schema. Raise `MissingExampleError` that names the field."""
    if "examples" in schema:
        return schema["examples"][0]
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return example_of(schemas[name], schemas, name)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    if parts := [*schema.get("anyOf", ()), *schema.get("oneOf", ())]:
        if {"type": "null"} in parts and not _is_object(parts[0], schemas):
            return None
        return example_of(parts[0], schemas, where)
    match schema.get("type"):
        case "object" if "properties" in schema:
            return {
                name: example_of(field, schemas, f"{where}.{name}") for name, field in schema["properties"].items()
            }
        case "object" if isinstance(values := schema.get("additionalProperties"), Mapping):
            names = schema.get("propertyNames", {})
            key = example_of(names, schemas, f"{where} (key)")
            return {key: example_of(values, schemas, where)}
        case "array" if "prefixItems" in schema:
            return [example_of(item, schemas, where) for item in schema["prefixItems"]]
        case "array" if "items" in schema:
            return [example_of(schema["items"], schemas, where)]
        case "string" if schema.get("format") in _BY_FORMAT:
            return _BY_FORMAT[schema["format"]]
        case str() as kind if kind in _BY_TYPE:
            return _BY_TYPE[kind]
    raise MissingExampleError(f"{where} needs an example: Field(examples=[…])")


def _is_object(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> bool:
    return bool(schemas.get(schema.get("$ref", "").rpartition("/")[2], {}).get("type") == "object")
