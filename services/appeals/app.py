"""The appeals service's wiring."""

from services.appeals import worker
from services.appeals.api import (
    alerts,
    appeals,
    classifications,
    incidents,
    replies,
    reviews,
    routing_rules,
    rule_sets,
    topics,
    triage,
)
from services.appeals.classification.classifier_pool import judging
from services.appeals.inbound import prefetch
from services.appeals.jobs import jobs
from services.appeals.settings import settings
from shared.service import Service
from shared.tables.appeals import AppealsIdempotency


async def check_topics_model(_service: Service) -> None:
    """A service whose own model cannot be used must not start; without one, reading begins with the first text."""
    if settings().topics_model is not None:
        await judging().make_ready()


service = Service(
    "appeals",
    "Gospablik: appeals",
    routers=[
        appeals.router,
        replies.router,
        triage.router,
        classifications.router,
        reviews.router,
        incidents.router,
        alerts.router,
        topics.router,
        rule_sets.router,
        routing_rules.router,
    ],
    jobs=jobs,
    consumers=worker.consumers,
    workers={"read-ahead": prefetch.run, "figures": worker.keep_figures},
    answers=AppealsIdempotency,
    before=check_topics_model,
)
worker.register(service)
