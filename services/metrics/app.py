"""Build the metrics service: its routes and jobs."""

from services.metrics import worker
from services.metrics.analytics.map_file import configured_map
from services.metrics.api import (
    analytics,
    embellishment_signs,
    erasures,
    grading,
    grading_figures,
    metrics,
    open_data,
    page_health,
    page_tables,
    pulse,
    weekly_reports,
)
from services.metrics.sla_rollups.rebuilding import run_gauge_updates
from shared.jobs import Jobs
from shared.service import Service
from shared.tables.metrics import MetricsIdempotency


async def _read_map(_service: Service) -> None:
    """Read the map file of the settings, so that the service does not start with an invalid file."""
    configured_map()


def build_service() -> Service:
    """Return a new service with its routes, jobs and worker."""
    queue = Jobs("metrics")
    routers = [
        metrics.router,
        analytics.router,
        pulse.router,
        embellishment_signs.router,
        page_health.router,
        page_tables.router,
        grading.router,
        grading_figures.router,
        weekly_reports.router,
    ]
    service = Service(
        "metrics",
        "Gospablik: metrics",
        root=[erasures.internal, weekly_reports.internal],
        routers=routers,
        public=[open_data.router],
        jobs=queue,
        answers=MetricsIdempotency,
        workers={"sla-rollup-gauge": run_gauge_updates},
        before_api=_read_map,
    )
    worker.register_schedules(service, queue)
    return service
