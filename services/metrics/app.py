"""Build the metrics service."""

from services.metrics.api.metrics import router
from shared.service import Service

# Metrics writes nothing and emits no events, so it runs no relay.
service = Service("metrics", "Gospablik: metrics", routers=[router], with_relay=False)
