"""A person's notice settings: when and where each kind is sent, and the address with its confirmation."""

from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from cryptography.fernet import InvalidToken
from pydantic import SecretStr
from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import load_only

from services.webhooks.notices import links
from services.webhooks.schemas.notices import (
    DEFAULT_DELIVERY,
    AddressState,
    NoticeChannel,
    NoticeDelivery,
    NoticeKind,
    NoticeReason,
    NoticeSettingsUpdate,
)
from shared import clock, encryption
from shared.api.preconditions import check_version
from shared.auth.callers import Caller
from shared.auth.grant_limits import require_grantable_rights, require_scope_not_wider
from shared.auth.rights import Role
from shared.database.sessions import WriteSession
from shared.http.problems import Forbidden, Invalid, NotFound, TooManyRequests
from shared.tables.notices import Notice, NoticeLetter, NoticeSettings
from shared.tables.registry import ApiClient, Person

MAX_CONFIRMATIONS_PER_DAY = 5
# Higher than the limit for one person, since people may share a mailbox.
MAX_CONFIRMATIONS_PER_ADDRESS = 10
# More than one, since a single refusal may be an error of the mail server.
MAX_BOUNCES = 3
_DAY = timedelta(days=1)
_ADDRESS_REASONS = {
    AddressState.NONE: NoticeReason.NO_ADDRESS,
    AddressState.UNCONFIRMED: NoticeReason.ADDRESS_UNCONFIRMED,
    AddressState.BOUNCING: NoticeReason.ADDRESS_BOUNCES,
}


async def own_id(session: AsyncSession, caller: Caller) -> UUID:
    """Return the id of the calling person. Raise `Forbidden` for an API client: only people get notices."""
    person_id = UUID(caller.subject)
    if await session.scalar(select(ApiClient.id).where(ApiClient.id == person_id)) is not None:
        raise Forbidden("Only people get notices: an API client can subscribe to events instead")
    return person_id


async def require_person(session: AsyncSession, caller: Caller, person_id: UUID) -> None:
    """Raise `NotFound` unless the person exists in the caller's scope."""
    query = select(Person.id).where(Person.id == person_id, caller.scope(Person.organisation_id))
    if await session.scalar(query) is None:
        raise NotFound("No such person")


async def require_changeable_person(session: AsyncSession, caller: Caller, person_id: UUID) -> None:
    """Raise the errors of `require_person`, and `Forbidden` if the person's access is wider than the caller's.

    Notices and reports sent to the address show what the person may see, and a caller could enter the address of
    their own mailbox.
    """
    person = await session.scalar(
        select(Person)
        .options(load_only(Person.role, Person.include_subordinates, raiseload=True))
        .where(Person.id == person_id, caller.scope(Person.organisation_id))
    )
    if person is None:
        raise NotFound("No such person")
    require_scope_not_wider(caller, person)
    require_grantable_rights(caller, Role(person.role))


async def get(session: AsyncSession, person_id: UUID) -> NoticeSettings:
    """Return the settings of a person; the defaults, with version 0, if the person has stored none."""
    return await session.get(NoticeSettings, person_id) or _initial(person_id)


async def lock(session: WriteSession, person_id: UUID, version: int | None = None) -> NoticeSettings:
    """Lock and return the settings of a person, new ones if there are none. Raise the errors of
    `check_version`.
    """
    # Two concurrent first changes must not both insert the row.
    key = func.hashtextextended(f"notice settings {person_id}", 0)
    await session.execute(select(func.pg_advisory_xact_lock(key)))
    settings = await session.scalar(
        select(NoticeSettings).where(NoticeSettings.person_id == person_id).with_for_update()
    )
    check_version(0 if settings is None else settings.version, version)
    if settings is None:
        settings = _initial(person_id)
        session.add(settings)
    return settings


