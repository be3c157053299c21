"""Routes of Open311 GeoReport v2 (http://wiki.open311.org/GeoReport_v2): read and create appeals, for apps that
serve several cities. Formats and statuses are those of the specification:
`services/appeals/api/open311_format.py`.
"""

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Annotated, Any
from urllib.parse import parse_qsl

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals.api.dependencies import Opener, Reader, RegistryReader
from services.appeals.api.open311_format import Open311Route
from services.appeals.api.presenters import open311 as presenter
from services.appeals.moderation import manual_appeals
from services.appeals.moderation.corrections import Corrections
from services.appeals.open311 import service_catalogue, service_requests
from services.appeals.open311.service_requests import RequestQuery
from services.appeals.schemas.partners import open311 as schemas
from shared.api.query_parameters import refuse_unknown_parameters
from shared.auth.callers import identify_by_token
from shared.caller_queue import CallerQueue
from shared.database.sessions import retry_on_deadlock
from shared.http.problems import BadRequest, Invalid, NotFound
from shared.service import Once, ReadTransaction, ServiceDep, WriteTransaction

_PREFIX = "/open311/v2"
REQUESTS_PATHS = (f"{_PREFIX}/requests.json", f"{_PREFIX}/requests.xml")
# A form is read before its sender is known, since it may contain the key.
MAX_FORM_BODY = 64 * 1024
_MAX_FORM_FIELDS = 200
_FORM = "application/x-www-form-urlencoded"
_SPECIFICATION = "http://wiki.open311.org/GeoReport_v2"
# The date of the last change of the topics or of these routes; topics change only with a new release.
_CHANGESET = "2026-12-01 00:00"
# Masking occupies a CPU core: more responses at once would slow other requests down.
REQUEST_QUEUE = CallerQueue(
    "Too many lists of service requests are being prepared", concurrency=2, max_waiting=16, max_per_caller=2
)


async def _accept_api_key(
    request: Request,
    jurisdiction_id: Annotated[
        str | None, Query(description="Ignored: there is only one jurisdiction", examples=["example.ru"])
    ] = None,
    x_api_key: Annotated[
        str | None, Header(description="An access token, if it is not in `Authorization`")
    ] = None,
) -> None:
    """Identify the caller by the access token in the `X-Api-Key` header, unless there is an `Authorization`
    header. Raises `Invalid` for a token in the address, which proxies write to their logs.
    """
    if "api_key" in request.query_params:
        raise Invalid.field(
            "query/api_key",
            "Addresses are written to logs: send the token in the `Authorization` header (Bearer) or `X-Api-Key`, "
            "or as `api_key` in the form of a POST. This token should no longer be used",
        )
    if x_api_key and "authorization" not in request.headers:
        await identify_by_token(request, x_api_key)


async def _accept_api_key_of_form(request: Request) -> None:
    """Identify the caller by the access token in the form field `api_key`, unless a header contains one."""
    if "authorization" in request.headers or request.headers.get("x-api-key") or not _has_form(request):
        return
    try:
        # The form is validated later, once the caller is known.
        pairs = parse_qsl((await request.body()).decode("latin-1"), max_num_fields=_MAX_FORM_FIELDS)
    except ValueError:  # too many fields: the request has no key
        return
    if key := dict(pairs).get("api_key"):
        await identify_by_token(request, key)


def _has_form(request: Request) -> bool:
    kind = request.headers.get("content-type", "").partition(";")[0]
    return request.method == "POST" and kind.strip().lower() == _FORM


router = APIRouter(
    prefix=_PREFIX,
    tags=["open311"],
    route_class=Open311Route,
    dependencies=[Depends(_accept_api_key), Depends(refuse_unknown_parameters)],
)


