"""The metrics service's wiring."""

from services.metrics.api.metrics import router
from shared.service import Service

# It writes nothing and numbers no events: another service's relay does.
service = Service("metrics", "Gospablik: metrics", routers=[router], with_relay=False)
