"""Russian names of the codes in the document."""

from typing import Final

from services.metrics.schemas.axes import Axis
from services.metrics.schemas.weekly_report import MeasureUnit, ReportPopulation

AXES: Final[dict[Axis, str]] = {
    Axis.PROMPTNESS: "Оперативность",
    Axis.OBJECTIVITY: "Объективность",
    Axis.COMPLETENESS: "Полнота",
}
UNITS: Final[dict[MeasureUnit, str]] = {
    "percent": "проценты",
    "count": "количество",
    "hours": "рабочие часы",
    "mark": "баллы",
}
POPULATIONS: Final[dict[ReportPopulation, str]] = {
    ReportPopulation.OPENED: "обращения, открытые за неделю",
    ReportPopulation.RESPONSES: "ответы, данные за неделю, со сроком на неделе или не данные до закрытия",
    ReportPopulation.OVERDUE: "ответы, срок которых прошёл к концу недели",
    ReportPopulation.ANSWERS: "ответы, опубликованные за неделю",
    ReportPopulation.PROMISES: "обещания со сроком на неделе",
    ReportPopulation.DELETED: "вопросы, удалённые сообществом",
    ReportPopulation.CLOSED_UNANSWERED: "обращения, закрытые без ответа",
    ReportPopulation.FEEDBACK: "отзывы граждан об ответах",
    ReportPopulation.PAGES: "страницы, оценённые за неделю",
}
ATTENTION: Final[dict[str, str]] = {
    "overdue": "Сроки",
    "promises_broken": "Обещания",
    "questions_deleted": "Удаление вопросов",
    "pages_silent": "Страницы",
    "topic_grows": "Рост темы",
    "closed_unanswered": "Закрытие без ответа",
}
