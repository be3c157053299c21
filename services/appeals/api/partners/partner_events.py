"""The route to which partner systems send signed events."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from services.appeals.answers.recorded_answers import NewRecordedAnswer
from services.appeals.partners import event_effects, partners
from services.appeals.partners.entitlement import partner_caller
from services.appeals.partners.event_effects import NamedAppeal, ReportedStatus
from services.appeals.partners.message_signature import (
    ID_HEADER,
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    NotVerified,
    SignedMessage,
)
from services.appeals.partners.received_events import EventEffect, find_partner, process_once
from services.appeals.schemas.partners.partner_events import (
    PARTNER_EVENT_MODELS,
    AppealAnswerEvent,
    AppealCreateEvent,
    AppealStatusEvent,
    NamedAppealIn,
    PartnerEventIn,
    PartnerEventModel,
    PartnerEventReceipt,
)
from services.appeals.settings import settings
from shared import clock
from shared.api.raw_body import RawBody
from shared.api.response_headers import with_headers
from shared.audit import recorder
from shared.auth.callers import Caller, check_rate_limit, set_log_context
from shared.auth.rights import Right
from shared.database.sessions import WriteSession
from shared.http import problems
from shared.http.client_address import client_address, counted_address
from shared.http.json_depth import DEEPEST, too_deep
from shared.http.problems import (
    BadRequest,
    Conflict,
    Duplicate,
    Forbidden,
    Invalid,
    KeyReused,
    NotFound,
    ReplyBeingWritten,
    ReplyUnderWay,
    TooLarge,
    TooManyRequests,
    Unauthenticated,
    Unavailable,
)
from shared.http.rate_limit import Quota
from shared.logs import get_logger
from shared.security_log import log_security_event
from shared.service import UncheckedWriteTransaction
from shared.signing_secrets import UndecryptableSecret, new_secret
from shared.tables.appeals_partners import Partner

log = get_logger(__name__)

router = APIRouter(tags=["partners"])

EVENTS_PATH = "/api/v1/partners/{partner_id}/events"
MAX_EVENT_BODY = 256 * 1024
# One text for every reason, so that nobody learns which partners exist or what was wrong with a guess.
NOT_VERIFIED = "The event is not signed by a partner with this id, or its time is not within five minutes of ours"
EVENT_RIGHTS = {
    AppealCreateEvent: Right.APPEALS_OPEN,
    AppealStatusEvent: Right.APPEALS_WORK,
    AppealAnswerEvent: Right.APPEALS_ANSWER,
}
_NOBODYS_SECRET = new_secret()


@dataclass(frozen=True)
class PartnerQuotas:
    """The rate limits of this process: events by the partner's organisation, refused messages by address."""

    events: Quota
    refusals: Quota


def _quotas(request: Request) -> PartnerQuotas:
    state = request.app.state
    if getattr(state, "partner_quotas", None) is None:
        config = settings()
        state.partner_quotas = PartnerQuotas(
            Quota(config.partner_events_per_minute, 60), Quota(config.partner_refusals_per_minute, 60)
        )
    found: PartnerQuotas = state.partner_quotas
    return found


def _header(name: str, description: str, example: str) -> dict[str, Any]:
    return {
        "name": name,
        "in": "header",
        "required": True,
        "description": description,
        "schema": {"type": "string"},
        "example": example,
    }


_DESCRIPTION: dict[str, Any] = {
    "parameters": [
        _header(ID_HEADER, "The event's id, the same when it is sent again", "evt_2026-11-0417_1"),
        _header(TIMESTAMP_HEADER, "Unix time of this request", "1795399204"),
        _header(
            SIGNATURE_HEADER,
            "`v1,` and the base64 of HMAC-SHA256 over `{webhook-id}.{webhook-timestamp}.{body}`; several are "
            "separated by spaces",
            "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=",
        ),
    ],
}


@router.post(
    "/partners/{partner_id}/events",
    responses=problems.responses(
        BadRequest,
        Unauthenticated,
        Forbidden,
        NotFound,
        Conflict,
        Duplicate,
        ReplyUnderWay,
        ReplyBeingWritten,
        TooLarge,
        Invalid,
        KeyReused,
        TooManyRequests,
        Unavailable,
    )
    | with_headers(200, "Idempotent-Replay", "RateLimit", "RateLimit-Policy"),
    openapi_extra=_DESCRIPTION,
    summary="Send a signed event as a partner system",
)
async def receive_partner_event(
    *,
    request: Request,
    partner_id: UUID,
    body: Annotated[bytes, Depends(RawBody(PartnerEventIn))],
    session: UncheckedWriteTransaction,
    response: Response,
) -> PartnerEventReceipt:
    """Process an event signed with the partner's secret as Standard Webhooks defines; no token is needed.

    `appeal.create` opens an appeal. `appeal.status` reports how far the partner is, and never moves or closes the
    appeal. `appeal.answer` records an answer, or drafts it if the citizen wrote in a network. An event is
    processed once: the same `webhook-id` gets the first receipt, with `Idempotent-Replay`. A refused event is not
    stored and may be sent again with the same id.

    A wrong signature, a time more than five minutes from ours and an unknown partner get the same 401. 403 if the
    partner is inactive or its owner has lost a right; 404 for an appeal that the partner cannot reach.
    """
    partner, message = await _verified(request, session, partner_id, body)
    event = _parsed(message.body)
    caller = await partner_caller(session, partner, EVENT_RIGHTS[type(event)])
    context = recorder.request_audit_context(request)
    context.actor, context.on_behalf_of = caller.actor, str(partner.owner_id)

    async def process() -> EventEffect:
        with _pointers_into_data():
            return await _process(session, partner, caller, event)

    receipt, repeated = await process_once(session, partner, message, event.type, process)
    if repeated:
        response.headers["Idempotent-Replay"] = "true"
    return PartnerEventReceipt.model_validate(receipt, from_attributes=True)


