"""The webhooks service's wiring."""

from services.webhooks import worker
from services.webhooks.api import webhooks
from services.webhooks.deliveries import fanout
from shared.service import Service
from shared.tables.webhooks import WebhooksIdempotency

service = Service(
    "webhooks",
    "Gospablik: webhooks and events",
    routers=[webhooks.router, webhooks.events],
    jobs=fanout.jobs,
    consumers=worker.consumers,
    workers={"deliveries": worker.deliver},
    answers=WebhooksIdempotency,
)
worker.register(service)
