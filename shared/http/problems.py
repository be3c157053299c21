"""Errors as RFC 9457 problem documents. Each kind is a class with its status and a stable type."""

from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any, ClassVar
from urllib.parse import parse_qsl

from fastapi import FastAPI, Request
from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.database.outages import is_outage, sqlstate
from shared.logs import get_logger

log = get_logger(__name__)

STATEMENT_TIMEOUT = "57014"
_READS = ("GET", "HEAD", "OPTIONS")
# A person or client in a problem's members: the JSON Schema and an example.
_ACTOR: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "id": {"type": ["string", "null"], "format": "uuid"},
        "name": {"type": "string"},
        "kind": {"type": "string"},
    },
    "required": ["id", "name", "kind"],
}
_ACTOR_EXAMPLE = {
    "id": "0193f0a4-7c11-7d0e-9d5b-3f1f5a4f2b11",
    "name": "Цыренова Баирма Дашиевна",
    "kind": "person",
}
MEDIA_TYPE = "application/problem+json"
UNEXPECTED = "The error was logged; check whether the change was made before you send it again"
TOO_SLOW = "The query took longer than a read may take and was cancelled: use narrower filters"
# `Retry-After` during an outage: an outage of the database is rarely shorter.
RETRY_AFTER_SECONDS = 5


class FieldError(BaseModel):
    """The error in one field; `pointer` is a JSON pointer into the body, or `query/…`, `header/…`.

    `text` is an explanation in Russian for the person who entered the value; None if there is none.
    """

    pointer: str
    detail: str
    text: str | None = None


class ProblemDocument(BaseModel):
    """The body of every error."""

    type: str = Field(examples=["/problems/not-found"])
    title: str
    status: int
    detail: str
    instance: str | None = None
    errors: list[FieldError] | None = None


