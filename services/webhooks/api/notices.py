"""Routes of notices: what people were notified of, and how they want to be notified."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response
from pydantic import TypeAdapter

from services.webhooks.notices import notice_lists, preferences
from services.webhooks.notices.messages import accounts
from services.webhooks.schemas.notices import (
    AddressState,
    Notice,
    NoticeAddress,
    NoticeAddressUpdate,
    NoticeSettings,
    NoticeSettingsUpdate,
)
from services.webhooks.settings import webhooks_settings
from shared.api.pagination import Page, PagingDep
from shared.api.preconditions import RequiredVersion, set_etag
from shared.auth.callers import Caller, CallerDep, require_right
from shared.auth.rights import Right
from shared.http.problems import (
    Forbidden,
    Invalid,
    NotFound,
    PreconditionFailed,
    PreconditionRequired,
    TooManyRequests,
    Unauthenticated,
    responses,
)
from shared.service import ReadTransaction, WriteTransaction
from shared.tables import notices as tables

router = APIRouter(tags=["notices"], responses=responses(Unauthenticated, Forbidden, Invalid))

NoticesReader = Annotated[Caller, require_right(Right.WEBHOOKS_READ)]
PeopleReader = Annotated[Caller, require_right(Right.PEOPLE_READ)]
PeopleManager = Annotated[Caller, require_right(Right.PEOPLE_MANAGE)]
_CHANGE_ERRORS = responses(PreconditionFailed, PreconditionRequired, TooManyRequests)
_NOTICES = TypeAdapter(list[Notice])


def _address(settings: tables.NoticeSettings, response: Response) -> NoticeAddress:
    set_etag(response, settings.version)
    return NoticeAddress(
        person_id=settings.person_id,
        version=settings.version,
        address=preferences.address_of(settings, webhooks_settings().encryption_keys),
        address_state=AddressState(settings.address_state),
    )


def _settings(settings: tables.NoticeSettings, response: Response) -> NoticeSettings:
    return NoticeSettings(
        **_address(settings, response).model_dump(),
        choices=dict(preferences.choices_of(settings)),
        channels=dict(preferences.channels_of(settings)),
        urgent_at_any_hour=settings.urgent_at_any_hour,
    )


@router.get("/me/notice-settings", summary="How the caller wants to be notified")
async def get_notice_settings(session: ReadTransaction, caller: CallerDep, response: Response) -> NoticeSettings:
    """Return the caller's choices for all kinds, defaults included, and the address. For people only."""
    person_id = await preferences.own_id(session, caller)
    return _settings(await preferences.get(session, person_id), response)


@router.patch("/me/notice-settings", summary="Change how the caller is notified", responses=_CHANGE_ERRORS)
async def update_notice_settings(
    *,
    body: NoticeSettingsUpdate,
    session: WriteTransaction,
    caller: CallerDep,
    version: RequiredVersion,
    response: Response,
) -> NoticeSettings:
    """Change the given fields. A new address is used once its owner has confirmed it on the page of the link that
    is sent there. `channels` names a network only for a linked account (`/me/notice-accounts`).

    Notices are sent in the working hours of the person's organisation. Only escalations of urgent appeals are sent
    at any hour, if `urgent_at_any_hour` is true.
    """
    person_id = await preferences.own_id(session, caller)
    settings = await preferences.lock(session, person_id, version)
    linked = (await accounts.linked_networks(session, [person_id])).get(person_id, set())
    await preferences.change(session, settings, body, webhooks_settings().encryption_keys, linked=linked)
    return _settings(settings, response)


@router.get(
    "/people/{person_id}/notice-address", summary="A person's notice address", responses=responses(NotFound)
)
async def get_notice_address(
    person_id: UUID, session: ReadTransaction, caller: PeopleReader, response: Response
) -> NoticeAddress:
    """Return the address and whether it is confirmed."""
    await preferences.require_person(session, caller, person_id)
    return _address(await preferences.get(session, person_id), response)


@router.put(
    "/people/{person_id}/notice-address",
    summary="Set a person's notice address",
    responses=responses(NotFound) | _CHANGE_ERRORS,
)
async def set_notice_address(
    *,
    person_id: UUID,
    body: NoticeAddressUpdate,
    session: WriteTransaction,
    caller: PeopleManager,
    version: RequiredVersion,
    response: Response,
) -> NoticeAddress:
    """Set the address; null removes it. It is used once its owner has confirmed it on the page of the
    link that is sent there.

    403 for a person whose access is wider than the caller's: their notices are about more than the caller may see.
    If somebody else replaces or removes a person's confirmed address, the old address gets a letter about it.
    """
    await preferences.require_changeable_person(session, caller, person_id)
    settings = await preferences.lock(session, person_id, version)
    by_another = caller.subject != str(person_id)
    keys = webhooks_settings().encryption_keys
    await preferences.set_address(session, settings, body.address, keys, by_another=by_another)
    await preferences.save(session, settings)
    return _address(settings, response)


@router.get("/me/notices", summary="List the caller's notices, newest first")
async def list_own_notices(
    *,
    session: ReadTransaction,
    caller: CallerDep,
    filters: Annotated[notice_lists.OwnNoticeFilter, Query()],
    paging: PagingDep,
    response: Response,
) -> Page[Notice]:
    """Return the caller's notices with their outcomes, also notices that were not sent."""
    person_id = await preferences.own_id(session, caller)
    rows = await notice_lists.list_own(session, person_id, filters, paging)
    items, cursor = paging.page(rows, lambda row: (row.created_at, row.id), response)
    return Page(items=_NOTICES.validate_python(items, from_attributes=True), next_cursor=cursor)


@router.get("/notices", summary="List people's notices, newest first")
async def list_notices(
    *,
    session: ReadTransaction,
    caller: NoticesReader,
    filters: Annotated[notice_lists.NoticeFilter, Query()],
    paging: PagingDep,
    response: Response,
) -> Page[Notice]:
    """Return notices of people in the caller's organisations; `status=failed` shows undelivered ones.

    Staff do not see notices of appeals that are out of their scope now.
    """
    rows = await notice_lists.list_notices(session, caller, filters, paging)
    items, cursor = paging.page(rows, lambda row: (row.created_at, row.id), response)
    return Page(items=_NOTICES.validate_python(items, from_attributes=True), next_cursor=cursor)
