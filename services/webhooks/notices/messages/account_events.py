"""Events about messages with people: codes that they wrote to a page, and outcomes of messages sent to them."""

from collections.abc import Sequence

from sqlalchemy import select

from services.webhooks.notices.messages import accounts, message_letters
from services.webhooks.notices.messages.accounts import WrittenCode
from services.webhooks.notices.preferences import settings_of
from services.webhooks.schemas.notices import AddressState
from services.webhooks.settings import webhooks_settings
from shared import clock
from shared.contracts.ingest_events import MessageReceived, PublicationFailed, PublicationPublished
from shared.contracts.notice_codes import read_code
from shared.contracts.stored_events import parse_event
from shared.database.sessions import WriteSession
from shared.tables.common import Event
from shared.tables.ingest import Message
from shared.tables.notices import NoticeLetter

ACCOUNT_EVENT_TYPES = tuple(
    model.event_type for model in (MessageReceived, PublicationPublished, PublicationFailed)
)


async def handle_account_events(session: WriteSession, events: Sequence[Event]) -> None:
    """Link the accounts whose codes were written, and store the outcomes of messages with notices. Idempotent."""
    parsed = [(event, parse_event(event)) for event in events]
    await _link(session, [(event, data) for event, data in parsed if isinstance(data, MessageReceived)])
    for _, data in parsed:
        if isinstance(data, PublicationPublished):
            await message_letters.record_sent(session, data.reply_id)
        elif isinstance(data, PublicationFailed):
            await message_letters.record_failed(session, data.reply_id, data.failure)


async def _link(session: WriteSession, received: Sequence[tuple[Event, MessageReceived]]) -> None:
    by_people = [event.subject_id for event, data in received if not data.from_community]
    if not by_people or not webhooks_settings().notices_pages:
        return
    pages = {page.id for page in (await accounts.pages_of_notices(session)).values()}
    rows = await session.execute(
        select(Message.id, Message.network, Message.kind, Message.page_id, Message.text).where(
            Message.id.in_(by_people), Message.erased_at.is_(None)
        )
    )
    codes = [
        WrittenCode(row.id, row.network, digits, to_us=row.kind == "message" and row.page_id in pages)
        for row in rows
        if (digits := read_code("message", row.text)) is not None
    ]
    linked = await accounts.link_by_codes(session, codes, webhooks_settings().encryption_keys)
    settings = await settings_of(session, {account.person_id for account in linked})
    for account in linked:
        message_letters.add_letter(session, account, "linked", accounts.linked_text(account.network))
        known = settings.get(account.person_id)
        if known is not None and known.address_state == AddressState.CONFIRMED:
            # Warn the person: if somebody else wrote the code, they get the person's notices from now on.
            letter = NoticeLetter(person_id=account.person_id, purpose="linked", next_attempt_at=clock.now())
            session.add(letter)
