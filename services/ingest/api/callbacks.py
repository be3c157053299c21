"""Endpoints that networks push events to, and the routes that configure them."""

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

# Sent in Retry-After when an event cannot be stored now.
RETRY_AFTER = timedelta(seconds=30)
# The networks wait 5 to 10 seconds for a response.
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
    """Store one VK Callback API event, authenticated by `group_id` and `secret`. Repeated deliveries are ignored.

    A confirmation request is answered only while a newly registered server waits for one; otherwise it gets 403.
    """
    return await _answer(_receiver(request).receive_vk(await request.body(), client_address(request)))


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
    """Store one OK Bot API event. The last path segment is the page's secret."""
    # The path contains the secret; logs written from here on must not.
    request.scope["path"] = LOGGED_PATH
    request.scope["raw_path"] = LOGGED_PATH.encode()
    try:
        return await _answer(_receiver(request).receive_ok(secret, await request.body(), client_address(request)))
    except Problem:
        raise
    except Exception as bug:  # logged here: outer handlers would log the secret path
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
    """Return whether the network pushes the page's events, and the reason if it does not.

    Never shows the secret.
    """
    return await admin.get_registration(session, caller, page_id)


@router.put(
    "/sources/{page_id}/callback",
    tags=["sources"],
    responses=ITEM_PROBLEMS | problems.responses(Conflict),
    summary="Take pushed events under this secret",
)
async def put_callback(session: Writing, caller: SourceManager, page_id: UUID, given: CallbackIn) -> CallbackOut:
    """Register a callback server that a person set up in the network. Ingest does not monitor or repair it."""
    return await admin.register_manually(session, caller, page_id, given)


@router.delete(
    "/sources/{page_id}/callback",
    tags=["sources"],
    status_code=204,
    responses=ITEM_PROBLEMS,
    summary="Take no more events under the page's secret",
)
async def delete_callback(session: Writing, caller: SourceManager, page_id: UUID) -> None:
    """Remove the registration. If ingest manages push for this network, it registers a new server for the page."""
    await admin.remove_registration(session, caller, page_id)