def _errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the `responses` of a route for these error statuses."""
    described = {
        400: ("The request is invalid", "end_date: The period from `start_date` must not span more than 90 days"),
        403: ("The key is missing or invalid, or does not allow this", "The token is invalid: it has expired"),
        404: ("The resource does not exist", "service_request_id: there is no such request"),
        429: ("Too many requests", "More than 600 requests in 60 s; try again in 5 s"),
        503: ("Unavailable for the moment", "The service cannot reach its database; try again in a moment"),
    }
    return {
        status: {
            "model": schemas.Open311Errors,
            "description": described[status][0],
            "content": {"application/json": {"example": [{"code": status, "description": described[status][1]}]}},
        }
        for status in statuses
    }


_READ_ERRORS = _errors(400, 403, 429, 503)
_FORM_EXAMPLE = {
    "service_code": "0193f0a4-7c11-7d0e-9d5b-3f1f5a4f2b12",
    "address_string": "улица Бабушкина, 20, Улан-Удэ",
    "lat": 51.8335,
    "long": 107.5841,
    "description": "Яма на проезжей части",
    "first_name": "Ирина",
    "phone": "+7 900 000-00-00",
}
_TEXT: dict[str, Any] = {"type": "string"}
_FORM_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["service_code"],
    "properties": {
        "api_key": _TEXT | {"description": "An access token, unless a header contains one", "format": "password"},
        "jurisdiction_id": _TEXT | {"description": "Ignored"},
        "service_code": _TEXT | {"description": "A code from `GET /open311/v2/services.json`"},
        "lat": {"type": "number", "minimum": -90, "maximum": 90, "description": "WGS84, with `long`"},
        "long": {"type": "number", "minimum": -180, "maximum": 180, "description": "WGS84, with `lat`"},
        "address_string": _TEXT | {"maxLength": 1_000, "description": "Becomes part of the text"},
        "address_id": _TEXT | {"maxLength": 300},
        "description": _TEXT | {"maxLength": schemas.MAX_DESCRIPTION},
        "first_name": _TEXT
        | {"maxLength": 140, "description": "Encrypted, like `last_name`, `phone` and `email`"},
        "last_name": _TEXT | {"maxLength": 140},
        "phone": _TEXT | {"maxLength": 300},
        "email": _TEXT | {"maxLength": 300},
        "media_url": _TEXT | {"maxLength": 1_000, "pattern": "^https?://"},
        "device_id": _TEXT | {"maxLength": 300, "description": "Not kept"},
        "account_id": _TEXT | {"maxLength": 300, "description": "Returned and not kept"},
        "external_id": _TEXT
        | {
            "maxLength": 200,
            "description": "Not in the specification: the same id again from the same caller creates nothing. "
            "Stored as `{id of the caller}:{external_id}`, by which `GET /api/v1/appeals` finds the appeal",
        },
    },
}


@router.get("/discovery.json", responses=_errors(400, 403, 503), summary="Discover the Open311 endpoint")
async def get_open311_discovery(service: ServiceDep) -> schemas.Open311Discovery:
    """Return the service discovery document: the endpoint, its formats, and where to get a key. Needs no key.

    Every path of Open311 ends with `.json` or `.xml`.
    """
    base = service.settings.public_url.rstrip("/")
    endpoint = schemas.Open311Endpoint(
        specification=_SPECIFICATION,
        url=base + _PREFIX,
        changeset=_CHANGESET,
        type="test" if service.settings.embedded else "production",
        formats=["application/json", "text/xml"],
    )
    return schemas.Open311Discovery(
        changeset=_CHANGESET,
        contact=f"Центр управления регионом: {base}",
        key_service=f"api_key — токен доступа API-клиента (заводит оператор): POST {base}/api/v1/auth/token",
        endpoints=[endpoint],
    )


@router.get("/services.json", responses=_READ_ERRORS, summary="List the services of Open311")
async def list_open311_services(session: ReadTransaction, caller: RegistryReader) -> list[schemas.Open311Service]:
    """Return the topics as services, in the taxonomy's order; `group` is the topic group."""
    return [presenter.service_out(*row) for row in await service_catalogue.list_services(session)]


@router.get(
    "/services/{service_code}.json",
    responses=_READ_ERRORS | _errors(404),
    summary="Get the definition of an Open311 service",
)
async def get_open311_service_definition(
    session: ReadTransaction, caller: RegistryReader, service_code: str
) -> schemas.Open311ServiceDefinition:
    """Return a definition without attributes: `metadata` of each service is false, so no client needs it."""
    topic = await service_catalogue.get_service(session, service_code)
    return schemas.Open311ServiceDefinition(service_code=str(topic.id), attributes=[])


@router.get("/requests.json", responses=_READ_ERRORS, summary="List Open311 service requests")
async def list_open311_requests(
    *,
    service: ServiceDep,
    caller: Reader,
    service_request_id: Annotated[
        list[str] | None, Query(description="Ids separated by commas; all other parameters are then ignored")
    ] = None,
    service_code: Annotated[list[str] | None, Query(description="Codes separated by commas")] = None,
    start_date: Annotated[
        str | None, Query(description="Not before this moment", examples=["2026-11-01T00:00:00+08:00"])
    ] = None,
    end_date: Annotated[
        str | None, Query(description="Before this moment", examples=["2026-11-27T16:40:00+08:00"])
    ] = None,
    status: Annotated[
        list[str] | None, Query(description="`open`, `closed`, or both separated by a comma")
    ] = None,
) -> list[schemas.Open311Request]:
    """Return, as service requests, the appeals that the caller may read: newest first, 1,000 at most. For more,
    give an earlier `end_date`.

    Without dates, the appeals of the last 90 days are returned; with one date, those of the 90 days after or
    before it. Two dates must not span more than 90 days. Personal data is masked in `description`, as in `GET
    /api/v1/appeals`. A caller may have two requests for this list at a time: a third gets 429, and so does every
    request while too many are waiting.
    """
    query = RequestQuery(
        service_request_id=service_request_id,
        service_code=service_code,
        start_date=start_date,
        end_date=end_date,
        status=status,
    )
    # A request that waits holds neither a database connection nor rows in memory.
    async with REQUEST_QUEUE.turn(caller):
        # The connection is released before the texts are masked, which takes longer than reading them.
        async with service.database.read() as session:
            rows = await service_requests.find_requests(session, caller, query)
            locations = await service_requests.submitted_locations(session, rows)
        return await asyncio.to_thread(presenter.requests_out, rows, locations)


