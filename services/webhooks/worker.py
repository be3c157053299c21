"""Background work of webhooks: make deliveries and notices from events, send them, and purge expired rows."""

import asyncio
from datetime import timedelta

from services.webhooks import retention
from services.webhooks.deliveries.dispatcher import Dispatcher
from services.webhooks.deliveries.fanout import ACCESS_EVENT_TYPES, CONSUMER, fan_out
from services.webhooks.endpoints import disabling, pending_deliveries
from services.webhooks.event_catalogue.catalogue import WebhookEventType
from services.webhooks.notices.mail import outcomes
from services.webhooks.notices.mail.claims import is_any_due
from services.webhooks.notices.mail.sender import IDLE_SECONDS, MailServerState, NoticeSender
from services.webhooks.notices.messages.account_events import ACCOUNT_EVENT_TYPES, handle_account_events
from services.webhooks.notices.messages.due_messages import write_due_messages
from services.webhooks.notices.messages.message_letters import hand_over_due
from services.webhooks.notices.recording import record_notices
from services.webhooks.notices.reports.report_pdf import ReportPdfs, pdf_reader
from services.webhooks.schemas.notices import NoticeEventType
from services.webhooks.settings import webhooks_settings
from shared import encryption
from shared.database.purge import RetentionSettings, purge_tables
from shared.events.consumer import Consumer
from shared.jobs import Jobs
from shared.logs import get_logger
from shared.service import Service
from shared.tables.notices import NoticeSettings
from shared.tables.webhooks import WebhookEndpoint, WebhooksConsumerOffset

log = get_logger(__name__)

SUPPRESS_SECONDS = 60.0
ENCRYPTED_COLUMNS: tuple[encryption.EncryptedColumn, ...] = (
    (WebhookEndpoint.id, WebhookEndpoint.secret),
    (WebhookEndpoint.id, WebhookEndpoint.headers),
    (NoticeSettings.person_id, NoticeSettings.address),
    (NoticeSettings.person_id, NoticeSettings.former_address),
)


def fanout_consumer(queue: Jobs | None = None) -> Consumer:
    """Return the consumer that makes deliveries from events; events that it cannot handle go to `queue`."""
    types = (*WebhookEventType, *ACCESS_EVENT_TYPES)
    return Consumer(CONSUMER, WebhooksConsumerOffset, types, fan_out, queue)


def notices_consumer(queue: Jobs | None = None) -> Consumer:
    """Return the consumer that makes notices from events; events that it cannot handle go to `queue`."""
    return Consumer("webhooks-notices", WebhooksConsumerOffset, tuple(NoticeEventType), record_notices, queue)


async def run_notice_sender(service: Service, state: MailServerState) -> None:
    """Send letters; without a mail server suppress waiting notices. `state` shows whether the server accepts
    letters.
    """
    config = webhooks_settings()
    if config.sends_email:
        reports = ReportPdfs(pdf_reader(service), config.notices_max_pdf_mb * 1024 * 1024)
        try:
            await NoticeSender(service.database, config, service.settings.public_url, state, reports).run()
        finally:
            reports.close()
    while True:
        # Includes notices that could not be sent in a network and were moved to e-mail.
        if count := await outcomes.suppress_waiting(service.database):
            log.warning("notices waited for e-mail, which is switched off", count=count)
        await asyncio.sleep(SUPPRESS_SECONDS)


def accounts_consumer(queue: Jobs | None = None) -> Consumer:
    """Return the consumer that links accounts by codes and stores the outcomes of messages with notices."""
    return Consumer(
        "webhooks-notice-accounts", WebhooksConsumerOffset, ACCOUNT_EVENT_TYPES, handle_account_events, queue
    )


async def run_notice_messages(service: Service) -> None:
    """Store messages with the notices that are due in networks, and hand them over to ingest."""
    config = webhooks_settings()
    front_end_url = config.front_end_url or service.settings.public_url
    while True:
        count = 0
        if await is_any_due(service.database):
            count = await write_due_messages(service.database, front_end_url)
            count += await hand_over_due(service.database, service.client(), front_end_url)
        if not count:
            await asyncio.sleep(IDLE_SECONDS)


async def run_dispatcher(service: Service) -> None:
    """Send due deliveries until cancelled."""
    production = service.settings.environment == "production"
    await Dispatcher(service.database, webhooks_settings(), https_only=production).run()


def register_schedules(service: Service, queue: Jobs) -> None:
    """Register the handlers of scheduled jobs."""

    @queue.schedule("purge", "37 * * * *")
    async def purge_expired() -> None:
        terms = RetentionSettings()
        await purge_tables(service.database, [*retention.purge_rules(terms), *queue.purge_rules(terms)])

    @queue.schedule("fail-held-deliveries", "43 * * * *")
    async def fail_held_deliveries() -> None:
        term = timedelta(days=RetentionSettings().deliveries_days)
        if count := await pending_deliveries.fail_held(service.database, term):
            log.warning(
                "deliveries of paused or unverified endpoints failed after the retention period", count=count
            )
        async with service.database.write() as session:
            disabled = await disabling.disable_without_challenge(session)
        if disabled:
            log.warning("unverified endpoints disabled because their challenge had failed", count=disabled)

    @queue.schedule("reencrypt-secrets", "51 18 * * *")
    async def reencrypt_secrets() -> None:
        await encryption.reencrypt(service.database, webhooks_settings().encryption_keys, ENCRYPTED_COLUMNS)
