"""The OpenAPI document as things are on the wire: problems by their media type, `If-Match` as required."""

import re
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from shared.http.problems import MEDIA_TYPE, BadRequest, ProblemDocument, TooLarge, TooManyRequests, Unavailable

_TOO_MANY = "More requests than one caller may send; `Retry-After` says when to come again"
_REFERENCE = {"$ref": "#/components/schemas/ProblemDocument"}


def install(app: FastAPI) -> None:
    """Give the app its document, made once."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            made = get_openapi(
                title=app.title, version=app.version, description=app.description or None, routes=app.routes
            )
            app.openapi_schema = _with_plain_names(_as_on_the_wire(made))
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]


def _as_on_the_wire(document: dict[str, Any]) -> dict[str, Any]:
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    found = ProblemDocument.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(found.pop("$defs", {}))
    schemas["ProblemDocument"] = found
    schemas.pop("HTTPValidationError", None)
    schemas.pop("ValidationError", None)
    for operations in document["paths"].values():
        for operation in operations.values():
            for parameter in operation.get("parameters", ()):
                if parameter["in"] == "header" and parameter["name"].lower() == "if-match":
                    parameter["required"] = True
            if operation.get("security"):  # who calls cannot be found out while their issuer is away
                operation["responses"].setdefault(str(Unavailable.status), {"description": Unavailable.title})
                operation["responses"].setdefault(str(TooManyRequests.status), {"description": _TOO_MANY})
            if "requestBody" in operation:
                for kind in (BadRequest, TooLarge):
                    operation["responses"].setdefault(str(kind.status), {"description": kind.title})
            for status, response in operation["responses"].items():
                if status.isdigit() and int(status) >= 400:
                    _tell_problem(response)
    return document


def _with_plain_names(document: dict[str, Any]) -> dict[str, Any]:
    """Return the document with pages named `AppealSummaryPage`, which FastAPI names `Page_AppealSummary_`."""
    schemas = document["components"]["schemas"]
    plain = {name: re.sub(r"^Page_(\w+)_$", r"\1Page", name) for name in schemas}
    if len(set(plain.values())) < len(plain):
        raise ValueError(f"two components get one name: {sorted(plain.values())}")
    pointers = {f"#/components/schemas/{old}": f"#/components/schemas/{new}" for old, new in plain.items()}
    renamed: dict[str, Any] = rewrite_pointers(document, pointers)
    for old, new in plain.items():
        schema = renamed["components"]["schemas"].pop(old)
        renamed["components"]["schemas"][new] = schema
        if old != new:
            schema["title"] = new
    return renamed


def rewrite_pointers(value: Any, pointers: Mapping[str, str]) -> Any:
    """Return a copy with every pointer to a component replaced, in `$ref` and in discriminators."""
    if isinstance(value, dict):
        return {key: rewrite_pointers(child, pointers) for key, child in value.items()}
    if isinstance(value, list):
        return [rewrite_pointers(child, pointers) for child in value]
    return pointers.get(value, value) if isinstance(value, str) else value


def _tell_problem(response: dict[str, Any]) -> None:
    content: dict[str, Any] = response.setdefault("content", {})
    if content and not content.keys() & {"application/json", MEDIA_TYPE}:
        return  # an answer of another kind, as health has
    plain = content.get("application/json", {}).get("schema", {})
    named = str(plain.get("$ref", ""))
    if named and not named.endswith(("/ProblemDocument", "/HTTPValidationError")):
        return  # an error of another shape, as OAuth has
    content.pop("application/json", None)
    content.setdefault(MEDIA_TYPE, {})["schema"] = _REFERENCE