@router.get(
    "/requests/{service_request_id}.json",
    responses=_READ_ERRORS | _errors(404),
    summary="Get an Open311 service request",
)
async def get_open311_request(
    session: ReadTransaction, caller: Reader, service_request_id: str
) -> list[schemas.Open311Request]:
    """Return one appeal that the caller may read, as a list with one service request."""
    row = await service_requests.get_request(session, caller, service_request_id)
    return await _request_out(session, row)


async def _request_out(session: AsyncSession, row: SimpleNamespace) -> list[schemas.Open311Request]:
    return presenter.requests_out([row], await service_requests.submitted_locations(session, [row]))


async def _request_form(request: Request) -> schemas.Open311RequestIn:
    """Return the form of the request. Raises `BadRequest` for another media type or a malformed form, `Invalid`
    naming a field that is given twice, and `RequestValidationError` as FastAPI does.
    """
    if not _has_form(request):
        raise BadRequest(f"The body must be {_FORM}")
    try:
        pairs = parse_qsl((await request.body()).decode(), errors="strict", max_num_fields=_MAX_FORM_FIELDS)
    except ValueError as error:
        raise BadRequest(f"The form is not UTF-8, or has more than {_MAX_FORM_FIELDS} fields") from error
    fields = _collected(pairs)
    try:
        return schemas.Open311RequestIn.model_validate(fields)
    except ValidationError as error:
        found = error.errors(include_url=False)
        raise RequestValidationError([{**one, "loc": ("body", *one["loc"])} for one in found]) from error


def _collected(pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """Return the fields by name without `api_key`; `attribute[code]` and `attribute[code][]` as one dictionary."""
    fields: dict[str, Any] = {}
    attributes: dict[str, str] = {}
    for name, value in pairs:
        if name.startswith("attribute["):
            code = name.removeprefix("attribute[").removesuffix("[]").removesuffix("]")
            attributes[code] = f"{attributes[code]}, {value}" if code in attributes else value
        elif name in fields:
            raise Invalid.field(f"/{name[:50]}", "The field is given twice")
        else:
            fields[name] = value
    fields.pop("api_key", None)
    return fields | ({"attribute": attributes} if attributes else {})


@router.post(
    "/requests.json",
    status_code=201,
    dependencies=[Depends(_accept_api_key_of_form)],
    responses=_READ_ERRORS
    | _errors(404)
    | {200: {"model": list[schemas.Open311Receipt], "description": "Submitted before with this `external_id`"}},
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {_FORM: {"schema": _FORM_SCHEMA, "examples": {"a pothole": {"value": _FORM_EXAMPLE}}}},
        }
    },
    summary="Create an Open311 service request",
)
async def create_open311_request(
    *,
    session: WriteTransaction,
    caller: Opener,
    form: Annotated[schemas.Open311RequestIn, Depends(_request_form)],
    once: Once,
    response: Response,
) -> list[schemas.Open311Receipt]:
    """Open an appeal as `POST /api/v1/appeals` does, with the source `open311`; the routing rules choose the
    organisation, or moderators decide.

    The location is required: `lat` and `long`, `address_string` or `address_id`. Name, phone and e-mail are kept
    encrypted. Fields `attribute[code]` are kept with the appeal. A request repeated with the same
    `Idempotency-Key` or `external_id` creates nothing; the same `external_id` with other content is invalid.
    """

    async def work() -> schemas.Open311Receipt:
        topic = await service_catalogue.get_service(session, form.service_code)
        appeal, new = await manual_appeals.open_from_text(
            session,
            caller,
            form.text(topic.name),
            Corrections(topic_id=topic.id),
            form.submission(caller.subject),
            url=form.media_url,
            allow_duplicate=once.has_key,
        )
        response.status_code = 201 if new else 200
        await session.flush()
        return schemas.Open311Receipt(
            service_request_id=str(appeal.id),
            service_notice=f"Обращение зарегистрировано под № {appeal.number}",
            account_id=None,
        )

    receipt = await once(schemas.Open311Receipt, lambda: retry_on_deadlock(session, work))
    # Added here, so that the response stored for repeated requests does not contain it.
    return [receipt.model_copy(update={"account_id": form.account_id})]


@router.api_route("/{path:path}", methods=["GET", "POST"], include_in_schema=False)
async def refuse_open311_path(path: str) -> None:
    """Refuse all other paths. Those for tokens are not needed: a POST returns the id of its request at once."""
    raise NotFound("There is no such resource, or not in this format: paths end with .json or .xml")
