"""Background work of metrics: weekly reports are published."""

from shared.database.purge import RetentionSettings, purge_tables
from shared.jobs import Jobs
from shared.service import Service


def register_schedules(service: Service, queue: Jobs) -> None:
    """Register the handlers of scheduled jobs."""

    @queue.schedule("purge", "43 * * * *")
    async def purge_expired() -> None:
        terms = RetentionSettings()
        await purge_tables(service.database, queue.purge_rules(terms))
