"""Build the metrics service."""

from services.metrics.api.metrics import router
from shared.service import Service


def build_service() -> Service:
    """Return a new service. It writes nothing and emits no events, so it runs no relay."""
    return Service("metrics", "Gospablik: metrics", routers=[router], with_relay=False)
