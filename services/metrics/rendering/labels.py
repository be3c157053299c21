"""Russian names of values that the document has as codes."""

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
    ReportPopulation.RESPONSES: "ответы, данные за неделю или со сроком на неделе",
    ReportPopulation.OVERDUE: "обращения, просроченные на конец недели",
    ReportPopulation.ANSWERS: "окончательные ответы, опубликованные за неделю",
    ReportPopulation.PROMISES: "обещания со сроком на неделе",
    ReportPopulation.DELETED: "вопросы, удалённые сообществом",
    ReportPopulation.CLOSED_UNANSWERED: "обращения, закрытые без ответа",
    ReportPopulation.FEEDBACK: "отзывы граждан об ответах",
}
ATTENTION: Final[dict[str, str]] = {
    "overdue": "Просрочено",
    "promises_broken": "Обещания не выполнены",
    "questions_deleted": "Вопросы удалены",
    "pages_silent": "Страницы молчат",
    "topic_grows": "Тема растёт",
    "closed_unanswered": "Закрыто без ответа",
}
