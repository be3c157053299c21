"""Build the webhooks service: its routes, event streams, jobs, event consumers and worker loops."""

# ruff: noqa: PLC0415 - the worker does not load what only the API serves

from services.webhooks import worker
from services.webhooks.notices.mail.sender import MailServerState
from services.webhooks.stream.live_stream import LiveStream
from shared.jobs import Jobs
from shared.service import Routes, Service
from shared.tables.webhooks import WebhooksIdempotency


def _routes() -> Routes:
    from services.webhooks.api import (
        asyncapi,
        erasures,
        events,
        notice_accounts,
        notice_links,
        notices,
        stream,
        webhook_deliveries,
        webhooks,
    )
    from services.webhooks.event_catalogue.openapi_webhooks import add_webhooks

    return Routes(
        root=[erasures.internal],
        routers=[
            webhooks.router,
            webhook_deliveries.router,
            events.router,
            stream.router,
            notices.router,
            notice_accounts.router,
        ],
        public=[notice_links.router, asyncapi.router],
        install=add_webhooks,
    )


def build_service() -> Service:
    """Return a new service with its routes, consumers, jobs and workers."""
    queue = Jobs("webhooks")
    mail_server = MailServerState()

    async def send_notices(service: Service) -> None:
        await worker.run_notice_sender(service, mail_server)

    async def check_mail_server(service: Service) -> None:
        mail_server.check()

    service = Service(
        "webhooks",
        "Gospablik: webhooks and events",
        routes=_routes,
        jobs=queue,
        consumers=[worker.fanout_consumer(queue), worker.notices_consumer(queue), worker.accounts_consumer(queue)],
        workers={
            "dispatcher": worker.run_dispatcher,
            "notices": send_notices,
            "notice-messages": worker.run_notice_messages,
        },
        dependencies={"mail-server": check_mail_server},
        api_parts=[LiveStream()],
        answers=WebhooksIdempotency,
    )
    worker.register_schedules(service, queue)
    return service
