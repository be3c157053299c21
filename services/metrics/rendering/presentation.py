"""The report as a sequence of sections, the same for all formats."""

from zoneinfo import ZoneInfo

from services.metrics.rendering import russian_format as russian
from services.metrics.rendering.blocks import Presentation
from services.metrics.rendering.sections.appeal_sections import (
    hard_appeal_section,
    matrix_section,
    municipality_section,
    topic_section,
)
from services.metrics.rendering.sections.method_section import correction_notice, method_section, status_text
from services.metrics.rendering.sections.organisation_sections import (
    axis_section,
    deleted_section,
    grade_section,
    organisation_section,
    promise_section,
)
from services.metrics.rendering.sections.page_sections import page_section
from services.metrics.rendering.sections.top_sheet import top_section
from services.metrics.schemas.weekly_report import ReportOut
from shared.russian import period

TITLE = "Обратная связь жителей: отчёт за неделю"


def presentation(report: ReportOut) -> Presentation:
    """Return the report prepared for layout."""
    document = report.report
    notice = correction_notice(report)
    return Presentation(
        title=TITLE,
        subtitle=f"{period(document.first_day, document.last_day)} ({russian.week_name(document.week)})",
        status=status_text(report),
        zone=ZoneInfo(document.time_zone),
        notices=[] if notice is None else [notice],
        top=top_section(document),
        sections=[
            topic_section(document),
            municipality_section(document),
            matrix_section(document),
            axis_section(document),
            organisation_section(document),
            promise_section(document),
            deleted_section(document),
            hard_appeal_section(document),
            page_section(document),
            grade_section(document),
            method_section(report),
        ],
    )
