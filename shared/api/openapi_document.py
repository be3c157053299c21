"""The OpenAPI document as things are on the wire: problems by their media type, `If-Match` as required."""

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
            app.openapi_schema = _as_on_the_wire(made)
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
