"""The appeals service's wiring."""

from services.appeals import ahead, worker
from services.appeals.api import alerts, appeals, incidents, replies, reviews, rule_sets, rules, topics, triage
from services.appeals.tasks import jobs
from shared.service import Service
from shared.tables.events import AppealsIdempotency

service = Service(
    "appeals",
    "Gospablik: appeals",
    routers=[
        appeals.router,
        replies.router,
        triage.router,
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
)
worker.register(service)
