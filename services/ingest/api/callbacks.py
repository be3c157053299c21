"""Endpoints that networks push events to, and the routes that configure them."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
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
from services.ingest.networks import catalogue
from services.ingest.networks.push_port import PushSpec
from services.ingest.schemas.callbacks import CallbackIn, CallbackOut
from services.ingest.settings import ingest_settings
from shared import clock
from shared.auth.callers import Caller, require_right
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
from shared.logs import get_logger
from shared.service import ReadTransaction, WriteTransaction, get_service

log = get_logger(__name__)

push_router = APIRouter(prefix="/callbacks", tags=["callbacks"])
router = APIRouter()

SourceReader = Annotated[Caller, require_right(Right.SOURCES_READ)]
SourceManager = Annotated[Caller, require_right(Right.SOURCES_MANAGE)]

# Sent in Retry-After when an event cannot be stored now.
RETRY_AFTER = timedelta(seconds=30)
# By network: the number of seconds after which the response says that the event was not stored.
ANSWER_TIMEOUTS = {
    name: spec.push.answer_seconds for name, spec in catalogue.NETWORKS.items() if spec.push is not None
}


def _event(example: Mapping[str, Any]) -> dict[str, Any]:
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
    if getattr(state, "push_receiver", None) is None:
        state.push_receiver = PushReceiver(get_service(request), ingest_settings())
    found: PushReceiver = state.push_receiver
    return found


async def _answer(network: str, taken: Awaitable[str]) -> Response:
    try:
        async with asyncio.timeout(ANSWER_TIMEOUTS[network]):
            return PlainTextResponse(await taken)
    except (EventNotStored, TimeoutError) as error:
        again = format_datetime(clock.now() + RETRY_AFTER, usegmt=True)
        detail = f"The event was not stored: {str(error) or 'the time limit was exceeded'}; deliver it again"
        raise Unavailable(detail, headers={"Retry-After": again}) from error


def _by_body(network: str) -> Callable[..., Awaitable[Response]]:
    async def receive_event(request: Request) -> Response:
        body, sender = await request.body(), client_address(request)
        return await _answer(network, _receiver(request).receive(network, body, sender, path_secret=None))

    return receive_event


def _by_path(network: str) -> Callable[..., Awaitable[Response]]:
    logged_path = f"/callbacks/{network}/…"

    async def receive_event(request: Request, secret: str) -> Response:
        # The path contains the secret, which later log entries must not contain.
        request.scope["path"] = logged_path
        request.scope["raw_path"] = logged_path.encode()
        try:
            body, sender = await request.body(), client_address(request)
            return await _answer(network, _receiver(request).receive(network, body, sender, path_secret=secret))
        except Problem:
            raise
        except Exception as bug:  # logged here, without the request and its secret path
            if is_outage(bug):
                raise of_outage(request.method) from bug
            log.exception("pushed event handler crashed")
            raise Problem(UNEXPECTED) from bug

    return receive_event


def _add_push_route(network: str, push: PushSpec) -> None:
    responses = _ANSWERS | (problems.responses(Invalid, NotFound) if push.has_secret_path else {})
    push_router.add_api_route(
        f"/{network}/{{secret}}" if push.has_secret_path else f"/{network}",
        _by_path(network) if push.has_secret_path else _by_body(network),
        methods=["POST"],
        name=f"receive_{network}_event",
        response_class=PlainTextResponse,
        responses=responses,
        openapi_extra=_event(push.example),
        summary=push.summary,
        description=push.description,
    )


for _network, _spec in catalogue.NETWORKS.items():
    if _spec.push is not None:
        _add_push_route(_network, _spec.push)


@router.get(
    "/sources/{page_id}/callback",
    tags=["sources"],
    responses=ITEM_PROBLEMS,
    summary="The callback registration of a page",
)
async def get_callback(session: ReadTransaction, caller: SourceReader, page_id: UUID) -> CallbackOut:
    """Return whether the network pushes the page's events, and the reason if it does not.

    The secret is never returned.
    """
    return await admin.get_registration(session, caller, page_id)


@router.put(
    "/sources/{page_id}/callback",
    tags=["sources"],
    responses=ITEM_PROBLEMS | problems.responses(Conflict),
    summary="Register a callback that was set up in the network",
)
async def set_callback(
    session: WriteTransaction, caller: SourceManager, page_id: UUID, given: CallbackIn
) -> CallbackOut:
    """Register a callback server that a person set up in the network. Ingest never changes it there."""
    return await admin.register_manually(session, caller, page_id, given)


@router.delete(
    "/sources/{page_id}/callback",
    tags=["sources"],
    status_code=204,
    responses=ITEM_PROBLEMS,
    summary="Delete the callback registration of a page",
)
async def delete_callback(session: WriteTransaction, caller: SourceManager, page_id: UUID) -> None:
    """Remove the registration. If ingest manages push for this network, it registers a new server for the page."""
    await admin.remove_registration(session, caller, page_id)
