"""The appeals service's wiring."""

from services.appeals import ahead, worker
from services.appeals.api import (
    alerts,
    appeals,
    incidents,
    replies,
    reviews,
    rule_sets,
    rules,
    topics,
    triage,
    understanding,
)
from services.appeals.judging import judging
from services.appeals.settings import settings
from services.appeals.tasks import jobs
from shared.service import Service
from shared.tables.common import AppealsIdempotency


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
        understanding.router,
        reviews.router,
        incidents.router,
        alerts.router,
        topics.router,
        rule_sets.router,
        rules.router,
    ],
    jobs=jobs,
    consumers=worker.consumers,
    workers={"read-ahead": ahead.run, "figures": worker.keep_figures},
    answers=AppealsIdempotency,
    before=check_topics_model,
)
worker.register(service)
