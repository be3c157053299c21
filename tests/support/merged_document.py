"""Build the OpenAPI document that the gateway serves, without running a service."""

import importlib
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

from services.gateway.aggregation.openapi_merge import OpenApiDocument, merge_documents
from services.gateway.app import create_app
from services.gateway.settings import API_SERVICES, GatewaySettings


class Operation(NamedTuple):
    """A path with a method, and the OpenAPI object of this operation."""

    method: str
    path: str
    described: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.method.upper()} {self.path}"


@cache
def service_documents() -> dict[str, OpenApiDocument]:
    """Return the documents of the services by service name."""
    return {
        name: importlib.import_module(f"services.{name}.app").build_service().build("api").openapi()
        for name in API_SERVICES
    }


@cache
def merged_document() -> OpenApiDocument:
    """Return the document of `GET /openapi.json`. It is cached: callers must not change it."""
    return merge_documents(service_documents(), create_app(GatewaySettings()).openapi(), missing=[])


def operations() -> Iterator[Operation]:
    """Yield every operation of the merged document."""
    for path, item in merged_document()["paths"].items():
        for method, described in item.items():
            yield Operation(method, path, described)
