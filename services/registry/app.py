"""The registry service's wiring."""

from services.registry import api, worker
from services.registry.api import import_export
from services.registry.authentication import external_identities
from services.registry.import_export.importer import MAX_IMPORT_BYTES
from shared.service import Service
from shared.tables.registry import RegistryIdempotency

service = Service(
    "registry",
    "Gospablik: registry",
    routers=api.routers,
    root=api.root,
    find_person=external_identities.local_lookup,
    large_bodies={import_export.PATH: MAX_IMPORT_BYTES},
    workers={
        "forget-past": worker.forget_past,
        "coverage": worker.record_coverage,
        "close-ended": worker.close_ended,
        "names": worker.keep_names,
        "page-checks": worker.check_pages,
    },
    answers=RegistryIdempotency,
)
