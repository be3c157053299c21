"""Background work of metrics: weekly reports are published, pages are scored."""

from services.metrics.page_health.score_run import score_due_weeks
from shared.database.purge import RetentionSettings, purge_tables
from shared.jobs import Jobs
from shared.service import Service


def register_schedules(service: Service, queue: Jobs) -> None:
    """Register the handlers of scheduled jobs."""

    @queue.schedule("purge", "43 * * * *")
    async def purge_expired() -> None:
        terms = RetentionSettings()
        await purge_tables(service.database, queue.purge_rules(terms))

    @queue.schedule("score-pages", "11 * * * *")
    async def score_pages() -> None:
        await score_due_weeks(service.database)
