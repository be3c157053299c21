"""Create the ingest service: routes, jobs and the worker."""

from services.ingest.api import ROOT_ROUTERS, ROUTERS
from services.ingest.worker import Worker
from shared.service import Service
from shared.tables.ingest import IngestIdempotency

worker = Worker()
service = Service(
    "ingest",
    "Gospablik: ingest",
    routers=ROUTERS,
    root=ROOT_ROUTERS,
    jobs=worker.jobs,
    workers={"networks": worker.run},
    answers=IngestIdempotency,
)
