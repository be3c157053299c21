"""The last section: definitions of measures, missing data, and changes after publication."""

from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from services.metrics.rendering import labels
from services.metrics.rendering import russian_format as russian
from services.metrics.rendering.blocks import Block, Column, Paragraph, Points, Section, Table
from services.metrics.rendering.corrected_figures import figure_names, figure_value
from services.metrics.schemas.weekly_report import ReportDocument, ReportOut
from shared.russian import period, plural


def status_text(report: ReportOut) -> str:
    """Return whether the report is published, and since when, as text."""
    zone = ZoneInfo(report.report.time_zone)
    if report.published_at is not None and report.status == "published":
        return f"Опубликован {russian.long_moment(report.published_at, zone)}"
    return f"Предварительный, данные на {russian.long_moment(report.report.as_of, zone)}"


def correction_notice(report: ReportOut) -> str | None:
    """Return the sentence on the first page about figures changed after publication; None if there are none."""
    number = len(report.corrections)
    if not number:
        return None
    verb, noun = (plural(number, forms) for forms in (("изменился", "изменились", "изменились"), _FIGURES))
    when = ""
    if report.corrected_at is not None:
        when = f" (сверено {russian.long_moment(report.corrected_at, ZoneInfo(report.report.time_zone))})"
    return f"После публикации {verb} {russian.count(number)} {noun}{when}: см. «Поправки после публикации»."


_AT_END = (
    "Неделя посчитана по состоянию на её конец: что было отвечено, закрыто, просрочено и решено к этому времени."
)
# For version 1 of the measure `closed_unanswered`.
_CLOSED_LATER = (
    "Неделя посчитана по состоянию на её конец: что было отвечено, просрочено и решено к этому времени; закрытые "
    "обращения – по состоянию на время составления."
)
_UNFINISHED = (
    "Неделя не закончилась и посчитана по состоянию на время составления: что было отвечено, закрыто, просрочено "
    "и решено к этому времени."
)
_WITHOUT_HISTORY = (
    "История ведётся не у всего: нужен ли ответ, тема, место и организация обращения, сроки (если их продлили или "
    "приостановили) и итог ответа взяты такими, какими они были при составлении отчёта. Ответ, отозванный до "
    "этого времени, не считается данным."
)
_NO_GAPS = "Пробелов в данных недели не обнаружено."
_FIGURES = ("показатель", "показателя", "показателей")


def method_section(report: ReportOut) -> Section:
    """Return the section with definitions, gaps, corrections and the status of the report."""
    document = report.report
    zone = ZoneInfo(document.time_zone)
    definitions = Table(
        "Что означает каждый показатель",
        (
            Column("Показатель", weight=2),
            Column("Ось", weight=1.3),
            Column("Как считается", weight=3.6),
            Column("Единица", weight=1.1),
            Column("Какое время", weight=2.2),
            Column("Из каких строк", weight=2.2),
            Column("Что исключено", weight=2.4),
            Column("Версия", "count", weight=0.7),
        ),
        [
            (
                known.name,
                labels.AXES[known.axis],
                known.formula,
                labels.UNITS[known.unit],
                known.clock,
                labels.POPULATIONS[known.population],
                known.exclusions,
                known.version,
            )
            for known in document.definitions
        ]
        + [
            (
                known.name,
                "Страницы",
                known.formula,
                labels.UNITS[known.unit],
                known.clock,
                known.population,
                known.exclusions,
                known.version,
            )
            for known in document.page_definitions
        ],
        empty="Показатели не описаны.",
        sheet="Определения",
    )
    gaps: Block = Paragraph(_NO_GAPS)
    if document.gaps:
        gaps = Points([("", gap) for gap in document.gaps], title="Чего не хватает в данных")
    blocks: list[Block] = [definitions, Paragraph(_as_of(document), is_note=True), gaps]
    corrections = _corrections(report)
    if report.corrections:
        blocks.append(corrections)
    about = _about(report, zone)
    blocks.append(about)
    missing = Table(
        "Чего не хватает в данных",
        (Column("Пробел", weight=8),),
        [(gap,) for gap in document.gaps],
        empty=_NO_GAPS,
        sheet="Пробелы в данных",
    )
    return Section(
        "method",
        "Как посчитано",
        "Как посчитано",
        blocks,
        is_wide=bool(document.definitions),
        sheet_tables=[about, missing, corrections, definitions],
    )


def _as_of(document: ReportDocument) -> str:
    """Return the text about the counted period, and which data were read at the time of the report."""
    end = datetime.combine(document.last_day + timedelta(days=1), time.min, ZoneInfo(document.time_zone))
    versions = {known.code: known.version for known in document.definitions}
    if document.as_of < end:
        counted = _UNFINISHED
    elif versions.get("closed_unanswered") == 1:
        counted = _CLOSED_LATER
    else:
        counted = _AT_END
    return f"{counted} {_WITHOUT_HISTORY}"


def _corrections(report: ReportOut) -> Table:
    return Table(
        "Поправки после публикации",
        (
            Column("Показатель", weight=4),
            Column("Опубликовано", weight=1.5),
            Column("По данным сейчас", weight=1.5),
        ),
        [
            (name, figure_value(figure.published), figure_value(figure.now))
            for name, figure in zip(
                figure_names(report.corrections, report.report), report.corrections, strict=True
            )
        ],
        empty="Поправок нет.",
        sheet="Поправки",
    )


def _about(report: ReportOut, zone: ZoneInfo) -> Table:
    document = report.report
    return Table(
        "О документе",
        (Column("Свойство", weight=1), Column("Значение", weight=3)),
        [
            ("Состояние", status_text(report)),
            ("Неделя", f"{document.week}: {period(document.first_day, document.last_day)}"),
            ("Сроки сверены на", russian.long_moment(document.as_of, zone)),
            ("Часовой пояс", document.time_zone),
            ("Контрольная сумма (SHA-256)", report.digest or "появится при публикации"),
            ("Версия структуры", str(document.format)),
        ],
        sheet="О документе",
    )