async def _verified(
    request: Request, session: WriteSession, partner_id: UUID, body: bytes
) -> tuple[Partner, SignedMessage]:
    """Return the partner and its verified message. Raise `Unauthenticated` for every other message, and
    `TooManyRequests` above the limit of its organisation, or after too many refused messages from this address.
    """
    set_log_context(request, None)
    quotas, address = _quotas(request), client_address(request)
    if wait := quotas.refusals.wait_seconds(counted_address(address)):
        raise TooManyRequests(
            f"Too many events from this address were refused: try again in {wait} s",
            headers={"Retry-After": str(wait)},
        )
    try:
        message = SignedMessage.read(request.headers, body)
        partner = await _sender(session, partner_id, message)
    except NotVerified as refused:
        quotas.refusals.take(counted_address(address))
        log_security_event(
            "partner_event_refused", partner_id=str(partner_id), reason=refused.defect, ip_address=address
        )
        raise Unauthenticated(NOT_VERIFIED) from refused
    set_log_context(request, str(partner.id), str(partner.owner_id))
    # Only verified messages count, so that a stranger cannot use up the limit. All partners of an organisation
    # share one limit: otherwise more partners would raise it.
    check_rate_limit(request, str(partner.organisation_id), quotas.events)
    return partner, message


async def _sender(session: WriteSession, partner_id: UUID, message: SignedMessage) -> Partner:
    """Return the partner that signed the message. Raise `NotVerified` if the partner with this id did not."""
    found = await find_partner(session, partner_id)
    if found is None:
        with suppress(NotVerified):  # refusing an unknown partner takes as long as refusing a wrong signature
            message.verify([_NOBODYS_SECRET], clock.now())
        raise NotVerified("partner")
    partner, now = found
    try:
        secrets = partners.secret_cipher().decrypt(partner.secret).active(now)
    except UndecryptableSecret as error:
        log.warning("no key decrypts the secret of a partner", partner_id=str(partner_id))
        raise NotVerified("secret") from error
    message.verify(secrets, now)
    return partner


def _parsed(body: bytes) -> PartnerEventModel:
    """Return the event in a verified body. Raise `BadRequest` for a body that is not JSON, `Invalid` naming an
    unknown type, `RequestValidationError` for wrong fields.
    """
    if too_deep(body):
        raise BadRequest(f"The nesting of the body is deeper than {DEEPEST} levels")
    try:
        # Given bytes, `json` would guess the encoding, but the depth was checked as UTF-8.
        document = json.loads(body.decode())
    except ValueError as error:
        raise BadRequest("The body is not JSON in UTF-8") from error
    kind = document.get("type") if isinstance(document, dict) else None
    model = PARTNER_EVENT_MODELS.get(kind) if isinstance(kind, str) else None
    if model is None:
        # A lone surrogate cannot be encoded in the response.
        shown = str(kind)[:100].encode(errors="replace").decode()
        raise Invalid.field("/type", f"Unknown type «{shown}»: give one of {', '.join(PARTNER_EVENT_MODELS)}")
    try:
        return model.model_validate(document)
    except ValidationError as error:
        found = [item | {"loc": ("body", *item["loc"])} for item in error.errors()]
        raise RequestValidationError(found) from error


@contextmanager
def _pointers_into_data() -> Iterator[None]:
    """Prefix the pointers of `Invalid` with `/data`: the domain functions name fields of the event's `data`."""
    try:
        yield
    except Invalid as problem:
        problem.errors = [
            error.model_copy(update={"pointer": f"/data{error.pointer}"}) for error in problem.errors
        ]
        raise


async def _process(
    session: WriteSession, partner: Partner, caller: Caller, event: PartnerEventModel
) -> EventEffect:
    match event:
        case AppealCreateEvent(data=data):
            appeal = data.with_source(partner.source)
            submission = appeal.submission()
            assert submission is not None
            return await event_effects.open_appeal(
                session, caller, data.text, appeal.corrections(), submission, url=data.url
            )
        case AppealStatusEvent(data=data):
            reported = ReportedStatus(data.status, data.note, event.timestamp)
            return await event_effects.record_status(session, partner, caller, _named(data), reported)
        case AppealAnswerEvent(data=data):
            fields = data.model_dump(exclude={"external_id", "appeal_id"})
            return await event_effects.record_answer(
                session, partner, caller, _named(data), NewRecordedAnswer(**fields)
            )


def _named(data: NamedAppealIn) -> NamedAppeal:
    return NamedAppeal(data.external_id, data.appeal_id)
