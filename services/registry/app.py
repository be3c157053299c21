"""The registry service's wiring."""

from services.registry import api, worker
from services.registry.api import exchange
from services.registry.exchange.importing import MAX_BYTES
from services.registry.page_checks import running
from shared.service import Service

service = Service(
    "registry",
    "Gospablik: registry",
    routers=api.routers,
    root=api.root,
    large_bodies={exchange.PATH: MAX_BYTES},
    workers={"forget-past": worker.forget_past, "coverage": worker.record_coverage, "page-checks": running.run},
)
