"""Background jobs of metrics: rollups, the report, open data, page scores, grading samples, purging."""

from services.metrics.grading.samples import draw_last_week
from services.metrics.open_data.published_weeks import publish_missing_weeks
from services.metrics.page_health.score_run import score_due_weeks
from services.metrics.settings import metrics_settings
from services.metrics.sla_rollups.rebuilding import rebuild_due_months, recount_oldest_rollup
from services.metrics.weekly_report import corrections, publication
from shared import clock
from shared.database.purge import RetentionSettings, purge_tables
from shared.jobs import Jobs
from shared.logs import get_logger
from shared.service import Service

log = get_logger(__name__)


def register_schedules(service: Service, queue: Jobs) -> None:
    """Register the handlers and schedules of the jobs. Times are UTC."""

    # Runs every hour, so that a worker that was down on Monday morning publishes later. The page scores come
    # first, because the report contains them.
    @queue.schedule("publish-weekly-report", "7 * * * *")
    async def publish_weekly_report() -> None:
        await score_due_weeks(service.database)
        hour = metrics_settings().report_hour
        for week in await publication.publish_due_weeks(service.database, clock.now(), hour):
            log.info("weekly report published", week=week.name)

    # Runs shortly after the report. If open data are enabled later, earlier weeks are published too.
    @queue.schedule("publish-open-data", "17 * * * *")
    async def publish_open_data() -> None:
        config = metrics_settings()
        if config.open_data:
            await publish_missing_weeks(service.database, clock.now(), config.open_data_minimum)

    @queue.schedule("note-report-corrections", "23 19 * * *")
    async def note_report_corrections() -> None:
        now = clock.now()
        for week in corrections.weeks_to_compare(now):
            if changed := await corrections.note_corrections(service.database, week, now):
                log.info("published figures differ from their rows", week=week.name, figures=changed)

    @queue.schedule("purge", "43 * * * *")
    async def purge_expired() -> None:
        terms = RetentionSettings()
        await purge_tables(service.database, queue.purge_rules(terms))

    # The figures of a changed month are counted from rows until it is rebuilt; a rebuild counts all its appeals.
    @queue.schedule("roll-up-sla-figures", "*/5 * * * *")
    async def roll_up_sla_figures() -> None:
        await rebuild_due_months(service.database, clock.now())

    # Recounts one month each night.
    @queue.schedule("recount-sla-rollup", "37 18 * * *")
    async def recount_sla_rollup() -> None:
        await recount_oldest_rollup(service.database, clock.now())

    @queue.schedule("score-pages", "11 * * * *")
    async def score_pages() -> None:
        await score_due_weeks(service.database)

    # Runs early each day in the region. Tuesday's run draws the sample, after Sunday's replies were read; on other
    # days it changes nothing if Tuesday's run succeeded.
    @queue.schedule("draw-grading-sample", "20 17 * * *")
    async def draw_grading_sample() -> None:
        async with service.database.write() as session:
            sample = await draw_last_week(session, metrics_settings())
            if sample is not None:
                log.info("weekly sample is ready to grade", week=sample.week, answers=sample.answers)
