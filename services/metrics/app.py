"""Build the metrics service: its routes and jobs."""

from services.metrics import worker
from services.metrics.api import erasures, grading, grading_figures
from services.metrics.api.metrics import router
from shared.jobs import Jobs
from shared.service import Service
from shared.tables.metrics import MetricsIdempotency


def build_service() -> Service:
    """Return a new service with its routes, jobs and worker."""
    queue = Jobs("metrics")
    service = Service(
        "metrics",
        "Gospablik: metrics",
        root=[erasures.internal],
        routers=[router, grading.router, grading_figures.router],
        jobs=queue,
        answers=MetricsIdempotency,
    )
    worker.register_schedules(service, queue)
    return service
