"""Build the metrics service: its routes and jobs."""

from services.metrics import worker
from services.metrics.api import (
    embellishment_signs,
    erasures,
    grading,
    grading_figures,
    metrics,
    page_health,
    pulse,
    weekly_reports,
)
from shared.jobs import Jobs
from shared.service import Service
from shared.tables.metrics import MetricsIdempotency


def build_service() -> Service:
    """Return a new service with its routes, jobs and worker."""
    queue = Jobs("metrics")
    routers = [
        metrics.router,
        pulse.router,
        embellishment_signs.router,
        page_health.router,
        grading.router,
        grading_figures.router,
        weekly_reports.router,
    ]
    service = Service(
        "metrics",
        "Gospablik: metrics",
        root=[erasures.internal, weekly_reports.internal],
        routers=routers,
        jobs=queue,
        answers=MetricsIdempotency,
    )
    worker.register_schedules(service, queue)
    return service
