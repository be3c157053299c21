"""Build the webhooks service: its routes, jobs, event consumer and worker loop."""

from services.webhooks import jobs, worker
from services.webhooks.api import events, webhooks
from shared.service import Service
from shared.tables.webhooks import WebhooksIdempotency

service = Service(
    "webhooks",
    "Gospablik: webhooks and events",
    routers=[webhooks.router, events.router],
    jobs=jobs.jobs,
    consumers=worker.consumers,
    workers={"deliveries": worker.run_dispatcher},
    answers=WebhooksIdempotency,
)
worker.register_schedules(service)
