"""Accounts of people in networks: linked by a code that the person writes to a page of the centre."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from pydantic import SecretStr
from sqlalchemy import select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession

from services.webhooks.notices import links
from services.webhooks.schemas.notices import AccountState, NoticeChannel
from services.webhooks.settings import webhooks_settings
from shared import clock
from shared.contracts.notice_codes import new_code, read_code
from shared.database.sessions import WriteSession
from shared.http.problems import Conflict, NotFound
from shared.logs import get_logger
from shared.tables.notices import Notice, NoticeAccount, NoticeSettings
from shared.tables.registry import Page

log = get_logger(__name__)

CODE_LIFETIME = timedelta(minutes=30)
_TITLES = {NoticeChannel.VK: "ВКонтакте", NoticeChannel.OK: "Одноклассниках"}


@dataclass(frozen=True)
class WrittenCode:
    """A code that somebody wrote; `to_us`: whether it was a direct message to a page that sends notices."""

    message_id: UUID
    network: str
    digits: str
    to_us: bool


async def pages_of_notices(session: AsyncSession) -> Mapping[str, Page]:
    """Return the pages that send notices as direct messages, by network."""
    named = webhooks_settings().notices_pages
    if not named:
        return {}
    rows = await session.scalars(
        select(Page).where(Page.active, tuple_(Page.network, Page.external_id).in_(named))
    )
    found = {page.network: page for page in rows}
    return {network: found[network] for network, _ in named if network in found}


async def accounts_of(session: AsyncSession, person_id: UUID) -> Mapping[str, NoticeAccount]:
    """Return the accounts of a person, by network."""
    rows = await session.scalars(select(NoticeAccount).where(NoticeAccount.person_id == person_id))
    return {row.network: row for row in rows}


async def linked_networks(session: AsyncSession, people: Collection[UUID]) -> dict[UUID, set[str]]:
    """Return the networks in which these people have a linked account, by person."""
    offered = [network for network, _ in webhooks_settings().notices_pages]
    if not offered:
        return {}
    rows = await session.execute(
        select(NoticeAccount.person_id, NoticeAccount.network).where(
            NoticeAccount.person_id.in_(people),
            NoticeAccount.network.in_(offered),
            NoticeAccount.state == AccountState.LINKED.value,
        )
    )
    found: dict[UUID, set[str]] = {}
    for row in rows:
        found.setdefault(row.person_id, set()).add(row.network)
    return found


async def begin_link(
    session: WriteSession, person_id: UUID, network: str, keys: SecretStr
) -> tuple[str, NoticeAccount, Page]:
    """Return a new code, the account's row, and the page to write the code to. An earlier code becomes invalid.

    Raise `Conflict` if this installation sends no notices in the network.
    """
    page = (await pages_of_notices(session)).get(network)
    if page is None:
        raise Conflict("This installation sends no notices in this network (GOSPABLIK_NOTICES_PAGES)")
    account = await _lock(session, person_id, network)
    if account is None:
        account = NoticeAccount(person_id=person_id, network=network, state=AccountState.PENDING.value)
        session.add(account)
    elif account.state == AccountState.ENDED.value:
        account.state = AccountState.PENDING.value
    code = new_code()
    digits = read_code("message", code)
    assert digits is not None
    account.code_digest = links.code_digests(keys, digits)[0]
    account.code_expires_at = clock.now() + CODE_LIFETIME
    await session.flush()
    return code, account, page


async def unlink(session: WriteSession, person_id: UUID, network: str) -> None:
    """Delete the account of a person; its waiting notices go by e-mail. Raise `NotFound` without an account."""
    account = await _lock(session, person_id, network)
    if account is None:
        raise NotFound("No such account")
    await session.delete(account)
    settings = await session.scalar(
        select(NoticeSettings).where(NoticeSettings.person_id == person_id).with_for_update()
    )
    if settings is not None and network in settings.channels.values():
        settings.channels = {kind: channel for kind, channel in settings.channels.items() if channel != network}
        settings.version += 1
    await fall_back(session, person_id, network)


async def end(session: WriteSession, person_id: UUID, network: str, reason: str) -> None:
    """End a linked account to which the network refuses messages; its waiting notices go by e-mail."""
    account = await _lock(session, person_id, network)
    if account is not None and account.state == AccountState.LINKED.value:
        account.state, account.ended_reason = AccountState.ENDED.value, reason
        account.ended_at = clock.now()
        account.message_id = None
        log.warning("notices by message ended", person_id=str(person_id), network=network, reason=reason)
    await fall_back(session, person_id, network)


async def fall_back(session: WriteSession, person_id: UUID, network: str) -> None:
    """Move the waiting notices of a person from the network to e-mail."""
    await session.execute(
        update(Notice)
        .where(
            Notice.person_id == person_id,
            Notice.channel == network,
            Notice.status == "waiting",
            Notice.letter_id.is_(None),
        )
        .values(channel=NoticeChannel.EMAIL.value)
        .execution_options(synchronize_session=False)
    )


async def link_by_codes(
    session: WriteSession, codes: Sequence[WrittenCode], keys: SecretStr
) -> list[NoticeAccount]:
    """Link the accounts to which these codes belong; return the linked accounts.

    A code works once and until it expires, so a message that is processed again links nothing. A code that was not
    written as a direct message to the page becomes invalid: others may have read it.
    """
    linked = []
    for written in codes:
        account = await session.scalar(
            select(NoticeAccount)
            .where(
                NoticeAccount.code_digest.in_(links.code_digests(keys, written.digits)),
                NoticeAccount.code_expires_at > clock.now(),
            )
            .with_for_update()
        )
        if account is None:
            continue
        account.code_digest = account.code_expires_at = None
        if not written.to_us or account.network != written.network:
            log.warning("account code not sent to the page as a direct message", person_id=str(account.person_id))
            continue
        account.state, account.message_id = AccountState.LINKED.value, written.message_id
        account.linked_at, account.ended_at, account.ended_reason = clock.now(), None, None
        linked.append(account)
    await session.flush()
    return linked


def linked_text(network: str) -> str:
    """Return the text of the message that confirms that the account is linked."""
    title = _TITLES[NoticeChannel(network)]
    return (
        f"Готово: эта переписка в {title} связана с вашей учётной записью в системе «Госпаблик». "
        "Выберите в настройках, какие уведомления присылать сюда. Отвечать на них здесь не нужно."
    )


async def _lock(session: WriteSession, person_id: UUID, network: str) -> NoticeAccount | None:
    return await session.scalar(
        select(NoticeAccount)
        .where(NoticeAccount.person_id == person_id, NoticeAccount.network == network)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
