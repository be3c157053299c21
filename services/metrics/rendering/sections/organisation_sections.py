"""Sections about the answers of organisations: the three axes, peer groups, promises, grades."""

from collections.abc import Sequence

from services.metrics.rendering import labels
from services.metrics.rendering import russian_format as russian
from services.metrics.rendering.blocks import (
    Bar,
    BarChart,
    Block,
    Column,
    Measured,
    Paragraph,
    Points,
    Section,
    Subheading,
    Table,
    Value,
)
from services.metrics.schemas.weekly_report import (
    AxisValues,
    MeasureUnit,
    OrganisationRow,
    PeerGroup,
    PromiseFigures,
    RankedOrganisation,
    ReportDocument,
)

_INTERVAL = f"Интервал 95{russian.NO_BREAK_SPACE}%"
_MEASURE_COLUMNS = (
    Column("Показатель", weight=3.2),
    Column("Значение", "measure", weight=1.2),
    Column("Изменение", "measure", weight=1.2),
    Column("Прошлая неделя", "measure", weight=1.2),
    Column("Строки", "share", ("Из них", "Всего измерено"), weight=1.5),
    Column(_INTERVAL, "interval", (f"{_INTERVAL}: от", "до"), weight=1.5),
)
_ORGANISATION_COLUMNS = (
    Column("Организация", weight=4),
    Column("Место среди сопоставимых", "count", missing=russian.TOO_FEW, weight=1.2),
    Column("В срок, сглаженная доля", "percent", weight=1.2),
    Column(_INTERVAL, "interval", (f"{_INTERVAL}: от", "до"), weight=1.6),
    Column("Обращений", "count", weight=1.1),
    Column("Ответов дано или ожидалось", "count", weight=1.2),
    Column("В срок", "count", weight=0.7),
    Column("Просрочено", "count", weight=1.1),
    Column("Без ответа", "count", weight=0.9),
    Column("Удалено вопросов", "count"),
    Column("Закрыто модераторами без ответа", "count", weight=1.5),
    Column("Окончат. ответов", "count", weight=1.1),
    Column("Решено", "count", weight=0.9),
    Column("Повторов текста", "count"),
    Column("«Не решено» от граждан", "count", weight=1.1),
)


def axis_section(document: ReportDocument) -> Section:
    """Return the section of the region's measures, by axis."""
    names = {definition.code: definition.name for definition in document.definitions}
    units = {definition.code: definition.unit for definition in document.definitions}
    blocks: list[Block] = []
    for axis in document.axes:
        rows = _measure_rows(axis, names, units)
        blocks.append(Table(axis.title, _MEASURE_COLUMNS, rows, empty="Показатели не рассчитаны."))
    note = "Что именно считает каждый показатель, сказано в разделе «Как посчитано»."
    rows = [(axis.title, *row) for axis in document.axes for row in _measure_rows(axis, names, units)]
    together = Table("Показатели трёх осей", (Column("Ось"), *_MEASURE_COLUMNS), rows)
    return Section(
        "axes",
        "Оперативность, объективность, полнота",
        "Показатели",
        [*blocks, Paragraph(note, is_note=True)],
        sheet_tables=[together],
    )


def _measure_rows(
    axis: AxisValues, names: dict[str, str], units: dict[str, MeasureUnit]
) -> list[tuple[Value, ...]]:
    rows: list[tuple[Value, ...]] = []
    for measure in axis.measures:
        unit = units.get(measure.code, "count")
        rows.append(
            (
                names.get(measure.code, measure.code),
                Measured(measure.value, unit),
                Measured(measure.change, unit, is_change=True),
                Measured(measure.last_week, unit),
                (measure.numerator, measure.denominator),
                (measure.low, measure.high),
            )
        )
    return rows


def organisation_section(document: ReportDocument) -> Section:
    """Return the section of organisations by peer group, with the best and worst of each and the reasons."""
    blocks: list[Block] = [
        Paragraph(
            "Организации сравниваются только с сопоставимыми. Сглаженная доля ответов в срок у малых организаций "
            "приближена к средней их группы; интервал относится к самой доле. Где данных мало, места нет. "
            "Обращения, которые модераторы закрыли без ответа до срока, в эту долю не входят.",
            is_note=True,
        )
    ]
    for group in document.peer_groups:
        blocks.append(Subheading(group.title))
        blocks += [Points(_reasons(group.best), title="Лучшие")] if group.best else []
        blocks += [Points(_reasons(group.worst), title="Отстающие")] if group.worst else []
        if not group.best and not group.worst:
            ranked = any(row.rank is not None for row in group.organisations)
            why = "различия между организациями не больше случайных" if ranked else "данных мало"
            blocks.append(Paragraph(f"Лучшие и отстающие не названы: {why}."))
        rows = [_organisation_cells(row) for row in group.organisations]
        blocks.append(Table(f"{group.title}: показатели", _ORGANISATION_COLUMNS, rows))
    if not document.peer_groups:
        blocks = [Paragraph("За неделю ни у одной организации нет обращений и ответов.")]
    return Section(
        "organisations",
        "Организации среди сопоставимых",
        "Организации",
        blocks,
        is_wide=bool(document.peer_groups),
        sheet_tables=[_all_organisations(document.peer_groups), _ranked(document.peer_groups)],
    )


