"""The measures of the weekly report on its three axes: what each means, and from which counts it follows.

`python -m services.metrics.weekly_report.measures_document` prints them for the docs; every report contains them.
A changed definition gets a new version.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from services.metrics.schemas.axes import Axis
from services.metrics.schemas.weekly_report import MeasureDefinition, MeasureUnit, ReportPopulation

AXIS_TITLES: Mapping[Axis, str] = {
    Axis.PROMPTNESS: "Оперативность",
    Axis.OBJECTIVITY: "Объективность",
    Axis.COMPLETENESS: "Полнота",
}
_NONE = "нет"
_WEEK = "неделя региона: с понедельника 00:00 до следующего понедельника 00:00"
_CHECKED = "ответы, которые при отправке не проверялись: написанные прямо в сети и записанные"


@dataclass(frozen=True)
class Measure:
    """A measure: its definition, and the counts of `week_figures` that give its value.

    With `denominator` the value is the percentage of `numerator` in it; without, a count. `quantile` names a
    quantile of working time instead, `mean` divides without making a percentage.
    """

    code: str
    axis: Axis
    name: str
    formula: str
    population: ReportPopulation
    clock: str = _WEEK
    exclusions: str = _NONE
    version: int = 1
    unit: MeasureUnit = "percent"
    numerator: str | None = None
    denominator: str | None = None
    quantile: str | None = None

    @property
    def definition(self) -> MeasureDefinition:
        """Return what the report prints of it."""
        return MeasureDefinition(
            code=self.code,
            version=self.version,
            axis=self.axis,
            name=self.name,
            formula=self.formula,
            unit=self.unit,
            clock=self.clock,
            population=self.population,
            exclusions=self.exclusions,
        )


_DECIDED = (
    "ответы, решённые за неделю: данные в срок или те, чей срок истёк; каждый ответ решается один раз, поэтому "
    "не меняется задним числом"
)

MEASURES: tuple[Measure, ...] = (
    Measure(
        "response_on_time",
        Axis.PROMPTNESS,
        "Ответы в срок",
        f"данные в срок ÷ решённые за неделю; {_DECIDED}",
        ReportPopulation.RESPONSES,
        numerator="on_time",
        denominator="responses",
    ),
    Measure(
        "response_median",
        Axis.PROMPTNESS,
        "Половина ответов дана быстрее, чем за",
        "медиана рабочего времени ответов, данных за неделю",
        ReportPopulation.RESPONSES,
        clock="рабочее время организации по её календарю, без пауз",
        exclusions="ответы со сроком в календарных часах",
        unit="hours",
        quantile="median",
    ),
    Measure(
        "response_p90",
        Axis.PROMPTNESS,
        "Девять из десяти ответов даны быстрее, чем за",
        "90-й процентиль рабочего времени ответов, данных за неделю",
        ReportPopulation.RESPONSES,
        clock="рабочее время организации по её календарю, без пауз",
        exclusions="ответы со сроком в календарных часах",
        unit="hours",
        quantile="p90",
    ),
    Measure(
        "overdue",
        Axis.PROMPTNESS,
        "Просрочено на конец недели",
        "ожидаемые ответы и окончательные ответы, чей срок прошёл к концу недели",
        ReportPopulation.OVERDUE,
        clock="конец недели; для текущей — время составления",
        exclusions="часы на паузе",
        unit="count",
        numerator="overdue",
    ),
    Measure(
        "promises_kept",
        Axis.PROMPTNESS,
        "Обещания выполнены",
        "выполненные ÷ (выполненные + нарушенные) обещания с датой на этой неделе",
        ReportPopulation.PROMISES,
        exclusions="перенесённые вовремя и ещё открытые",
        numerator="promises_kept",
        denominator="promises_decided",
    ),
    Measure(
        "answered",
        Axis.OBJECTIVITY,
        "Вопросы не остались без ответа",
        f"отвеченные к концу недели ÷ решённые за неделю; {_DECIDED}",
        ReportPopulation.RESPONSES,
        numerator="answered",
        denominator="responses",
    ),
    Measure(
        "complaints_answered",
        Axis.OBJECTIVITY,
        "Неудобные вопросы не остались без ответа",
        "то же среди обращений, которые открыла жалоба",
        ReportPopulation.RESPONSES,
        exclusions="обращения, чьё первое сообщение — не жалоба",
        numerator="complaints_answered",
        denominator="complaints",
    ),
    Measure(
        "questions_deleted",
        Axis.OBJECTIVITY,
        "Вопросы, удалённые сообществом",
        "сообщения граждан, требующие ответа и удалённые сообществом за неделю",
        ReportPopulation.DELETED,
        clock="время, когда удаление замечено",
        unit="count",
        numerator="deleted",
    ),
    Measure(
        "closed_unanswered",
        Axis.OBJECTIVITY,
        "Закрыто без ответа",
        "обращения, закрытые за неделю, без единого ответа",
        ReportPopulation.CLOSED_UNANSWERED,
        unit="count",
        numerator="closed_unanswered",
    ),
    Measure(
        "canned",
        Axis.OBJECTIVITY,
        "Одинаковые ответы",
        "ответы недели с текстом, который организация дала и на другое обращение за четыре недели ÷ все ответы "
        "недели",
        ReportPopulation.ANSWERS,
        exclusions="ответы на инцидент; тексты короче 40 знаков",
        numerator="canned",
        denominator="published",
    ),
    Measure(
        "to_the_point",
        Axis.COMPLETENESS,
        "Ответ на заданный вопрос",
        "ответы без признаков «не о том», «не сказано когда, почему, где» ÷ проверенные ответы",
        ReportPopulation.ANSWERS,
        exclusions=_CHECKED,
        numerator="to_the_point",
        denominator="checked",
    ),
    Measure(
        "with_substance",
        Axis.COMPLETENESS,
        "Названы действие или дата",
        "ответы без признаков «нет действия и даты», «нет даты» ÷ проверенные ответы",
        ReportPopulation.ANSWERS,
        exclusions=_CHECKED,
        numerator="with_substance",
        denominator="checked",
    ),
    Measure(
        "with_contact",
        Axis.COMPLETENESS,
        "Указан контакт",
        "ответы без признаков «нет контакта», «отсылка без контакта» ÷ проверенные ответы",
        ReportPopulation.ANSWERS,
        exclusions=_CHECKED,
        numerator="with_contact",
        denominator="checked",
    ),
    Measure(
        "with_proof",
        Axis.COMPLETENESS,
        "С фотографией или документом",
        "окончательные ответы с вложением ÷ окончательные ответы недели",
        ReportPopulation.ANSWERS,
        exclusions="промежуточные ответы",
        numerator="with_proof",
        denominator="answers",
    ),
    Measure(
        "solved",
        Axis.COMPLETENESS,
        "Вопрос решён",
        "окончательные ответы с итогом «решено» ÷ окончательные ответы недели",
        ReportPopulation.ANSWERS,
        exclusions="промежуточные ответы",
        numerator="solved",
        denominator="answers",
    ),
    Measure(
        "not_solved_said",
        Axis.COMPLETENESS,
        "Граждане сказали «не решено»",
        "слова «не решено» (и низкие оценки) за неделю",
        ReportPopulation.FEEDBACK,
        clock="время, когда гражданин написал",
        unit="count",
        numerator="not_solved_said",
    ),
    Measure(
        "mark",
        Axis.COMPLETENESS,
        "Средняя оценка граждан",
        "сумма оценок ÷ число оценок за неделю, от 1 до 5",
        ReportPopulation.FEEDBACK,
        clock="время, когда гражданин написал",
        exclusions="слова без оценки",
        unit="mark",
        numerator="mark_sum",
        denominator="marks",
    ),
)
