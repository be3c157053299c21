"""Build the webhooks service: its routes, event streams, jobs, event consumer and worker loop."""

from services.webhooks import worker
from services.webhooks.api import erasures, events, stream, webhooks
from services.webhooks.stream.live_stream import LiveStream
from shared.jobs import Jobs
from shared.service import Service
from shared.tables.webhooks import WebhooksIdempotency


def build_service() -> Service:
    """Return a new service with its routes, consumer, jobs and worker."""
    queue = Jobs("webhooks")
    service = Service(
        "webhooks",
        "Gospablik: webhooks and events",
        routers=[webhooks.router, events.router, stream.router],
        root=[erasures.internal],
        jobs=queue,
        consumers=[worker.fanout_consumer(queue)],
        workers={"dispatcher": worker.run_dispatcher},
        api_parts=[LiveStream()],
        answers=WebhooksIdempotency,
    )
    worker.register_schedules(service, queue)
    return service
