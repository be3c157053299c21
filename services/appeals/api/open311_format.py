"""The formats of Open311: errors as lists, and each response as JSON or, if the path ends with `.xml`, as XML."""

import json
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree

from fastapi.routing import APIRoute
from starlette.datastructures import MutableHeaders
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import Message, Receive, Scope, Send

from shared.database.outages import is_outage, sqlstate
from shared.http import problems
from shared.logs import get_logger
from shared.text.xml_characters import without_forbidden

log = get_logger(__name__)

_JSON, _XML = "application/json; charset=utf-8", "text/xml; charset=utf-8"
# The specification requires 404 for what does not exist, 403 for a missing or wrong key, 400 for other refusals.
_STATUSES: Mapping[int, int] = {401: 403, 409: 400, 422: 400}
# A request whose first attempt is still running gets a 503: a client would treat a 400 as final.
_IN_FLIGHT = f"/problems/{problems.InFlight.slug}"
_RETRY_AFTER = "1"
# Root elements of XML documents by the end of the route's path, and elements of the items in lists.
_ROOTS = {
    "/discovery.json": "discovery",
    "/services.json": "services",
    "/services/{service_code}.json": "service_definition",
}
_ITEMS = {"services": "service", "service_requests": "request", "errors": "error"}


class Open311Route(APIRoute):
    """A route of Open311. It sends problems in the format of Open311, and its path ends with `.json` or `.xml`."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Match the path of the route also with `.xml` in place of `.json`."""
        if scope["type"] == "http" and scope["path"].endswith(".xml"):
            scope = {**scope, "path": scope["path"].removesuffix(".xml") + ".json"}
        return super().matches(scope)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle the request, and send the response in the format of Open311."""
        buffer = _ResponseBuffer()
        try:
            await super().handle(scope, receive, buffer.store)
        except Exception as error:
            # Only outages and timeouts are answered here; the service's own handlers respond to other errors.
            problem = _expected(error, scope["method"])
            if problem is None:
                raise
            log.warning("request failed", path=scope["path"], status=problem.status, error=repr(error)[:300])
            buffer = _ResponseBuffer()
            await problem.response(scope["path"])(scope, receive, buffer.store)
        root = next((root for end, root in _ROOTS.items() if self.path.endswith(end)), "service_requests")
        await buffer.response(root, as_xml=scope["path"].endswith(".xml"))(scope, receive, send)


def _expected(error: Exception, method: str) -> problems.Problem | None:
    """Return the problem of an outage or of a query that took too long; None for another error."""
    if sqlstate(error) == problems.STATEMENT_TIMEOUT and method == "GET":
        return problems.TooSlow(problems.TOO_SLOW)
    return problems.of_outage(method) if is_outage(error) else None


class _ResponseBuffer:
    """Collects a response of the service with a JSON body, to convert it to the format of Open311."""

    def __init__(self) -> None:
        self._status = 500
        self._headers = MutableHeaders()
        self._body = b""

    async def store(self, message: Message) -> None:
        """Store an ASGI message of the response."""
        if message["type"] == "http.response.start":
            self._status, self._headers = message["status"], MutableHeaders(raw=list(message["headers"]))
        else:
            self._body += message.get("body", b"")

    def response(self, root: str, *, as_xml: bool) -> Response:
        """Return the response in the format of Open311."""
        document, status = json.loads(self._body), self._status
        if self._headers["content-type"] == problems.MEDIA_TYPE:
            if document["type"] == _IN_FLIGHT:
                status, self._headers["Retry-After"] = 503, _RETRY_AFTER
            status = _STATUSES.get(status, status)
            root, document = "errors", _errors(document, status)
        headers = {
            name: value
            for name, value in self._headers.items()
            if name not in {"content-type", "content-length", "www-authenticate"}
        }
        content = xml_document(root, document) if as_xml else json.dumps(document, ensure_ascii=False).encode()
        return Response(content, status, headers, media_type=_XML if as_xml else _JSON)


def _errors(problem: Mapping[str, Any], status: int) -> list[dict[str, Any]]:
    """Return the problem as a list of errors, one for each field."""
    fields = problem.get("errors") or [{"pointer": "", "detail": problem["detail"]}]
    described = [": ".join(part for part in (_name(one["pointer"]), one["detail"]) if part) for one in fields]
    if "appeal_id" in problem:
        described.append(f"service_request_id of the first request: {problem['appeal_id']}")
    return [{"code": status, "description": one} for one in described]


def _name(pointer: str) -> str:
    """Return the name of the parameter or field without its location: `status` for `query/status/0`."""
    parts = pointer.removeprefix("query/").removeprefix("header/").removeprefix("path/").split("/")
    return ".".join(part for part in parts if part and not part.isdigit())


def xml_document(root: str, document: Any) -> bytes:
    """Return a JSON value as XML by the Spark convention: an item of a list is an element named after the list in
    the singular, and a null is an empty element.
    """
    element = ElementTree.Element(root)
    _fill(element, document, _ITEMS.get(root, root))
    content: bytes = ElementTree.tostring(element, encoding="utf-8", xml_declaration=True)
    return content


def _fill(element: ElementTree.Element, value: Any, item: str) -> None:
    if isinstance(value, dict):
        for name, inner in value.items():
            _fill(ElementTree.SubElement(element, name), inner, name.removesuffix("s"))
    elif isinstance(value, list):
        for inner in value:
            _fill(ElementTree.SubElement(element, item), inner, item)
    elif isinstance(value, bool):
        element.text = "true" if value else "false"
    elif value is not None:
        element.text = without_forbidden(str(value))