async def change(
    session: WriteSession,
    settings: NoticeSettings,
    wanted: NoticeSettingsUpdate,
    keys: SecretStr,
    *,
    linked: Collection[str],
) -> None:
    """Change the given fields of locked settings; `linked`: the networks in which the person has a linked account.

    Raise the errors of `set_address`, and `Invalid` naming a kind whose channel is not linked.
    """
    for kind, channel in (wanted.channels or {}).items():
        if channel is not NoticeChannel.EMAIL and channel not in linked:
            raise Invalid.field(f"/channels/{kind}", "Link your account in this network first")
    if wanted.channels is not None:
        chosen = {kind.value: channel.value for kind, channel in wanted.channels.items()}
        settings.channels = settings.channels | chosen
        await _move_waiting_notices(session, settings.person_id, chosen)
    if wanted.choices is not None:
        settings.choices = settings.choices | {kind.value: how.value for kind, how in wanted.choices.items()}
    if wanted.urgent_at_any_hour is not None:
        settings.urgent_at_any_hour = wanted.urgent_at_any_hour
    if "address" in wanted.model_fields_set:
        await set_address(session, settings, wanted.address, keys)
    await save(session, settings)


async def _move_waiting_notices(session: WriteSession, person_id: UUID, channels: Mapping[str, str]) -> None:
    """Move the waiting notices of a person to the channels now chosen for their kinds."""
    for kind, channel in channels.items():
        await session.execute(
            update(Notice)
            .where(
                Notice.person_id == person_id,
                Notice.kind == kind,
                Notice.status == "waiting",
                Notice.letter_id.is_(None),
            )
            .values(channel=channel)
            .execution_options(synchronize_session=False)
        )


async def save(session: WriteSession, settings: NoticeSettings) -> None:
    """Increase the version of changed settings, and flush them."""
    settings.version += 1
    await session.flush()


async def set_address(
    session: WriteSession,
    settings: NoticeSettings,
    address: str | None,
    keys: SecretStr,
    *,
    by_another: bool = False,
) -> None:
    """Set the address of locked settings and queue a letter with a confirmation link; None removes the address.

    An unchanged address stays confirmed. If another person replaces or removes a confirmed address, it gets a
    letter about it. Raise `TooManyRequests` after several links within a day, so that nobody can send many letters
    to strangers.
    """
    same = address_of(settings, keys) == address
    if by_another and not same and settings.address_state == AddressState.CONFIRMED:
        await _queue_letter_about_replacement(session, settings)
    if address is None:
        settings.address_generation += settings.address is not None
        settings.address, settings.address_state, settings.confirmation_nonce = None, AddressState.NONE.value, None
        return
    if same and settings.address_state == AddressState.CONFIRMED:
        return
    since = clock.now() - _DAY
    digest = links.address_digest(keys, address)
    letters = (NoticeLetter.person_id == settings.person_id, NoticeLetter.purpose == "confirmation")
    for sent, maximum in (
        (letters, MAX_CONFIRMATIONS_PER_DAY),
        ((NoticeLetter.address_digest == digest,), MAX_CONFIRMATIONS_PER_ADDRESS),
    ):
        count = await session.scalar(select(func.count()).where(*sent, NoticeLetter.created_at > since)) or 0
        if count >= maximum:
            raise TooManyRequests(
                f"{maximum} confirmation links were sent within a day: try again tomorrow",
                headers={"Retry-After": str(int(_DAY.total_seconds()))},
            )
    await session.execute(
        update(NoticeLetter).where(*letters, NoticeLetter.status == "waiting").values(status="cancelled")
    )
    if not same:
        settings.address = encryption.encrypt(keys, address)
        settings.address_generation += 1
    settings.address_state, settings.confirmation_nonce = AddressState.UNCONFIRMED.value, uuid4()
    settings.bounces = 0
    session.add(
        NoticeLetter(
            person_id=settings.person_id,
            purpose="confirmation",
            address_digest=digest,
            next_attempt_at=clock.now(),
        )
    )


async def _queue_letter_about_replacement(session: WriteSession, settings: NoticeSettings) -> None:
    """Queue a letter to the former address saying that it was replaced, unless such a letter is still waiting."""
    waiting = select(NoticeLetter.id).where(
        NoticeLetter.person_id == settings.person_id,
        NoticeLetter.purpose == "replaced",
        NoticeLetter.status == "waiting",
    )
    if await session.scalar(waiting) is None:
        settings.former_address = settings.address
        session.add(NoticeLetter(person_id=settings.person_id, purpose="replaced", next_attempt_at=clock.now()))


