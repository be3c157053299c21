"""The OpenAPI document of the actual requests and responses, completed from the dependencies of each route.

FastAPI describes parameters, bodies and successful responses. Problems, headers, rights and examples are added
here, once for all routes: they are derived from a route's dependencies, so that nothing is declared twice.
"""

import asyncio
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Body, FastAPI, Query, Response
from fastapi.dependencies.models import Dependant
from fastapi.encoders import jsonable_encoder
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse
from fastapi.routing import iter_route_contexts
from fastapi.security import OAuth2

from shared.api import response_headers
from shared.api.openapi_examples import add_examples
from shared.api.preconditions import required_version
from shared.api.query_parameters import FilterFromQuery
from shared.api.raw_body import RawBody
from shared.auth.dependency_marks import Mark, RightDependency, mark_of
from shared.auth.sign_in_schemes import SIGN_IN_SCHEMES
from shared.http import problem_schemas, problems

Document = dict[str, Any]

_JSON = "application/json"
_SECURITY_SCHEMES = {
    scheme.scheme_name: jsonable_encoder(scheme.model, by_alias=True, exclude_none=True)
    for scheme in SIGN_IN_SCHEMES
}
_READS = ("get", "head")
# FastAPI's own error schemas, which are replaced by problem documents.
_OTHER_ERRORS = ("HTTPValidationError", "ValidationError")


def install(app: FastAPI) -> None:
    """Make `app.openapi()` return the completed document instead of FastAPI's; it is built once."""

    def document() -> Document:
        if app.openapi_schema is None:
            made = get_openapi(
                title=app.title,
                version=app.version,
                description=app.description or None,
                routes=app.routes,
                webhooks=app.webhooks.routes,
            )
            app.openapi_schema = _completed(made, app)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]


def serve(app: FastAPI) -> None:
    """Serve the document at `/openapi.json`. It is built once, in a thread, because that takes seconds."""
    building: asyncio.Task[bytes] | None = None

    @app.get("/openapi.json", include_in_schema=False)
    async def get_openapi_document() -> Response:
        nonlocal building
        if building is None or (building.done() and building.exception() is not None):
            building = asyncio.create_task(asyncio.to_thread(lambda: bytes(JSONResponse(app.openapi()).body)))
        # A cancelled request must not cancel the task that other requests wait for.
        return Response(await asyncio.shield(building), media_type="application/json")


def _completed(made: Document, app: FastAPI) -> Document:
    schemas = made.setdefault("components", {}).setdefault("schemas", {})
    for name in _OTHER_ERRORS:
        schemas.pop(name, None)
    document = _with_plain_names(made)
    schemas = document["components"]["schemas"]
    used: set[type[problems.Problem]] = set()
    for path, method, needed in _routes(app):
        operation = document["paths"].get(path, {}).get(method)
        if operation is not None:
            if Mark.CALLER in needed:
                _describe_access(operation, needed)
                document["components"]["securitySchemes"] = _SECURITY_SCHEMES
            _describe_filters(operation, needed, schemas)
            _describe_raw_body(operation, needed, schemas)
            _describe_parameters(operation, needed)
            used |= _describe_problems(operation, method, needed)
            _describe_headers(operation, needed, schemas)
            if method == "get":
                _describe_conditional_read(operation)
    _restore_webhook_examples(document, app)
    schemas |= problem_schemas.components(used)
    add_examples(document)
    document["components"]["headers"] = response_headers.COMPONENTS
    return document


def _routes(app: FastAPI) -> Iterator[tuple[str, str, frozenset[Any]]]:
    """Yield path, method and dependencies of every route; instead of a marked dependency its mark."""
    for route in iter_route_contexts(app.routes):
        if (dependant := getattr(route, "dependant", None)) is not None:
            needed = frozenset(_dependencies(dependant))
            for method in route.methods or ():
                yield str(route.path), method.lower(), needed


def _dependencies(dependant: Dependant) -> Iterator[Callable[..., Any] | Mark]:
    for found in dependant.dependencies:
        if found.call is not None:
            yield mark_of(found.call) or found.call
        yield from _dependencies(found)


