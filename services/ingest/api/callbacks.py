"""Where networks push events to, and the routes by which people set that up."""

import asyncio
from collections.abc import Awaitable
from datetime import timedelta
from email.utils import format_datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse

from services.ingest.api.common import ITEM_PROBLEMS
from services.ingest.callbacks import admin
from services.ingest.callbacks.receiver import PushReceiver
from services.ingest.callbacks.write_batcher import EventNotStored
from services.ingest.schemas.callbacks import CallbackIn, CallbackOut
from services.ingest.settings import ingest_settings
from shared import clock
from shared.auth.callers import Caller, allowed
from shared.auth.rights import Right
from shared.database.outages import is_outage
from shared.http import problems
from shared.http.client_address import client_address
from shared.http.problems import (
    UNEXPECTED,
    BadRequest,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    Problem,
    TooLarge,
    TooManyRequests,
    Unavailable,
    of_outage,
)
from shared.logs import logger
from shared.service import Reading, Writing, service_of

log = logger(__name__)

push_router = APIRouter(prefix="/callbacks", tags=["callbacks"])
router = APIRouter()

SourceReader = Annotated[Caller, allowed(Right.SOURCES_READ)]
SourceManager = Annotated[Caller, allowed(Right.SOURCES_MANAGE)]

# When the network shall bring again what cannot be stored now.
RETRY_AFTER = timedelta(seconds=30)
# The networks wait 5 to 10 seconds for an answer.
ANSWER_TIMEOUT = 7.0
LOGGED_PATH = "/callbacks/ok/…"


def _event(example: dict[str, Any]) -> dict[str, Any]:
    content = {"schema": {"type": "object"}, "example": example}
    return {"requestBody": {"required": True, "content": {"application/json": content}}}


_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "`ok` once the event is stored or known; for a confirmation its code",
        "content": {"text/plain": {"schema": {"type": "string"}, "example": "ok"}},
    },
    **problems.responses(BadRequest, Forbidden, TooLarge, TooManyRequests),
    503: {
        **problems.responses(Unavailable)[503],
        "headers": {"Retry-After": {"schema": {"type": "string"}, "description": "A moment as an HTTP date"}},
    },
}


def _receiver(request: Request) -> PushReceiver:
    state = request.app.state
    if getattr(state, "callback_door", None) is None:
        state.callback_door = PushReceiver(service_of(request), ingest_settings())
    found: PushReceiver = state.callback_door
    return found


async def _answer(taken: Awaitable[str]) -> Response:
    try:
        async with asyncio.timeout(ANSWER_TIMEOUT):
            return PlainTextResponse(await taken)
    except (EventNotStored, TimeoutError) as error:
        again = format_datetime(clock.now() + RETRY_AFTER, usegmt=True)
        raise Unavailable(f"Not stored: {error or 'no time'}", headers={"Retry-After": again}) from error


@push_router.post(
    "/vk",
    response_class=PlainTextResponse,
    responses=_ANSWERS,
    openapi_extra=_event({"type": "confirmation", "group_id": 101, "v": "5.199"}),
    summary="An event of VK",
)
async def vk_event(request: Request) -> Response:
    """Callback API: known by `group_id` and `secret`; a second delivery of the same event changes nothing.

    A confirmation is answered while a server that was just set up awaits it, and refused at any other time.
    """
    return await _answer(_receiver(request).vk(await request.body(), client_address(request)))


@push_router.post(
    "/ok/{secret}",
    response_class=PlainTextResponse,
    responses=_ANSWERS | problems.responses(Invalid, NotFound),
    openapi_extra=_event(
        {
            "webhookType": "MESSAGE_CREATED",
            "sender": {"user_id": "user:700001", "name": "Имя"},
            "recipient": {"chat_id": "chat:C0ffee00"},
            "message": {"text": "Здравствуйте", "seq": 115000000000000001, "mid": "mid:C0ffee00.1"},
            "timestamp": 1767225600000,
        }
    ),
    summary="An event of OK",
)
async def ok_event(request: Request, secret: str) -> Response:
    """Bot API: the address itself is the secret."""
    # What may be logged from here on must not show it.
    request.scope["path"] = LOGGED_PATH
    request.scope["raw_path"] = LOGGED_PATH.encode()
    try:
        return await _answer(_receiver(request).ok(secret, await request.body(), client_address(request)))
    except Problem:
        raise
    except Exception as bug:  # told here: whoever logs it further out knows the address
        if is_outage(bug):
            raise of_outage(request.method) from bug
        log.exception("a pushed event failed")
        raise Problem(UNEXPECTED) from bug


@router.get(
    "/sources/{page_id}/callback",
    tags=["sources"],
    responses=ITEM_PROBLEMS,
    summary="Where a page's events are pushed to",
)
async def get_callback(session: Reading, caller: SourceReader, page_id: UUID) -> CallbackOut:
    """Whether the network pushes, and why not if it does not; the secret is never shown."""
    return await admin.get_registration(session, caller, page_id)


@router.put(
    "/sources/{page_id}/callback",
    tags=["sources"],
    responses=ITEM_PROBLEMS | problems.responses(Conflict),
    summary="Take pushed events under this secret",
)
async def put_callback(session: Writing, caller: SourceManager, page_id: UUID, given: CallbackIn) -> CallbackOut:
    """For a server that a person set up in the network; it is not watched over."""
    return await admin.register_manually(session, caller, page_id, given)


@router.delete(
    "/sources/{page_id}/callback",
    tags=["sources"],
    status_code=204,
    responses=ITEM_PROBLEMS,
    summary="Take no more events under the page's secret",
)
async def delete_callback(session: Writing, caller: SourceManager, page_id: UUID) -> None:
    """A page that is watched over gets a server of its own again."""
    await admin.remove_registration(session, caller, page_id)
