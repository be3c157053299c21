"""The first page: what a reader needs to know in two minutes."""

from services.metrics.rendering import labels
from services.metrics.rendering import russian_format as russian
from services.metrics.rendering.blocks import (
    Bar,
    BarChart,
    Block,
    Column,
    Figures,
    Paragraph,
    Points,
    Section,
    Table,
    Value,
)
from services.metrics.schemas.weekly_report import (
    AxisValues,
    ComparedCount,
    MeasureDefinition,
    MeasureValue,
    PageFigures,
    ReportDocument,
)

LAST_WEEK = "Прошлая неделя"
COMPARED_COLUMNS = (
    Column("За неделю (изменение)", "compared", ("За неделю", "Изменение к прошлой неделе"), weight=1.5),
    Column(LAST_WEEK, "count"),
    Column("Год назад (изменение)", "compared", ("Год назад", "Изменение к прошлому году"), weight=1.5),
    Column("Среднее за 8 недель", "decimal"),
)
_MEASURES_IN_A_LINE = 3
_CALM = "Событий, требующих внимания, за неделю нет."


def compared_cells(counts: ComparedCount) -> tuple[Value, ...]:
    """Return the cells of `COMPARED_COLUMNS`."""
    return (
        (counts.value, counts.change),
        counts.last_week,
        (counts.last_year, counts.change_to_last_year),
        counts.mean_of_8_weeks,
    )


def compared_bar(label: str, counts: ComparedCount) -> Bar:
    """Return a bar with this week's count and a mark for last week's."""
    text = russian.count(counts.value)
    if counts.last_week is not None:
        text += f" (было {russian.count(counts.last_week)})"
    return Bar(label, counts.value, text, counts.last_week)


def top_section(document: ReportDocument) -> Section:
    """Return the first page: figures, totals by channel, what needs attention, outcomes, the three axes."""
    axes = [_axis_line(axis, document.definitions) for axis in document.axes]
    channels, outcomes = _channels(document), _outcomes(document)
    blocks: list[Block] = [
        Figures(_headline(document)),
        _attention(document),
        channels,
        outcomes,
        Points(axes, title="Три оси качества") if axes else Paragraph("Показатели качества не рассчитаны."),
    ]
    if document.pages is not None:
        blocks.append(Points([_page_line(document.pages)], title="Страницы"))
    attention = Table(
        "Требует внимания",
        (Column("О чём", weight=2), Column("Подробнее", weight=4), Column("Количество", "count")),
        [(labels.ATTENTION[item.kind], item.text, item.count) for item in document.attention],
        empty=_CALM,
    )
    return Section("top", "Главное за неделю", "Главное", blocks, sheet_tables=[channels, outcomes, attention])


def _headline(document: ReportDocument) -> list[tuple[str, str, str]]:
    outcomes = document.outcomes
    total = next((total.appeals for total in document.totals), None)
    figures = []
    if total is not None:
        before = total.last_week
        remark = "неделей раньше нет данных" if before is None else f"неделей раньше {russian.count(before)}"
        figures.append(("Обращений", russian.compared(total.value, total.change), remark))
    of_opened = f"из {russian.count(outcomes.opened)} открытых"
    return [
        *figures,
        ("Отвечено", russian.count(outcomes.answered), of_opened),
        ("Просрочено ответов", russian.count(outcomes.overdue), of_opened),
        (
            "Вопрос решён",
            russian.count(outcomes.solved),
            f"из {russian.count(outcomes.final_answered)} с оконч. ответом",
        ),
    ]


def _attention(document: ReportDocument) -> Block:
    if not document.attention:
        return Paragraph(_CALM)
    items = [(labels.ATTENTION[item.kind], item.text) for item in document.attention]
    return Points(items, title="Требует внимания")


def _channels(document: ReportDocument) -> Table:
    rows = [(total.label, *compared_cells(total.appeals)) for total in document.totals]
    return Table(
        "Обращения по каналам",
        (Column("Канал", weight=2), *COMPARED_COLUMNS),
        rows,
        has_total_row=True,
        empty="Обращений за неделю нет.",
    )


def _outcomes(document: ReportDocument) -> Table:
    outcomes = document.outcomes
    parts = [
        ("Отвечено", outcomes.answered),
        ("Ждут ответа в пределах срока", outcomes.waiting),
        ("Просрочено", outcomes.overdue),
        ("Закрыто без ответа", outcomes.closed_unanswered),
    ]
    chart = BarChart(
        "Что стало с обращениями недели",
        f"Из {russian.count(outcomes.opened)} обращений, открытых за неделю, на её конец: "
        + "; ".join(f"{label.lower()} – {russian.count(value)}" for label, value in parts)
        + ".",
        [Bar(label, value, russian.count(value)) for label, value in parts],
    )
    rows: list[tuple[Value, ...]] = [
        ("Открыто за неделю", outcomes.opened),
        *parts,
        ("Из отвеченных: дан окончательный ответ", outcomes.final_answered),
        ("Из отвеченных: пока промежуточный ответ", outcomes.interim),
        ("Из окончательных: вопрос решён", outcomes.solved),
        ("Ответ не требуется (сверх открытых)", outcomes.not_required),
        ("Ждут решения модератора (сверх открытых)", outcomes.in_triage),
    ]
    columns = (Column("Исход на конец недели", weight=4), Column("Обращений", "count"))
    return Table("Исходы обращений недели", columns, rows, chart=chart, has_total_row=True)


def _page_line(pages: PageFigures) -> tuple[str, str]:
    changes = pages.light_changes
    counted = (
        ("зелёных", pages.green, None if changes is None else changes.green),
        ("жёлтых", pages.yellow, None if changes is None else changes.yellow),
        ("красных", pages.red, None if changes is None else changes.red),
    )
    return "Светофор", "; ".join(f"{label} {russian.compared(count, change)}" for label, count, change in counted)


def _axis_line(axis: AxisValues, definitions: list[MeasureDefinition]) -> tuple[str, str]:
    known = {definition.code: definition for definition in definitions}
    shown = [_in_words(measure, known.get(measure.code)) for measure in axis.measures[:_MEASURES_IN_A_LINE]]
    return axis.title, "; ".join(shown) or russian.NO_DATA


def _in_words(measure: MeasureValue, definition: MeasureDefinition | None) -> str:
    name = measure.code if definition is None else definition.name
    unit = "count" if definition is None else definition.unit
    if name[1:2].islower():
        name = name[0].lower() + name[1:]
    if measure.value is None:
        return f"{name} {russian.DASH} {russian.NO_DATA}"
    text = f"{name} {russian.measure(measure.value, unit)}"
    return text if measure.change is None else f"{text} ({russian.measure_change(measure.change, unit)})"
