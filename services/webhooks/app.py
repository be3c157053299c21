"""The webhooks service's wiring."""

from services.webhooks import api, fanout, worker
from shared.service import Service
from shared.tables.common import WebhooksIdempotency

service = Service(
    "webhooks",
    "Gospablik: webhooks and events",
    routers=[api.router, api.events],
    jobs=fanout.jobs,
    consumers=worker.consumers,
    workers={"deliveries": worker.deliver},
    answers=WebhooksIdempotency,
)
worker.register(service)