def _restore_webhook_examples(document: Document, app: FastAPI) -> None:
    """Restore the declared examples of webhooks: FastAPI leaves out their null values."""
    for webhook in iter_route_contexts(app.webhooks.routes):
        declared = (webhook.openapi_extra or {}).get("requestBody", {}).get("content", {})
        for method in webhook.methods or ():
            content = document["webhooks"][webhook.path][method.lower()]["requestBody"]["content"]
            for media_type, media in declared.items():
                content[media_type] |= media


def _describe_access(operation: Document, needed: frozenset[Any]) -> None:
    rights = sorted(found.right.value for found in needed if isinstance(found, RightDependency))
    if rights:
        (operation["x-required-right"],) = rights
    operation["security"] = [
        {scheme.scheme_name: rights if isinstance(scheme, OAuth2) else []} for scheme in SIGN_IN_SCHEMES
    ]


def _describe_filters(operation: Document, needed: frozenset[Any], schemas: Document) -> None:
    """Describe the parameters of `from_query` filters as FastAPI describes its own query parameters."""
    for model in (found.model for found in needed if isinstance(found, FilterFromQuery)):
        router = APIRouter()

        @router.get("/")
        async def described(_filter: Annotated[model, Query()]) -> None:  # type: ignore[valid-type]
            """Declare the filter, so that FastAPI describes it."""

        document = get_openapi(title="", version="", routes=router.routes)
        parameters = document["paths"]["/"]["get"]["parameters"]
        operation["parameters"] = [*parameters, *operation.get("parameters", ())]
        components = document["components"]["schemas"]
        schemas |= {name: schema for name, schema in components.items() if name not in _OTHER_ERRORS}


def _describe_raw_body(operation: Document, needed: frozenset[Any], schemas: Document) -> None:
    """Describe a body that the route parses itself as FastAPI describes the bodies that it parses."""
    for model in (found.model for found in needed if isinstance(found, RawBody)):
        router = APIRouter()

        @router.post("/")
        async def described(_body: Annotated[model, Body()]) -> None:  # type: ignore[valid-type]
            """Declare the body, so that FastAPI describes it."""

        document = get_openapi(title="", version="", routes=router.routes)
        operation["requestBody"] = document["paths"]["/"]["post"]["requestBody"]
        components = document["components"]["schemas"]
        schemas |= {name: schema for name, schema in components.items() if name not in _OTHER_ERRORS}


def _describe_parameters(operation: Document, needed: frozenset[Any]) -> None:
    for parameter in operation.get("parameters", ()):
        if parameter["in"] == "header" and parameter["name"].lower() == "if-match":
            # The route does not declare it as required, because its absence gets 428 instead of 422.
            parameter |= {"name": "If-Match", "required": required_version in needed, "schema": {"type": "string"}}
            parameter["description"] = "The `ETag` of the version that you saw, or `*`"
            parameter["example"] = '"3"'
        if parameter["in"] == "header" and parameter["name"].lower() == "idempotency-key":
            parameter |= {"name": "Idempotency-Key", "required": False}
            parameter["schema"] = {"type": "string", "minLength": 1, "maxLength": 200}
            parameter["example"] = "9f0b6d8e-1f0a-4c58-9a55-6c2f1b7f3a10"


