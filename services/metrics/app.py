"""Build the metrics service: its routes and jobs."""

# ruff: noqa: PLC0415 - the worker does not load what only the API serves

from services.metrics import worker
from services.metrics.analytics.map_file import configured_map
from services.metrics.sla_rollups.rebuilding import run_gauge_updates
from shared.jobs import Jobs
from shared.service import Routes, Service
from shared.tables.metrics import MetricsIdempotency


async def _read_map(_service: Service) -> None:
    """Read the map file of the settings, so that the service does not start with an invalid file."""
    configured_map()


def _routes() -> Routes:
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

    return Routes(
        routers=[
            metrics.router,
            analytics.router,
            pulse.router,
            embellishment_signs.router,
            page_health.router,
            page_tables.router,
            grading.router,
            grading_figures.router,
            weekly_reports.router,
        ],
        public=[open_data.router],
        root=[erasures.internal, weekly_reports.internal],
    )


def build_service() -> Service:
    """Return a new service with its routes, jobs and worker."""
    queue = Jobs("metrics")
    service = Service(
        "metrics",
        "Gospablik: metrics",
        routes=_routes,
        jobs=queue,
        answers=MetricsIdempotency,
        workers={"sla-rollup-gauge": run_gauge_updates},
        before_api=_read_map,
    )
    worker.register_schedules(service, queue)
    return service
