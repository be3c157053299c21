"""Find changes of the webhook event catalogue that would break a receiver of the released catalogue.

`python -m tests.contract.webhooks.catalogue_changes` saves the current catalogue as the released catalogue. Run
it at a release, or for a breaking change that CHANGELOG.md announces.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from services.webhooks.event_catalogue.catalogue import CATALOGUE
from shared.contracts.catalogue import EVENT_MODELS

RELEASED = Path(__file__).parent / "released_catalogue.json"
Schema = Mapping[str, Any]


def described(schema: Schema) -> dict[str, dict[str, Any]]:
    """Return the fields of a body by path: JSON types, whether it is always present, format, allowed values."""
    found: dict[str, dict[str, Any]] = {}
    for path, required, value in _fields(schema, schema.get("$defs", {}), "", required=True):
        known = found.setdefault(path, {"types": set(), "required": True, "format": None, "values": set()})
        known["types"].add(value.get("type", "any"))
        known["required"] = known["required"] and required
        known["format"] = value.get("format", known["format"])
        known["values"] |= set(value.get("enum", [value["const"]] if "const" in value else []))
    return {
        path: {**field, "types": sorted(field["types"]), "values": sorted(field["values"], key=str)}
        for path, field in sorted(found.items())
    }


def _fields(
    schema: Schema, definitions: Schema, path: str, *, required: bool
) -> Iterator[tuple[str, bool, Schema]]:
    if "$ref" in schema:
        schema = definitions[schema["$ref"].rpartition("/")[2]]
    for choice in (*schema.get("anyOf", ()), *schema.get("oneOf", ()), *schema.get("allOf", ())):
        yield from _fields(choice, definitions, path, required=required)
    if "type" in schema or "enum" in schema or "const" in schema:
        yield path, required, schema
    for name, field in schema.get("properties", {}).items():
        yield from _fields(field, definitions, f"{path}/{name}", required=name in schema.get("required", ()))
    for key, suffix in (("items", "/[]"), ("additionalProperties", "/{}")):
        if isinstance(schema.get(key), Mapping):
            yield from _fields(schema[key], definitions, path + suffix, required=True)


def present() -> dict[str, Any]:
    """Return the current catalogue: for each type, the required right and the fields of its body."""
    return {
        kind: {"right": EVENT_MODELS[kind].required_right, "fields": described(entry.json_schema)}
        for kind, entry in sorted(CATALOGUE.items())
    }


def breaking_changes(released: Schema, current: Schema) -> list[str]:
    """Return a text for each change that breaks a receiver of the released catalogue.

    New types, fields and values are allowed.
    """
    found = []
    for kind, former in released.items():
        if kind not in current:
            found.append(f"{kind}: the type is gone")
            continue
        if current[kind]["right"] != former["right"]:
            found.append(f"{kind}: needs another right")
        fields = current[kind]["fields"]
        for path, field in former["fields"].items():
            if path not in fields:
                found.append(f"{kind}{path}: the field is gone")
                continue
            now = fields[path]
            if not set(now["types"]) <= set(field["types"]) or now["format"] != field["format"]:
                found.append(f"{kind}{path}: may be of another type")
            if field["required"] and not now["required"]:
                found.append(f"{kind}{path}: may be absent")
            if not set(field["values"]) <= set(now["values"]):
                found.append(f"{kind}{path}: a value is gone")
    return found


def _text(catalogue: Schema) -> str:
    """Return the catalogue as JSON with one line for each field, so that a change is one line of a diff."""
    kinds = []
    for kind, entry in catalogue.items():
        fields = (f"{json.dumps(path)}: {json.dumps(field)}" for path, field in entry["fields"].items())
        lines = ",\n  ".join(fields)
        kinds.append(f'{json.dumps(kind)}: {{"right": {json.dumps(entry["right"])}, "fields": {{\n  {lines}\n}}}}')
    return "{\n" + ",\n".join(kinds) + "\n}\n"


if __name__ == "__main__":
    RELEASED.write_text(_text(present()), encoding="utf-8")
