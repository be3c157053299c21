"""Create the ingest service: routes, jobs and the worker."""

from services.ingest.api import ROOT_ROUTERS, ROUTERS
from services.ingest.worker import Worker
from shared.service import Service
from shared.tables.ingest import IngestIdempotency


def build_service() -> Service:
    """Return a new service with its routes, jobs and worker."""
    worker = Worker()
    return Service(
        "ingest",
        "Gospablik: ingest",
        routers=ROUTERS,
        root=ROOT_ROUTERS,
        jobs=worker.jobs,
        workers={"collector": worker.run},
        answers=IngestIdempotency,
    )