class Problem(Exception):  # noqa: N818 — RFC 9457 uses this name
    """An unexpected error of the service, which was logged."""

    # Each other kind is a subclass with its own status, slug and title. The docstring is its description in the
    # catalogue and in OpenAPI.
    status: ClassVar[int] = 500
    slug: ClassVar[str] = "internal"
    title: ClassVar[str] = "Internal server error"
    # Additional members of the document, as JSON Schemas with an example; any may be left out.
    members: ClassVar[Mapping[str, Any]] = {}

    def __init__(
        self,
        detail: str,
        *,
        errors: Sequence[FieldError] = (),
        headers: dict[str, str] | None = None,
        **extra: Any,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = list(errors)
        self.headers = headers
        self.extra = extra

    @classmethod
    def field(cls, pointer: str, detail: str) -> "Problem":
        """Return a problem with one named field."""
        return cls(detail, errors=[FieldError(pointer=pointer, detail=detail)])

    def document(self, instance: str) -> dict[str, Any]:
        """Return the problem as a JSON object."""
        document = ProblemDocument(
            type=f"/problems/{self.slug}",
            title=self.title,
            status=self.status,
            detail=self.detail,
            instance=instance,
            errors=self.errors or None,
        ).model_dump(exclude_none=True)
        encoded: dict[str, Any] = jsonable_encoder(document | self.extra)
        return encoded

    def response(self, instance: str) -> JSONResponse:
        """Return the problem as an HTTP response."""
        return JSONResponse(
            self.document(instance),
            status_code=self.status,
            media_type=MEDIA_TYPE,
            headers=self.headers,
        )


class BadRequest(Problem):
    """The request is malformed."""

    status, slug, title = 400, "bad-request", "Bad request"


class Unauthenticated(Problem):
    """The request has no valid access token."""

    status, slug, title = 401, "unauthenticated", "Authentication required"

    def __init__(self, detail: str, **kwargs: Any) -> None:
        super().__init__(detail, headers={"WWW-Authenticate": 'Bearer realm="gospablik"'}, **kwargs)


class Forbidden(Problem):
    """The caller's role does not allow this."""

    status, slug, title = 403, "forbidden", "Forbidden"


class NotFound(Problem):
    """The resource does not exist, or the caller may not see it."""

    status, slug, title = 404, "not-found", "Not found"


class MethodNotAllowed(Problem):
    """The path does not support this method."""

    status, slug, title = 405, "method-not-allowed", "Method not allowed"


class Conflict(Problem):
    """The current state of the resource does not allow this."""

    status, slug, title = 409, "conflict", "Conflict"


class Gone(Problem):
    """The data was purged after its retention period."""

    status, slug, title = 410, "gone", "Gone"
    members: ClassVar[Mapping[str, Any]] = {
        "next_after": {
            "type": "string",
            "description": "In the event feed: the position after which events are kept",
            "examples": ["0.42"],
        }
    }


class Duplicate(Conflict):
    """A resource with these values already exists."""

    slug, title = "duplicate", "Already exists"


class ReplyUnderWay(Conflict):
    """Another reply to the appeal is under way; `reply` names it."""

    slug, title = "reply-under-way", "Another reply is under way"
    members: ClassVar[Mapping[str, Any]] = {
        "reply": {
            "type": "object",
            "description": "The reply that is under way",
            "properties": {
                "id": {"type": "string", "format": "uuid"},
                "author": _ACTOR,
                "status": {"type": "string"},
                "kind": {"type": "string"},
                "created_at": {"type": "string", "format": "date-time"},
            },
            "required": ["id", "author", "status"],
            "examples": [
                {
                    "id": "0193f0a4-7c11-7d0e-9d5b-3f1f5a4f2b10",
                    "author": _ACTOR_EXAMPLE,
                    "status": "sending",
                    "kind": "final",
                    "created_at": "2026-11-27T16:40:00+08:00",
                }
            ],
        }
    }


class ReplyBeingWritten(Conflict):
    """Another person is writing the reply to this appeal; `lease` names the person and says until when."""

    slug, title = "reply-being-written", "Another person is writing the reply"
    members: ClassVar[Mapping[str, Any]] = {
        "lease": {
            "type": "object",
            "description": "The edit lease of the other person",
            "properties": {
                "holder": {"type": "string"},
                "holder_name": {"type": "string"},
                "expires_at": {"type": "string", "format": "date-time"},
            },
            "required": ["holder", "holder_name", "expires_at"],
            "examples": [
                {
                    "holder": "0193f0a4-7c11-7d0e-9d5b-3f1f5a4f2b11",
                    "holder_name": "Татьяна Иванова",
                    "expires_at": "2026-11-27T16:41:30+08:00",
                }
            ],
        }
    }


class DecidedByAnother(Conflict):
    """Another person has made a different decision; `decision` contains it."""

    slug, title = "decided-by-another", "Another person has decided otherwise"
    members: ClassVar[Mapping[str, Any]] = {
        "decision": {
            "type": "object",
            "description": "The other person's decision",
            "properties": {
                "by": {"type": "string"},
                "at": {"type": "string", "format": "date-time"},
                "version": {"type": "integer"},
            },
            "required": ["by", "at", "version"],
            "examples": [
                {"by": "0193f0a4-7c11-7d0e-9d5b-3f1f5a4f2b11", "at": "2026-11-27T16:40:00+08:00", "version": 4}
            ],
        }
    }


class InFlight(Conflict):
    """A request with the same idempotency key is in progress."""

    slug, title = "idempotent-request-in-progress", "Request in progress"


class PreconditionFailed(Problem):
    """`If-Match` names a version that is no longer current."""

    status, slug, title = 412, "precondition-failed", "Resource has changed"
    members: ClassVar[Mapping[str, Any]] = {
        "version": {"type": "integer", "description": "The current version, if known", "examples": [4]},
        "last_change": {
            "type": "object",
            "description": "The last change of an appeal",
            "properties": {
                "kind": {"type": "string"},
                "actor": _ACTOR,
                "at": {"type": "string", "format": "date-time"},
            },
            "examples": [
                {
                    "kind": "moved",
                    "actor": _ACTOR_EXAMPLE,
                    "at": "2026-11-27T16:40:00+08:00",
                }
            ],
        },
    }


class ListChanged(PreconditionFailed):
    """The list that the request is about has changed; `total` is the number of its items now."""

    slug, title = "list-changed", "List has changed"
    members: ClassVar[Mapping[str, Any]] = {
        "total": {"type": "integer", "description": "The number of items in the list now", "examples": [41]}
    }


class TooLarge(Problem):
    """The request body is larger than this route accepts."""

    status, slug, title = 413, "payload-too-large", "Payload too large"


class Invalid(Problem):
    """The request is well-formed but invalid; `errors` names each field."""

    status, slug, title = 422, "invalid", "Validation failed"


class KeyReused(Invalid):
    """The idempotency key was used with a different payload."""

    slug, title = "idempotency-key-reused", "Idempotency key used with a different payload"


class PreconditionRequired(Problem):
    """This change needs `If-Match`."""

    status, slug, title = 428, "precondition-required", "If-Match header required"


class TooManyRequests(Problem):
    """The rate limit is exceeded; `Retry-After` says when to try again."""

    status, slug, title = 429, "too-many-requests", "Too many requests"


class UpstreamFailed(Problem):
    """Another service refused what this service asked of it; its log says why."""

    # Not 502: the gateway, which sees only the status, would replace the document as if no service had answered.
    status, slug, title = 503, "upstream-failed", "Another service failed"


class Unavailable(Problem):
    """The service is temporarily unavailable; try again."""

    status, slug, title = 503, "unavailable", "Service unavailable"


def of_outage(method: str) -> Unavailable:
    """Return the problem of a request during an outage; for a write it is unknown whether it was committed."""
    if method in _READS:
        detail = "The service cannot reach its database or another service; try again in a moment"
    else:
        detail = (
            "The service cannot reach its database or another service. It is not known whether the change was "
            "made: check before you send it again, or send it with the same Idempotency-Key"
        )
    return Unavailable(detail, headers={"Retry-After": str(RETRY_AFTER_SECONDS)})


class TooSlow(Problem):
    """The query took too long and was cancelled; narrower filters may help."""

    status, slug, title = 503, "query-timeout", "Query timed out"


def kinds(of: type[Problem] = Problem) -> Iterator[type[Problem]]:
    """Yield every kind of problem."""
    yield of
    for kind in of.__subclasses__():
        yield from kinds(kind)


def catalogue() -> dict[str, dict[str, Any]]:
    """Return every kind of problem by slug, built from the classes."""

    return {
        kind.slug: {"status": kind.status, "title": kind.title, "description": (kind.__doc__ or "").strip()}
        for kind in kinds()
    }


def responses(*kinds: type[Problem]) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI `responses` of a route for these problems."""
    by_status: dict[int | str, dict[str, Any]] = {}
    for kind in kinds:
        entry = by_status.setdefault(
            kind.status,
            {"description": HTTPStatus(kind.status).phrase, "content": {MEDIA_TYPE: {}}},
        )
        entry["content"][MEDIA_TYPE].setdefault("examples", {})[kind.slug] = {
            "value": {
                "type": f"/problems/{kind.slug}",
                "title": kind.title,
                "status": kind.status,
                "detail": (kind.__doc__ or "").strip(),
            }
        }
    return by_status


def _pointer(location: tuple[int | str, ...]) -> str:
    where, *path = location
    prefix = "" if where == "body" else str(where)
    return prefix + "".join(f"/{part}" for part in path) if path or prefix else "/"


def _detail(item: Any) -> str:
    where, *path = item["loc"]
    # Keep only the message of our own validators, without pydantic's prefix.
    said = str(item["msg"]).removeprefix("Value error, ")
    said = said[:1].upper() + said[1:]
    # An item of a repeatable parameter with a comma in it: the caller probably separated several values by commas.
    if where == "query" and len(path) == 2 and isinstance(item["input"], str) and "," in item["input"]:
        one, other, *_ = item["input"].split(",")
        return f"{said}. Repeat the parameter for several: {path[0]}={one}&{path[0]}={other}"
    return said


_BY_STATUS: dict[int, type[Problem]] = {
    400: BadRequest,
    401: Unauthenticated,
    403: Forbidden,
    404: NotFound,
    405: MethodNotAllowed,
    413: TooLarge,
    429: TooManyRequests,
    503: Unavailable,
}


def _methods_of(request: Request) -> list[str]:
    # Starlette returns only the methods of the first route of a path.
    routes = request.app.routes
    return [
        method
        for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
        if any(route.matches({**request.scope, "method": method})[0] == Match.FULL for route in routes)
    ]


def install(app: FastAPI) -> None:
    """Add handlers that return every error of the app as a problem document."""

    @app.exception_handler(Problem)
    async def problem(request: Request, error: Problem) -> JSONResponse:
        return error.response(request.url.path)

    @app.exception_handler(RequestValidationError)
    async def validation(request: Request, error: RequestValidationError) -> JSONResponse:
        found = error.errors()
        if any(item["type"] == "json_invalid" for item in found):
            position = found[0]["loc"][-1]
            return BadRequest(f"The body is not JSON: error at character {position}").response(request.url.path)
        fields = [FieldError(pointer=_pointer(item["loc"]), detail=_detail(item)) for item in found]
        names = ", ".join(field.pointer for field in fields)
        return Invalid(f"Invalid: {names}", errors=fields).response(request.url.path)

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> JSONResponse:
        kind = _BY_STATUS.get(error.status_code, BadRequest)
        detail = str(error.detail)
        if error.status_code == 404:
            detail = f"No such path: {request.url.path}"
        answer = kind(detail)
        answer.headers = {**(answer.headers or {}), **(error.headers or {})}
        if error.status_code == 405:
            answer.headers["Allow"] = ", ".join(_methods_of(request))
        return answer.response(request.url.path)

    app.add_middleware(_Unexpected)


def _nul_in_address(scope: Scope) -> Problem | None:
    # Postgres can neither store nor compare NUL.
    detail = "NUL characters are not allowed"
    if "\x00" in scope["path"]:
        return Invalid.field("path", detail)
    if b"%00" not in scope["query_string"]:
        return None
    named = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    return Invalid.field("query/" + next((name for name, value in named if "\x00" in name + value), ""), detail)


class _Unexpected:
    """Responds to unexpected errors, and to requests with values that the database cannot store.

    A middleware instead of an exception handler: after a handler for `Exception` Starlette raises the error again;
    the server then drops the connection, and the gateway's next request on it fails too.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begun = False

        async def watched(message: Message) -> None:
            nonlocal begun
            begun = begun or message["type"] == "http.response.start"
            await send(message)

        if (refused := _nul_in_address(scope)) is not None:
            await refused.response("/")(scope, receive, send)
            return
        try:
            await self.app(scope, receive, watched)
        except Exception as error:
            if sqlstate(error) == STATEMENT_TIMEOUT and scope["method"] in _READS and not begun:
                log.warning("query timed out", path=scope["path"], error=repr(error)[:300])
                await TooSlow(TOO_SLOW).response(scope["path"])(scope, receive, send)
                return
            unavailable = is_outage(error)
            if unavailable:
                log.warning("request failed: dependency unavailable", path=scope["path"], error=repr(error)[:300])
            else:
                log.exception("unexpected error", path=scope["path"])
            if begun:
                raise
            answer = of_outage(scope["method"]) if unavailable else Problem(UNEXPECTED)
            await answer.response(scope["path"])(scope, receive, send)
