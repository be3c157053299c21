"""The ingest service's wiring."""

from services.ingest.api import internal, router
from services.ingest.worker import Worker
from shared.service import Service

worker = Worker()
service = Service(
    "ingest",
    "Gospablik: ingest",
    routers=[router],
    root=[internal],
    jobs=worker.jobs,
    workers={"networks": worker.run},
)
