"""Open data of a week, made of its published report and nothing else.

Taken are counts of the week by topic and municipality, channel, outcome and organisation. Comparisons with other
weeks, texts, hard appeals, pages and the triples of topic, municipality and organisation are left out.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from services.metrics.indicators.breakdown import NO_GROUP
from services.metrics.open_data.suppression import OTHER, Merged, hide_cells, merge_small, merge_table
from services.metrics.schemas.open_data import OpenCategory, OpenTable, OpenTableCode, OpenTableUnit, OpenWeek
from services.metrics.schemas.weekly_report import ReportDocument

Cell = tuple[str, str, int]
_OTHER_NAME = "Прочие"
_ON_TIME, _LATE = "on_time", "late"
_TIMELINESS = {_ON_TIME: "В срок", _LATE: "Не в срок"}
_OUTCOMES = {
    "answered": "Отвечено",
    "waiting": "Ждёт ответа, срок не прошёл",
    "overdue": "Просрочено",
    "closed_unanswered": "Закрыто без ответа",
}


def open_week(report: ReportDocument, minimum: int) -> OpenWeek:
    """Return the open data of a report; no count in it is below `minimum`."""
    tables = [_topics(report, minimum), _channels(report, minimum), _outcomes(report, minimum)]
    tables.append(_organisations(report, minimum))
    return OpenWeek(
        week=report.week,
        first_day=report.first_day,
        last_day=report.last_day,
        time_zone=report.time_zone,
        minimum=minimum,
        tables=[table for table in tables if table is not None],
    )


def csv_rows(week: OpenWeek) -> Iterator[list[object]]:
    """Yield the open data as CSV has them: the heading, then a line for each total and for each cell.

    The count of a hidden cell is empty.
    """
    yield ["week", "table", "unit", "row", "row_name", "column", "column_name", "count"]
    for table in week.tables:
        start = [week.week, table.code, table.unit]
        yield [*start, None, None, None, None, table.total]
        for row in table.rows:
            yield [*start, row.key, row.name, None, None, row.total]
        for column in table.columns:
            yield [*start, None, None, column.key, column.name, column.total]
        for row, cells in zip(table.rows, table.cells, strict=False):
            for column, count in zip(table.columns, cells, strict=True):
                yield [*start, row.key, row.name, column.key, column.name, count]


def _topics(report: ReportDocument, minimum: int) -> OpenTable | None:
    topics = {_key(topic.topic_group_id): topic.label for topic in report.topics}
    municipalities = {_key(place.oktmo): place.name for place in report.municipalities}
    cells = [(_key(cell.topic_group_id), _key(cell.oktmo), cell.appeals) for cell in report.cells]
    return _table(
        "topics_by_municipality",
        "Темы по районам и городам",
        "appeals",
        minimum,
        cells=cells,
        row_names=topics,
        column_names=municipalities,
    )


def _channels(report: ReportDocument, minimum: int) -> OpenTable | None:
    channels = [total for total in report.totals if total.channel != "all"]
    counts = {channel.channel: channel.appeals.value for channel in channels}
    return _list("channels", "Каналы", counts, {channel.channel: channel.label for channel in channels}, minimum)


def _outcomes(report: ReportDocument, minimum: int) -> OpenTable | None:
    counts = {name: getattr(report.outcomes, name) for name in _OUTCOMES}
    return _list("outcomes", "Исходы на конец недели", counts, _OUTCOMES, minimum)


def _organisations(report: ReportDocument, minimum: int) -> OpenTable | None:
    organisations = [one for group in report.peer_groups for one in group.organisations]
    names = {str(one.organisation_id): one.name for one in organisations}
    cells: list[Cell] = []
    for one in organisations:
        cells.append((str(one.organisation_id), _ON_TIME, one.on_time))
        cells.append((str(one.organisation_id), _LATE, one.responses - one.on_time))
    return _table(
        "organisations",
        "Ответы организаций",
        "responses",
        minimum,
        cells=cells,
        row_names=names,
        column_names=_TIMELINESS,
    )


def _key(value: object) -> str:
    return NO_GROUP if value is None else str(value)


def _list(
    code: OpenTableCode, title: str, counts: Mapping[str, int], names: Mapping[str, str], minimum: int
) -> OpenTable | None:
    merged = merge_small(counts, minimum)
    if merged is None:
        return None
    total = sum(count for _, count in merged.counts)
    return OpenTable(
        code=code,
        title=title,
        unit="appeals",
        total=total,
        rows=_categories(merged, names),
        columns=[],
        cells=[],
    )


def _table(
    code: OpenTableCode,
    title: str,
    unit: OpenTableUnit,
    minimum: int,
    *,
    cells: Sequence[Cell],
    row_names: Mapping[str, str],
    column_names: Mapping[str, str],
) -> OpenTable | None:
    of_rows: Counter[str] = Counter()
    of_columns: Counter[str] = Counter()
    for row, column, count in cells:
        of_rows[row] += count
        of_columns[column] += count
    rows, columns = merge_small(of_rows, minimum), merge_small(of_columns, minimum)
    if rows is None or columns is None:
        return None
    table = merge_table(cells, rows, columns)
    hidden = hide_cells(table, minimum)
    return OpenTable(
        code=code,
        title=title,
        unit=unit,
        total=of_rows.total(),
        rows=_categories(rows, row_names),
        columns=_categories(columns, column_names),
        cells=[
            [None if is_hidden else count for count, is_hidden in zip(counts, flags, strict=True)]
            for counts, flags in zip(table, hidden, strict=True)
        ],
    )


def _categories(merged: Merged, names: Mapping[str, str]) -> list[OpenCategory]:
    return [
        OpenCategory(key=key, name=_OTHER_NAME if key == OTHER else names[key], total=count)
        for key, count in merged.counts
    ]