def _ranked(groups: Sequence[PeerGroup]) -> Table:
    rows: list[tuple[Value, ...]] = []
    for group in groups:
        rows += [(group.title, "лучшие", named.name, named.reason) for named in group.best]
        rows += [(group.title, "отстающие", named.name, named.reason) for named in group.worst]
    columns = (
        Column("Группа", weight=3),
        Column("Список"),
        Column("Организация", weight=4),
        Column("Почему", weight=5),
    )
    return Table("Лучшие и отстающие", columns, rows, sheet="Лучшие и отстающие")


def _all_organisations(groups: Sequence[PeerGroup]) -> Table:
    rows = [(group.title, *_organisation_cells(row)) for group in groups for row in group.organisations]
    return Table("Организации среди сопоставимых", (Column("Группа", weight=3), *_ORGANISATION_COLUMNS), rows)


def _organisation_cells(row: OrganisationRow) -> tuple[Value, ...]:
    return (
        row.name,
        row.rank,
        row.score,
        (row.low, row.high),
        row.appeals,
        row.responses,
        row.on_time,
        row.overdue,
        row.unanswered,
        row.deleted,
        row.closed_unanswered,
        row.final_answers,
        row.solved,
        row.canned,
        row.not_solved_said,
    )


def _reasons(ranked: Sequence[RankedOrganisation]) -> list[tuple[str, str]]:
    return [(named.name, named.reason) for named in ranked]


def promise_section(document: ReportDocument) -> Section:
    """Return the section of the week's promises and their outcomes."""
    promises = document.promises
    parts = _promise_parts(promises)
    listed = "; ".join(f"{label.lower()} – {russian.count(value)}" for label, value in parts)
    chart = BarChart(
        "Что стало с обещаниями",
        f"Обещаний со сроком на неделе: {russian.count(promises.due)}; из них {listed}.",
        [Bar(label, value, russian.count(value)) for label, value in parts],
    )
    table = Table(
        "Обещания со сроком на неделе",
        (Column("Обещания", weight=4), Column("Количество", "count")),
        [("Всего со сроком на неделе", promises.due), *parts],
        chart=chart if promises.due else None,
        has_total_row=True,
    )
    return Section("promises", "Обещания", "Обещания", [table])


def _promise_parts(promises: PromiseFigures) -> list[tuple[str, int]]:
    return [
        ("Выполнены", promises.kept),
        ("Перенесены вовремя", promises.moved),
        ("Не выполнены", promises.broken),
        ("Срок ещё не наступил", promises.open),
    ]


def deleted_section(document: ReportDocument) -> Section:
    """Return the section of organisations whose pages deleted questions, or whose appeals moderators closed
    without an answer.
    """
    listed = [
        row
        for group in document.peer_groups
        for row in group.organisations
        if row.deleted or row.closed_unanswered
    ]
    listed.sort(key=lambda row: (-row.deleted, -row.closed_unanswered))
    table = Table(
        "Удалённые вопросы и обращения, закрытые модераторами без ответа",
        (
            Column("Организация", weight=4),
            Column("Удалено вопросов", "count"),
            Column("Закрыто модераторами без ответа", "count"),
        ),
        [(row.name, row.deleted, row.closed_unanswered) for row in listed],
        empty="Организации не удаляли вопросов, модераторы не закрывали обращений без ответа.",
    )
    return Section("deleted", "Удалённые вопросы", "Удалённые вопросы", [table])


def grade_section(document: ReportDocument) -> Section:
    """Return the section of grades by criterion."""
    rows = [
        (
            grade.title,
            ", ".join(labels.AXES[axis] for axis in grade.axes),
            grade.mean,
            grade.graded,
            grade.kappa,
        )
        for grade in document.grades
    ]
    table = Table(
        "Оценки ответов за четыре предыдущие недели, по критериям",
        (
            Column("Критерий", weight=3),
            Column("Ось", weight=1.4),
            Column("Средний балл (от 0 до 2)", "mark", missing=russian.TOO_FEW),
            Column("Оценено ответов", "count"),
            Column("Согласие двух экспертов (κ)", "mark"),
        ),
        rows,
        empty="Ответы за четыре предыдущие недели не оценивались.",
    )
    return Section("grades", "Оценки ответов", "Оценки ответов", [table])