async def confirm(session: WriteSession, person_id: UUID, nonce: UUID) -> bool:
    """Confirm the address with this nonce; return False if the address was changed or the link already used."""
    settings = await lock(session, person_id)
    if settings.confirmation_nonce != nonce:
        return False
    settings.address_state, settings.confirmation_nonce = AddressState.CONFIRMED.value, None
    settings.bounces = 0
    await save(session, settings)
    return True


async def unsubscribe(session: WriteSession, person_id: UUID, kinds: Collection[NoticeKind]) -> None:
    """Set these kinds of notices to `never` for the person."""
    settings = await lock(session, person_id)
    choices = settings.choices | {kind.value: NoticeDelivery.NEVER.value for kind in kinds}
    if choices != settings.choices:
        settings.choices = choices
        await save(session, settings)


def count_bounce(settings: NoticeSettings, letter: NoticeLetter) -> None:
    """Count a refused letter in locked settings; stop using the address after several, or after its
    confirmation letter.

    A letter to a former address changes nothing.
    """
    if letter.address_generation != settings.address_generation:
        return
    settings.bounces += 1
    if settings.bounces >= MAX_BOUNCES or letter.purpose == "confirmation":
        settings.address_state, settings.confirmation_nonce = AddressState.BOUNCING.value, None
        settings.version += 1


def address_of(settings: NoticeSettings, keys: SecretStr) -> str | None:
    """Return the decrypted address; None if there is none, or no key can decrypt it now."""
    return _decrypted(keys, settings.address)


def former_address_of(settings: NoticeSettings, keys: SecretStr) -> str | None:
    """Return the decrypted former address that somebody else replaced; None as in `address_of`."""
    return _decrypted(keys, settings.former_address)


def _decrypted(keys: SecretStr, stored: bytes | None) -> str | None:
    if stored is None:
        return None
    try:
        address: str = encryption.decrypt(keys, stored)
    except InvalidToken:
        return None
    return address


async def settings_of(session: AsyncSession, people: Collection[UUID]) -> dict[UUID, NoticeSettings]:
    """Return the stored settings of these people, by person."""
    rows = await session.scalars(select(NoticeSettings).where(NoticeSettings.person_id.in_(people)))
    return {row.person_id: row for row in rows}


def choices_of(settings: NoticeSettings | None) -> Mapping[NoticeKind, NoticeDelivery]:
    """Return when each kind of notice is sent, as the person chose or by default."""
    chosen = {} if settings is None else settings.choices
    return DEFAULT_DELIVERY | {NoticeKind(kind): NoticeDelivery(how) for kind, how in chosen.items()}


def channels_of(settings: NoticeSettings | None) -> Mapping[NoticeKind, NoticeChannel]:
    """Return the channel of each kind of notice, as the person chose; by default e-mail."""
    chosen = {} if settings is None else settings.channels
    by_email = dict.fromkeys(NoticeKind, NoticeChannel.EMAIL)
    return by_email | {NoticeKind(kind): NoticeChannel(channel) for kind, channel in chosen.items()}


def suppression_reason(
    settings: NoticeSettings | None, kind: NoticeKind, channel: NoticeChannel = NoticeChannel.EMAIL
) -> NoticeReason | None:
    """Return why the person gets no notices of this kind by the channel; None if the person gets them."""
    if choices_of(settings)[kind] is NoticeDelivery.NEVER:
        return NoticeReason.UNSUBSCRIBED
    if channel is not NoticeChannel.EMAIL:
        return None
    state = AddressState.NONE if settings is None else AddressState(settings.address_state)
    return _ADDRESS_REASONS.get(state)


def may_wake(settings: NoticeSettings | None, kind: NoticeKind, details: Mapping[str, Any]) -> bool:
    """Return whether this notice may be sent at any hour: an escalation of an urgent appeal, if chosen."""
    urgent = kind is NoticeKind.ESCALATION and details.get("urgent") is True
    return urgent and settings is not None and settings.urgent_at_any_hour


def _initial(person_id: UUID) -> NoticeSettings:
    return NoticeSettings(
        person_id=person_id,
        choices={},
        channels={},
        urgent_at_any_hour=False,
        address_state=AddressState.NONE.value,
        address_generation=0,
        bounces=0,
        version=0,
    )
