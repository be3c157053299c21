"""Background work of metrics: weekly reports are published, weekly samples of answers are drawn."""

from services.metrics.grading.samples import draw_last_week
from services.metrics.settings import metrics_settings
from shared.database.purge import RetentionSettings, purge_tables
from shared.jobs import Jobs
from shared.logs import get_logger
from shared.service import Service

log = get_logger(__name__)


def register_schedules(service: Service, queue: Jobs) -> None:
    """Register the handlers of scheduled jobs."""

    @queue.schedule("purge", "43 * * * *")
    async def purge_expired() -> None:
        terms = RetentionSettings()
        await purge_tables(service.database, queue.purge_rules(terms))

    # Early on Monday in the region; on other days only if nothing ran then.
    @queue.schedule("draw-grading-sample", "20 17 * * *")
    async def draw_grading_sample() -> None:
        async with service.database.write() as session:
            sample = await draw_last_week(session, metrics_settings())
            if sample is not None:
                log.info("sample of answers to grade", week=sample.week, answers=sample.answers)
