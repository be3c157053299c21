"""Show, register and remove the callback registration of a page for the API."""

import re
from dataclasses import replace
from uuid import UUID

from pydantic import SecretStr
from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from services.ingest import callback_registrations
from services.ingest.networks import catalogue
from services.ingest.networks.port import CallbackState, RegisteredCallback
from services.ingest.schemas.callbacks import CallbackIn, CallbackOut
from services.ingest.settings import ingest_settings
from shared import clock
from shared.audit import recorder
from shared.auth.callers import Caller
from shared.database.sessions import WriteSession
from shared.http.problems import Conflict, FieldError, Invalid, NotFound
from shared.settings import settings
from shared.tables.ingest import CallbackRegistration
from shared.tables.registry import Page

HIDDEN_VALUE = "…"
# How long, in seconds, the network may request the confirmation code after each registration.
CONFIRMATION_WINDOW_SECONDS = 1_800.0
_SECRET = re.compile(r"[A-Za-z0-9._~-]{6,50}")
_CODE = re.compile(r"[A-Za-z0-9]{1,100}")


async def get_registration(session: AsyncSession, caller: Caller, page_id: UUID) -> CallbackOut:
    """Return the registration of a page without its secret.

    Raises `NotFound` for a page out of the caller's scope or without a registration.
    """
    page = await _page(session, caller, page_id)
    kept = (await callback_registrations.registrations_by_page(session, page.network, [page_id])).get(page_id)
    if kept is None:
        raise NotFound("No such callback registration")
    return _out(page, kept)


async def register_manually(
    session: WriteSession, caller: Caller, page_id: UUID, given: CallbackIn
) -> CallbackOut:
    """Accept events of a page under a secret that a person configured in the network. Ingest never changes
    this configuration.

    Raises `NotFound`, `Invalid`, and `Conflict` if another page of the network uses this secret, or if the network
    does not push events.
    """
    page = await _page(session, caller, page_id)
    if catalogue.push_spec(page.network) is None:
        raise Conflict("This network does not push events")
    secret = given.secret.get_secret_value()
    if not _SECRET.fullmatch(secret):
        raise _wrong("/secret", "The secret must have 6 to 50 characters: Latin letters, digits and - . _ ~")
    code = _code(given.confirmation_code)
    before = (await callback_registrations.registrations_by_page(session, page.network, [page_id])).get(page_id)
    same = before is not None and before.manual and before.secret == secret
    fresh = RegisteredCallback(
        page_id=page_id,
        url=_callback_url(page.network, secret),
        secret=secret,
        confirmation_code=code,
        manual=True,
        state=before.state if before is not None and same else CallbackState.PENDING,
        checked_at=clock.now(),
        confirmation_window_seconds=CONFIRMATION_WINDOW_SECONDS,
    )
    try:
        async with session.begin_nested():
            await callback_registrations.save_registration(session, page.network, fresh)
    except IntegrityError as error:
        raise Conflict("Another page already uses this secret") from error
    if before is not None:
        fresh = replace(fresh, last_event_at=before.last_event_at)
    return _out(page, fresh)


async def remove_registration(session: WriteSession, caller: Caller, page_id: UUID) -> None:
    """Delete the registration of a page; if ingest manages push for the network, it registers the page again.

    Raises `NotFound` for a page out of the caller's scope or without a registration.
    """
    page = await _page(session, caller, page_id)
    gone = await session.scalar(
        delete(CallbackRegistration)
        .where(CallbackRegistration.page_id == page_id)
        .returning(CallbackRegistration.page_id)
    )
    if gone is None:
        raise NotFound("No such callback registration")
    before = {"page_id": page.id, "network": page.network}
    await recorder.record(session, CallbackRegistration, [recorder.RowChange(subject_id=page_id, before=before)])


async def _page(session: AsyncSession, caller: Caller, page_id: UUID) -> Page:
    page = await session.scalar(select(Page).where(Page.id == page_id, caller.scope(Page.organisation_id)))
    if page is None:
        raise NotFound("No such page")
    return page


def _callback_url(network: str, secret: str) -> str:
    base = (ingest_settings().callbacks_url or settings().public_url).rstrip("/")
    push = catalogue.push_spec(network)
    return f"{base}/callbacks/{network}" + (f"/{secret}" if push is not None and push.has_secret_path else "")


def _code(given: SecretStr | None) -> str | None:
    code = given.get_secret_value() if given is not None else ""
    if code and not _CODE.fullmatch(code):
        raise _wrong(
            "/confirmation_code", "Give the code as the network shows it: 1 to 100 Latin letters and digits"
        )
    return code or None


def _wrong(pointer: str, detail: str) -> Invalid:
    return Invalid(detail, errors=[FieldError(pointer=pointer, detail=detail)])


def _out(page: Page, kept: RegisteredCallback) -> CallbackOut:
    return CallbackOut(
        page_id=kept.page_id,
        network=page.network,
        url=_callback_url(page.network, HIDDEN_VALUE)
        if kept.manual
        else kept.url.replace(f"/{kept.secret}", f"/{HIDDEN_VALUE}"),
        manual=kept.manual,
        state=kept.state.value,
        reason=kept.reason,
        has_confirmation_code=kept.confirmation_code is not None,
        checked_at=kept.checked_at,
        last_event_at=kept.last_event_at,
    )
