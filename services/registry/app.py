"""The registry service's wiring."""

from services.registry import api, worker
from shared.service import Service

service = Service(
    "registry",
    "Gospablik: registry",
    routers=api.routers,
    root=api.root,
    workers={"forget-past": worker.forget_past, "coverage": worker.record_coverage},
)
