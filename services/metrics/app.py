"""Build the metrics service: its routes and jobs."""

from services.metrics import worker
from services.metrics.api import metrics, pulse
from shared.jobs import Jobs
from shared.service import Service
from shared.tables.metrics import MetricsIdempotency


def build_service() -> Service:
    """Return a new service with its routes, jobs and worker."""
    queue = Jobs("metrics")
    routers = [metrics.router, pulse.router]
    service = Service("metrics", "Gospablik: metrics", routers=routers, jobs=queue, answers=MetricsIdempotency)
    worker.register_schedules(service, queue)
    return service
