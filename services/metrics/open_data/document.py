"""The open data of a week, built only from its published report.

They contain counts of the appeals opened in the week by topic and municipality, channel, outcome and organisation.
Left out are comparisons with other weeks, responses, texts, hard appeals, pages, and the triples of topic,
municipality and organisation.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from services.metrics.indicators.breakdown import NO_GROUP
from services.metrics.indicators.channels import NAMED_CHANNELS
from services.metrics.open_data.suppression import OTHER, Combined, combine_small, combine_table, hide_cells
from services.metrics.schemas.open_data import (
    OpenDataCategory,
    OpenDataDocument,
    OpenDataTable,
    OpenDataTableCode,
)
from services.metrics.schemas.weekly_report import ReportDocument

_OTHER_NAME = "Прочие"
_NO_ORGANISATION = "Организация не назначена"
_OUTCOMES = {
    "answered": "Отвечено",
    "waiting": "Ждёт ответа, срок не прошёл",
    "overdue": "Просрочено",
    "closed_unanswered": "Закрыто без ответа",
}


def build_document(report: ReportDocument, minimum: int) -> OpenDataDocument:
    """Return the open data of a report; no count is below `minimum`."""
    tables = [build(report, minimum) for build in (_topics, _channels, _outcomes, _organisations)]
    return OpenDataDocument(
        week=report.week,
        first_day=report.first_day,
        last_day=report.last_day,
        time_zone=report.time_zone,
        minimum=minimum,
        tables=[table for table in tables if table is not None],
    )


def csv_rows(document: OpenDataDocument) -> Iterator[list[object]]:
    """Yield the rows of the open data for CSV: the heading, then a line for each total and each cell.

    The count of a hidden cell is empty.
    """
    yield ["week", "table", "row", "row_name", "column", "column_name", "count"]
    for table in document.tables:
        start = [document.week, table.code]
        yield [*start, None, None, None, None, table.total]
        for row in table.rows:
            yield [*start, row.key, row.name, None, None, row.total]
        for column in table.columns:
            yield [*start, None, None, column.key, column.name, column.total]
        for row, cells in zip(table.rows, table.cells, strict=False):
            for column, count in zip(table.columns, cells, strict=True):
                yield [*start, row.key, row.name, column.key, column.name, count]


def _topics(report: ReportDocument, minimum: int) -> OpenDataTable | None:
    topics = {_key(topic.topic_group_id): topic.label for topic in report.topics}
    municipalities = {_key(one.oktmo): one.name for one in report.municipalities}
    cells = [(_key(cell.topic_group_id), _key(cell.oktmo), cell.appeals) for cell in report.cells]
    of_topics: Counter[str] = Counter()
    of_municipalities: Counter[str] = Counter()
    for topic, municipality, count in cells:
        of_topics[topic] += count
        of_municipalities[municipality] += count
    rows, columns = combine_small(of_topics, minimum), combine_small(of_municipalities, minimum)
    if rows is None or columns is None:
        return None
    table = combine_table(cells, rows, columns)
    hidden = hide_cells(table, minimum)
    return OpenDataTable(
        code="topics_by_municipality",
        title="Темы по районам и городам",
        total=of_topics.total(),
        rows=_categories(rows, topics),
        columns=_categories(columns, municipalities),
        cells=[
            [None if is_hidden else count for count, is_hidden in zip(counts, flags, strict=True)]
            for counts, flags in zip(table, hidden, strict=True)
        ],
    )


def _channels(report: ReportDocument, minimum: int) -> OpenDataTable | None:
    channels = [total for total in report.totals if total.channel != "all"]
    counts = {channel.channel: channel.appeals.value for channel in channels}
    names = {channel.channel: channel.label for channel in channels}
    # The names of other systems are free text from outside.
    unnamed = counts.keys() - NAMED_CHANNELS
    return _list("channels", "Каналы", combine_small(counts, minimum, unnamed), names)


def _outcomes(report: ReportDocument, minimum: int) -> OpenDataTable | None:
    counts = {name: getattr(report.outcomes, name) for name in _OUTCOMES}
    return _list("outcomes", "Исходы на конец недели", combine_small(counts, minimum), _OUTCOMES)


def _organisations(report: ReportDocument, minimum: int) -> OpenDataTable | None:
    names = {str(one.organisation_id): one.name for group in report.peer_groups for one in group.organisations}
    counts: Counter[str] = Counter()
    # Counts appeals, not the responses in the peer groups: a reopened appeal has several responses.
    for cell in report.cells:
        counts[_key(cell.organisation_id)] += cell.appeals
    combined = combine_small(counts, minimum)
    return _list("organisations", "Обращения по организациям", combined, {NO_GROUP: _NO_ORGANISATION} | names)


def _key(value: object) -> str:
    return NO_GROUP if value is None else str(value)


def _list(
    code: OpenDataTableCode, title: str, combined: Combined | None, names: Mapping[str, str]
) -> OpenDataTable | None:
    if combined is None:
        return None
    rows = _categories(combined, names)
    return OpenDataTable(
        code=code, title=title, total=sum(row.total for row in rows), rows=rows, columns=[], cells=[]
    )


def _categories(combined: Combined, names: Mapping[str, str]) -> Sequence[OpenDataCategory]:
    return [
        OpenDataCategory(key=key, name=_OTHER_NAME if key == OTHER else names[key], total=count)
        for key, count in combined.counts
    ]
