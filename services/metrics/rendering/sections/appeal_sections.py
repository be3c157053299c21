"""Sections about the content of appeals: topics, municipalities, both combined, hard appeals."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID
from zoneinfo import ZoneInfo

from services.metrics.rendering import russian_format as russian
from services.metrics.rendering.blocks import (
    BarChart,
    Block,
    Column,
    Paragraph,
    Quotation,
    Section,
    Table,
    Value,
)
from services.metrics.rendering.sections.top_sheet import COMPARED_COLUMNS, compared_bar, compared_cells
from services.metrics.schemas.weekly_report import (
    HardAppeal,
    MunicipalityRow,
    NamedCount,
    ReportCell,
    ReportDocument,
    TopicRow,
)

_FIRST_TOPICS = 5
_BARS = 10
_MATRIX_TOPICS = 12
_MATRIX_MUNICIPALITIES = 8
_COMBINATIONS = 10
_LEGEND = ("эта неделя", "прошлая неделя")
_UNKNOWN = "не указано"


def topic_section(document: ReportDocument) -> Section:
    """Return the section of topics: the first ones with sub-topics and locations, then all topics."""
    topics = document.topics
    detailed = Table(
        f"Первые темы ({min(_FIRST_TOPICS, len(topics))}): о чём и где",
        (
            Column("Тема", weight=1.6),
            COMPARED_COLUMNS[0],
            Column("Доля", "percent", weight=0.7),
            Column("Подтемы", weight=2.4),
            Column("Места", weight=2.4),
        ),
        [_detailed_row(topic) for topic in topics[:_FIRST_TOPICS]],
    )
    everything = Table(
        "Все темы",
        (Column("Тема", weight=3), *COMPARED_COLUMNS, Column("Доля", "percent")),
        [(topic.label, *compared_cells(topic.appeals), topic.share) for topic in topics],
        chart=_topic_chart(topics),
        empty="Обращений за неделю нет.",
    )
    return Section(
        "topics",
        "Темы",
        "Темы",
        [detailed, everything] if topics else [everything],
        sheet_tables=[everything, _details(topics)],
    )


def _details(topics: list[TopicRow]) -> Table:
    rows: list[tuple[Value, ...]] = []
    for topic in topics:
        rows += [(topic.label, "подтема", named.name, named.count) for named in topic.subtopics]
        rows += [(topic.label, "место", named.name, named.count) for named in topic.locations]
    columns = (Column("Тема", weight=3), Column("Что"), Column("Название", weight=3), Column("Обращений", "count"))
    return Table("Подтемы и места", columns, rows, sheet="Подтемы и места")


def _detailed_row(topic: TopicRow) -> tuple[Value, ...]:
    appeals = topic.appeals
    return (
        topic.label,
        (appeals.value, appeals.change),
        topic.share,
        _named_counts(topic.subtopics),
        _named_counts(topic.locations),
    )


def _named_counts(items: list[NamedCount]) -> str:
    return "; ".join(f"{item.name} – {russian.count(item.count)}" for item in items) or russian.NO_DATA


def _topic_chart(topics: list[TopicRow]) -> BarChart | None:
    if not topics:
        return None
    bars = [compared_bar(topic.label, topic.appeals) for topic in topics[:_BARS]]
    return BarChart("Самые частые темы", _described(topics, len(bars)), bars, _LEGEND)


def _described(topics: list[TopicRow], shown: int) -> str:
    listed = "; ".join(f"{topic.label} – {russian.count(topic.appeals.value)}" for topic in topics[:shown])
    return f"Обращений за неделю: {listed}."


def municipality_section(document: ReportDocument) -> Section:
    """Return the section of municipalities, most appeals first."""
    rows = document.municipalities
    bars = [compared_bar(row.name, row.appeals) for row in rows[:_BARS]]
    listed = "; ".join(f"{row.name} – {russian.count(row.appeals.value)}" for row in rows[:_BARS])
    chart = BarChart("Откуда пишут чаще всего", f"Обращений за неделю: {listed}.", bars, _LEGEND) if bars else None
    table = Table(
        "Районы и города",
        (Column("Район, город", weight=3), *COMPARED_COLUMNS, Column("Просрочено", "count")),
        [(row.name, *compared_cells(row.appeals), row.overdue) for row in rows],
        chart=chart,
        empty="Обращений за неделю нет.",
    )
    return Section("municipalities", "Районы и города", "Районы и города", [table])


def matrix_section(document: ReportDocument) -> Section:
    """Return the section of topics by municipality, with the most frequent combinations and their
    organisations.
    """
    topics = {topic.topic_group_id: topic.label for topic in document.topics}
    places = {row.oktmo: row.name for row in document.municipalities}
    bodies = organisation_names(document)
    combinations = Table(
        "Тема, место и организация: чаще всего",
        _CELL_COLUMNS,
        [_cell_row(cell, topics, places, bodies) for cell in _most_frequent(document.cells)[:_COMBINATIONS]],
    )
    everything = Table(
        "Тема, место и организация: все сочетания",
        _CELL_COLUMNS,
        [_cell_row(cell, topics, places, bodies) for cell in _most_frequent(document.cells)],
    )
    matrix = _matrix(document.cells, document.topics, document.municipalities)
    note = Paragraph(
        "Строка и столбец «прочие» дополняют таблицу до всех обращений. Все сочетания темы, места и организации – "
        "в книге XLSX.",
        is_note=True,
    )
    return Section(
        "matrix",
        "Темы по районам и городам",
        "Темы × районы",
        [matrix, note, combinations] if document.cells else [matrix],
        is_wide=bool(document.cells),
        sheet_tables=[everything],
    )


_CELL_COLUMNS = (
    Column("Тема", weight=3),
    Column("Район, город", weight=2, missing=_UNKNOWN),
    Column("Организация", weight=4, missing="не назначена"),
    Column("Обращений", "count"),
)


def organisation_names(document: ReportDocument) -> dict[UUID, str]:
    """Return the names of all organisations of the report by id."""
    return {row.organisation_id: row.name for group in document.peer_groups for row in group.organisations}


def _most_frequent(cells: list[ReportCell]) -> list[ReportCell]:
    # The sort is stable: cells with equal counts keep the order of the document.
    return sorted(cells, key=lambda cell: -cell.appeals)


def _cell_row(
    cell: ReportCell,
    topics: Mapping[UUID | None, str],
    places: Mapping[str | None, str],
    bodies: Mapping[UUID, str],
) -> tuple[Value, ...]:
    body = None if cell.organisation_id is None else bodies.get(cell.organisation_id, str(cell.organisation_id))
    topic = topics.get(cell.topic_group_id, "без темы")
    return topic, places.get(cell.oktmo, cell.oktmo), body, cell.appeals


def _matrix(cells: list[ReportCell], topics: list[TopicRow], places: list[MunicipalityRow]) -> Table:
    shown_topics = topics[:_MATRIX_TOPICS]
    shown_places = places[:_MATRIX_MUNICIPALITIES]
    topic_keys = [topic.topic_group_id for topic in shown_topics]
    place_keys = [place.oktmo for place in shown_places]
    sums: Counter[tuple[int, int]] = Counter()
    for cell in cells:
        sums[_index(cell.topic_group_id, topic_keys), _index(cell.oktmo, place_keys)] += cell.appeals
    headings = [place.name for place in shown_places]
    widths = range(len(place_keys) + 1)
    rows: list[tuple[Value, ...]] = []
    for at, label in enumerate([*(topic.label for topic in shown_topics), "прочие темы"]):
        numbers = [sums[at, column] for column in widths]
        rows.append((label, *numbers, sum(numbers)))
    totals = [sum(sums[at, column] for at in range(len(topic_keys) + 1)) for column in widths]
    columns = (
        Column("Тема", weight=2.6),
        *(Column(heading, "count") for heading in (*headings, "прочие", "Всего")),
    )
    if not cells:
        rows, totals = [], []
    return Table(
        "Обращения по темам и местам",
        columns,
        [("Всего", *totals, sum(totals)), *rows] if rows else [],
        has_total_row=True,
        empty="Обращений за неделю нет.",
    )


def _index(key: object, keys: Sequence[object]) -> int:
    return keys.index(key) if key in keys else len(keys)


def hard_appeal_section(document: ReportDocument) -> Section:
    """Return the section of appeals that should be read in full."""
    zone = ZoneInfo(document.time_zone)
    blocks: list[Block] = [_quotation(appeal, zone) for appeal in document.hard_appeals]
    table = Table(
        "Сложные обращения",
        (
            Column("Номер"),
            Column("Почему", weight=3),
            Column("Открыто", "moment", weight=1.5),
            Column("Канал", weight=1.5),
            Column("Тема", weight=2),
            Column("Район, город", weight=2, missing=_UNKNOWN),
            Column("Организация", weight=3, missing="не назначена"),
            Column("Текст", weight=6),
        ),
        list(_hard_rows(document.hard_appeals)),
    )
    note = Paragraph("Тексты приведены полностью; персональные данные скрыты.", is_note=True)
    return Section(
        "hard-appeals",
        "Сложные обращения полностью",
        "Сложные обращения",
        [note, *blocks] if blocks else [Paragraph("Сложных обращений за неделю не отобрано.")],
        sheet_tables=[table],
    )


def _hard_rows(appeals: Iterable[HardAppeal]) -> Iterable[tuple[Value, ...]]:
    for appeal in appeals:
        yield (
            str(appeal.number),
            appeal.reason,
            appeal.opened_at,
            appeal.channel,
            appeal.topic,
            appeal.municipality,
            appeal.organisation,
            appeal.text,
        )


def _quotation(appeal: HardAppeal, zone: ZoneInfo) -> Quotation:
    facts = [
        ("Почему здесь", appeal.reason),
        ("Поступило", f"{russian.moment(appeal.opened_at, zone)}, {appeal.channel}"),
        ("Тема", appeal.topic or _UNKNOWN),
        ("Место", appeal.municipality or _UNKNOWN),
        ("Организация", appeal.organisation or "не назначена"),
    ]
    return Quotation(f"Обращение № {appeal.number}", facts, appeal.text)
