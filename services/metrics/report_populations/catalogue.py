"""The rows that the weekly report counts: the only definition of each population.

A figure of the report is a count of these rows, and the rows are listed by the same query. The queries are built
once and executed with the times of a report, `ReportedTime.parameters`. Docs: docs/moderator/weekly-report.md.
"""

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Select

from services.metrics.report_populations.answers import answers
from services.metrics.report_populations.closed_unanswered import closed_unanswered
from services.metrics.report_populations.deleted_questions import deleted
from services.metrics.report_populations.feedback import feedback
from services.metrics.report_populations.opened import opened
from services.metrics.report_populations.pages import pages
from services.metrics.report_populations.promises import promises
from services.metrics.report_populations.responses import overdue, responses
from services.metrics.schemas.weekly_report import ReportPopulation

POPULATIONS: Mapping[ReportPopulation, Callable[[], Select[Any]]] = {
    ReportPopulation.OPENED: opened,
    ReportPopulation.RESPONSES: responses,
    ReportPopulation.OVERDUE: overdue,
    ReportPopulation.ANSWERS: answers,
    ReportPopulation.PROMISES: promises,
    ReportPopulation.DELETED: deleted,
    ReportPopulation.CLOSED_UNANSWERED: closed_unanswered,
    ReportPopulation.FEEDBACK: feedback,
    ReportPopulation.PAGES: pages,
}
