"""Merge the services' OpenAPI documents into one."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from shared.api.openapi_document import rewrite_pointers
from shared.logs import get_logger

OpenApiDocument = dict[str, Any]

log = get_logger(__name__)

_METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
# Only paths that the gateway routes are published.
_PUBLIC = ("/api/v1/", "/callbacks/", "/open311/", "/.well-known/")


def merge_documents(
    documents: Mapping[str, OpenApiDocument], gateway_document: OpenApiDocument, *, missing: list[str]
) -> OpenApiDocument:
    """Return one document, merged from those of the services (by name) and of the gateway.

    Components with the same name and the same content are shared; if the content differs, their names get the
    service's name as a prefix. `missing`: the services whose routes are absent; it becomes `x-missing`.
    """
    renamed = _rename_clashes(documents)
    paths: dict[str, OpenApiDocument] = {}
    webhooks: dict[str, OpenApiDocument] = {}
    components: dict[str, OpenApiDocument] = {}
    tags: dict[str, OpenApiDocument] = {}
    for service, document in renamed.items():
        for path, item in document.get("paths", {}).items():
            if path.startswith(_PUBLIC):
                _add_path(paths, path, item, service, document)
        for name, item in document.get("webhooks", {}).items():
            _add_path(webhooks, name, item, service, document)
        for section, entries in document.get("components", {}).items():
            components.setdefault(section, {}).update(entries)
        tags |= {tag["name"]: tag for tag in document.get("tags", [])}
    for path, item in gateway_document.get("paths", {}).items():
        _add_path(paths, path, item, "gateway", gateway_document)
    for section, entries in gateway_document.get("components", {}).items():
        for name, entry in entries.items():
            components.setdefault(section, {}).setdefault(name, entry)
    for operation in (
        operation for item in (*paths.values(), *webhooks.values()) for operation in _operations(item)
    ):
        for name in operation.get("tags", []):
            tags.setdefault(name, {"name": name})
    merged: OpenApiDocument = {
        "openapi": gateway_document["openapi"],
        "info": gateway_document["info"],
        "servers": [{"url": "/", "description": "This gateway"}],
        "tags": [tags[name] for name in sorted(tags)],
        "paths": dict(sorted(paths.items())),
        "components": _reachable(components, {"paths": paths, "webhooks": webhooks}),
    }
    if webhooks:
        merged["webhooks"] = webhooks
    if missing:
        merged["x-missing"] = missing
    return merged


def _reachable(components: dict[str, OpenApiDocument], published: OpenApiDocument) -> OpenApiDocument:
    """Return the components that published routes refer to, directly or indirectly, sorted by name."""
    needed: set[tuple[str, str]] = set()
    found = set(_references(published))
    while found - needed:
        needed |= found
        found = {
            reference
            for section, name in found
            for reference in _references(components.get(section, {}).get(name, {}))
        }
    return {
        section: kept
        for section, entries in sorted(components.items())
        if (
            kept := {
                name: entry
                for name, entry in sorted(entries.items())
                if (section, name) in needed or section == "securitySchemes"
            }
        )
    }


def _operations(item: OpenApiDocument) -> list[OpenApiDocument]:
    return [item[method] for method in _METHODS if method in item]


def _add_path(
    paths: dict[str, OpenApiDocument], path: str, item: OpenApiDocument, service: str, document: OpenApiDocument
) -> None:
    target = paths.setdefault(path, {})
    for key, value in item.items():
        if key in target:
            log.warning("duplicate route in OpenAPI documents", path=path, method=key, ignored_service=service)
            continue
        if key not in _METHODS:
            target[key] = value
            continue
        operation = dict(value)
        operation.setdefault("tags", [service])
        if "security" in document:
            operation.setdefault("security", document["security"])
        target[key] = operation


def _rename_clashes(documents: Mapping[str, OpenApiDocument]) -> dict[str, OpenApiDocument]:
    clashes = _clashes(documents)
    renamed = {}
    for service, document in documents.items():
        mapping = {
            f"#/components/{section}/{name}": f"#/components/{section}/{_prefixed_name(service, name)}"
            for section, name in clashes
            if name in document.get("components", {}).get(section, {})
        }
        result = rewrite_pointers(document, mapping)
        for section, name in clashes:
            entries = result.get("components", {}).get(section, {})
            if name in entries:
                entries[_prefixed_name(service, name)] = entries.pop(name)
                if section == "securitySchemes":
                    _rename_security(result, name, _prefixed_name(service, name))
        renamed[service] = result
    return renamed


def _prefixed_name(service: str, name: str) -> str:
    return f"{service.capitalize()}{name}"


def _clashes(documents: Mapping[str, OpenApiDocument]) -> set[tuple[str, str]]:
    """Return the components that services define differently, directly or through their references."""
    by_name: dict[tuple[str, str], list[Any]] = {}
    for document in documents.values():
        for section, entries in document.get("components", {}).items():
            for name, entry in entries.items():
                by_name.setdefault((section, name), []).append(entry)
    shared = {key: entries for key, entries in by_name.items() if len(entries) > 1}
    clashes = {key for key, entries in shared.items() if len({_canonical(entry) for entry in entries}) > 1}
    while True:
        through = {
            key
            for key, entries in shared.items()
            if key not in clashes and any(reference in clashes for reference in _references(entries))
        }
        if not through:
            return clashes
        clashes |= through


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _references(value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for child in value.values():
            yield from _references(child)
    elif isinstance(value, list):
        for child in value:
            yield from _references(child)
    elif isinstance(value, str) and value.startswith("#/components/"):
        _, _, section, name = value.split("/", 3)
        yield section, name


def _rename_security(document: OpenApiDocument, old: str, new: str) -> None:
    operations = [operation for item in document.get("paths", {}).values() for operation in _operations(item)]
    for holder in (document, *operations):
        for requirement in holder.get("security", []):
            if old in requirement:
                requirement[new] = requirement.pop(old)
