"""The work webhooks does by itself: events become deliveries, deliveries are sent."""

from services.webhooks.dispatch import Dispatcher
from services.webhooks.fanout import consumer
from services.webhooks.settings import webhooks_settings
from shared.service import Service

consumers = (consumer,)


async def deliver(service: Service) -> None:
    """Send due deliveries for ever."""
    production = service.settings.environment == "production"
    await Dispatcher(service.database, webhooks_settings(), https_only=production).run()
