"""The measures of the weekly report on its three axes: their definitions, and the counts that give their values.

`python -m services.metrics.weekly_report.measures_document` writes them into the docs; every report contains them.
A changed definition gets a new version.
"""

from dataclasses import dataclass

from services.metrics.schemas.axes import Axis
from services.metrics.schemas.weekly_report import MeasureDefinition, MeasureUnit, ReportPopulation

_NONE = "нет"
_WEEK = "неделя региона: с понедельника 00:00 до следующего понедельника 00:00"
_PAUSED = "сроки, приостановленные до их истечения"
_PAUSED_AND_OPEN = f"{_PAUSED}, кроме обращений, закрытых без ответа"
_CHECKED = "ответы, которые при отправке не проверялись: написанные прямо в соцсети и внесённые со слов"


@dataclass(frozen=True)
class Measure:
    """A measure: its definition, and the counts of `week_figures` that give its value.

    With `denominator` the value is the percentage of `numerator` in it; without, the count itself. `quantile` is
    the name of a quantile of working time; a mean mark is the sum divided by the number of marks.
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
        """Return the definition that the report contains."""
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


_DECIDED = "учтённые: данные за неделю в срок или с истёкшим на ней сроком; каждый ответ учитывается один раз"

MEASURES: tuple[Measure, ...] = (
    Measure(
        "response_on_time",
        Axis.PROMPTNESS,
        "Ответы в срок",
        f"данные в срок ÷ учтённые за неделю; {_DECIDED}",
        ReportPopulation.RESPONSES,
        exclusions=f"обращения, закрытые без ответа до срока; {_PAUSED}",
        version=2,
        numerator="on_time",
        denominator="responses",
    ),
    Measure(
        "response_median",
        Axis.PROMPTNESS,
        "Медиана времени ответа",
        "медиана рабочего времени ответов, данных за неделю",
        ReportPopulation.RESPONSES,
        clock="рабочее время организации по её календарю, без пауз",
        exclusions="ответы со сроком в календарных часах",
        unit="hours",
        quantile="median",
        denominator="timed",
    ),
    Measure(
        "response_p90",
        Axis.PROMPTNESS,
        "90-й процентиль времени ответа",
        "90-й процентиль рабочего времени ответов, данных за неделю",
        ReportPopulation.RESPONSES,
        clock="рабочее время организации по её календарю, без пауз",
        exclusions="ответы со сроком в календарных часах",
        unit="hours",
        quantile="p90",
        denominator="timed",
    ),
    Measure(
        "overdue",
        Axis.PROMPTNESS,
        "Просрочено ответов на конец недели",
        "ожидаемые ответы и окончательные ответы, срок которых прошёл к концу недели",
        ReportPopulation.OVERDUE,
        clock="конец недели; для текущей — время составления",
        exclusions=f"обращения, закрытые на конец недели; {_PAUSED}",
        version=2,
        unit="count",
        numerator="overdue",
    ),
    Measure(
        "promises_kept",
        Axis.PROMPTNESS,
        "Обещания выполнены",
        "выполненные ÷ (выполненные + не выполненные) обещания с датой на этой неделе",
        ReportPopulation.PROMISES,
        exclusions="перенесённые вовремя и ещё открытые",
        numerator="promises_kept",
        denominator="promises_decided",
    ),
    Measure(
        "answered",
        Axis.OBJECTIVITY,
        "Доля вопросов с ответом",
        "отвеченные к концу недели ÷ (учтённые за неделю + ожидавшиеся в обращениях, закрытых за неделю без "
        f"ответа до срока и закрытых сейчас); {_DECIDED}",
        ReportPopulation.RESPONSES,
        exclusions=_PAUSED_AND_OPEN,
        version=2,
        numerator="answered",
        denominator="questions",
    ),
    Measure(
        "complaints_answered",
        Axis.OBJECTIVITY,
        "Доля неудобных вопросов с ответом",
        "то же среди обращений, начатых с жалобы",
        ReportPopulation.RESPONSES,
        exclusions=f"обращения, первое сообщение которых — не жалоба; {_PAUSED_AND_OPEN}",
        version=2,
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
        "обращения, закрытые за неделю, закрытые и без ответа и на её конец, даже если позже открыты вновь",
        ReportPopulation.CLOSED_UNANSWERED,
        exclusions="закрытия, которые позже отменены; обращения, ответ на которые отозван после конца недели",
        version=2,
        unit="count",
        numerator="closed_unanswered",
    ),
    Measure(
        "canned",
        Axis.OBJECTIVITY,
        "Одинаковые ответы",
        "ответы недели с текстом, который организация дала и на другое обращение за четыре недели ÷ ответы недели",
        ReportPopulation.ANSWERS,
        exclusions="ответы на инцидент; тексты короче 40 знаков",
        numerator="canned",
        denominator="comparable",
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
        "С фотографией",
        "окончательные ответы с вложением ÷ окончательные ответы недели, написанные здесь",
        ReportPopulation.ANSWERS,
        exclusions="промежуточные ответы; написанные прямо в соцсети и внесённые со слов",
        numerator="with_proof",
        denominator="written_here",
    ),
    Measure(
        "solved",
        Axis.COMPLETENESS,
        "Вопрос решён",
        "окончательные ответы с итогом «решено» ÷ окончательные ответы недели, итог которых указан",
        ReportPopulation.ANSWERS,
        exclusions="промежуточные ответы; ответы без указанного итога",
        numerator="solved",
        denominator="with_outcome",
    ),
    Measure(
        "not_solved_said",
        Axis.COMPLETENESS,
        "Граждане сказали «не решено»",
        "отзывы «не решено» и низкие оценки за неделю",
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
        exclusions="отзывы без оценки",
        unit="mark",
        numerator="mark_sum",
        denominator="marks",
    ),
)