def _describe_problems(
    operation: Document, method: str, needed: frozenset[Any]
) -> frozenset[type[problems.Problem]]:
    """Describe the problems of an operation; return their kinds."""
    # A subclass may have the slug of its base class: then the base class is used.
    by_slug = {kind.slug: kind for kind in reversed(list(problems.kinds()))}
    found: dict[int, set[type[problems.Problem]]] = {}

    def add(*kinds: type[problems.Problem]) -> None:
        for kind in kinds:
            found.setdefault(kind.status, set()).add(kind)

    responses = operation["responses"]
    for status, response in responses.items():
        content = response.get("content", {})
        if not status.isdigit() or int(status) < 400 or not content.keys() <= {_JSON, problems.MEDIA_TYPE}:
            continue
        if _is_other_error(_json_schema(response)):
            continue
        add(*(by_slug[slug] for slug in content.get(problems.MEDIA_TYPE, {}).get("examples", ())))
        if status == str(problems.Invalid.status):
            add(problems.Invalid)
    # A route with errors in another format declares those of its dependencies itself: their statuses may differ.
    in_problem_format = not any(
        _is_other_error(_json_schema(response)) for status, response in responses.items() if status[:1] in "45"
    )
    if Mark.CALLER in needed and in_problem_format:
        # 503: the caller cannot be identified while the issuer is unavailable.
        add(problems.Unauthenticated, problems.TooManyRequests, problems.Unavailable)
        if method in _READS:
            add(problems.TooSlow)
    if "requestBody" in operation:
        add(problems.BadRequest, problems.TooLarge)
    if Mark.IDEMPOTENCY_KEY in needed and in_problem_format:
        add(problems.InFlight, problems.KeyReused, problems.Invalid)
    if required_version in needed:
        add(problems.PreconditionFailed, problems.PreconditionRequired, problems.Invalid)
    described: set[type[problems.Problem]] = set()
    for status, kinds in found.items():
        response = responses.setdefault(str(status), {})
        if _is_other_error(_json_schema(response)):
            continue
        response["description"] = "; ".join(sorted({kind.title for kind in kinds}))
        response["content"] = {problems.MEDIA_TYPE: problem_schemas.media_type(kinds)}
        described |= kinds
    operation["responses"] = dict(sorted(responses.items()))
    return frozenset(described)


def _json_schema(response: Mapping[str, Any]) -> Mapping[str, Any]:
    schema: Mapping[str, Any] = response.get("content", {}).get(_JSON, {}).get("schema", {})
    return schema


def _is_other_error(schema: Mapping[str, Any]) -> bool:
    """Return whether the response is an error in another format, such as OAuth's."""
    named = str(schema.get("$ref", ""))
    return bool(named) and not named.endswith(("/ProblemDocument", "/HTTPValidationError"))


def _describe_headers(operation: Document, needed: frozenset[Any], schemas: Document) -> None:
    for status, response in operation["responses"].items():
        good = status.startswith("2")
        names: list[str] = []
        if Mark.CALLER in needed and (good or status == "429"):
            names += ["RateLimit", "RateLimit-Policy"]
        if status in {"429", "503"}:
            names.append("Retry-After")
        if status == "401":
            names.append("WWW-Authenticate")
        if good and Mark.PAGING in needed:
            names.append("Link")
        if good and Mark.IDEMPOTENCY_KEY in needed:
            names.append("Idempotent-Replay")
        if status == "412" or (good and _has_version(response, schemas)):
            names.append("ETag")
        if names:
            response["headers"] = response_headers.declared(*names) | response.get("headers", {})


def _describe_conditional_read(operation: Document) -> None:
    if "ETag" not in operation["responses"].get("200", {}).get("headers", {}):
        return
    operation.setdefault("parameters", []).append(
        {
            "name": "If-None-Match",
            "in": "header",
            "required": False,
            "description": "The `ETag` of the response that you have: 304 if it is still the same",
            "schema": {"type": "string"},
            "example": '"3-9f0b6d8e1f0a"',
        }
    )
    unchanged = {
        "description": "The response that you have is current",
        "headers": response_headers.declared("ETag"),
    }
    operation["responses"] = dict(sorted({**operation["responses"], "304": unchanged}.items()))


def _has_version(response: Document, schemas: Document) -> bool:
    """Return whether the response is a resource with a version, which becomes its ETag."""
    reference = response.get("content", {}).get(_JSON, {}).get("schema", {}).get("$ref", "")
    return "version" in schemas.get(reference.rpartition("/")[2], {}).get("properties", {})


def _with_plain_names(document: Document) -> Document:
    """Return the document with pages named `AppealSummaryPage`, which FastAPI names `Page_AppealSummary_`."""
    schemas = document["components"]["schemas"]
    plain = {name: re.sub(r"^(?:TwoWay)?Page_(\w+)_$", r"\1Page", name) for name in schemas}
    if len(set(plain.values())) < len(plain):
        raise ValueError(f"two components get the same name: {sorted(plain.values())}")
    pointers = {f"#/components/schemas/{old}": f"#/components/schemas/{new}" for old, new in plain.items()}
    renamed: Document = rewrite_pointers(document, pointers)
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
