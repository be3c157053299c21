"""The registry service's wiring."""

from services.registry import api, identities, worker
from services.registry.api import exchange
from services.registry.exchange.importing import MAX_BYTES
from shared.service import Service
from shared.tables.common import RegistryIdempotency

service = Service(
    "registry",
    "Gospablik: registry",
    routers=api.routers,
    root=api.root,
    find_person=identities.directly,
    large_bodies={exchange.PATH: MAX_BYTES},
    workers={
        "forget-past": worker.forget_past,
        "coverage": worker.record_coverage,
        "close-ended": worker.close_ended,
        "names": worker.keep_names,
        "page-checks": worker.check_pages,
    },
    answers=RegistryIdempotency,
)
