"""Create the ingest service: routes, jobs and the worker."""

from services.ingest.networks.refused_certificates import check_certificates
from services.ingest.pseudonymisation import key_check
from services.ingest.publishing.network_outages import check_networks_reached
from services.ingest.worker import Worker
from shared.service import Routes, Service
from shared.tables.ingest import IngestIdempotency


def _routes() -> Routes:
    # Not loaded by the worker.
    from services.ingest.api import ROOT_ROUTERS, ROUTERS  # noqa: PLC0415

    return Routes(routers=ROUTERS, root=ROOT_ROUTERS)


def build_service() -> Service:
    """Return a new service with its routes, jobs and worker."""
    worker = Worker()
    return Service(
        "ingest",
        "Gospablik: ingest",
        routes=_routes,
        jobs=worker.jobs,
        workers={"collector": worker.run},
        dependencies={"networks": check_networks_reached, "certificates": check_certificates},
        answers=IngestIdempotency,
        before=lambda service: key_check.require_same_key(service.database),
    )
