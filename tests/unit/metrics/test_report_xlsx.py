"""The weekly report as a workbook."""

import io
from datetime import UTC, date, datetime
from pathlib import Path

import openpyxl
import pytest
import time_machine
from openpyxl import Workbook

from services.metrics.rendering import xlsx
from services.metrics.rendering.counted_rows import RowColumn, RowTable
from services.metrics.schemas.weekly_report import ReportOut
from shared.text.visible_text import visible
from tests.support.sample_report import (
    HOSTILE_TEXTS,
    empty_report,
    report_of_distinct_numbers,
    report_without_measurements,
    sample_report,
)

ROWS = {
    "opened": RowTable(
        "Строки: открыто [неделя]",
        [
            RowColumn("Номер", "count"),
            RowColumn("Открыто", "moment"),
            RowColumn("Срок", "day"),
            RowColumn("Текст"),
        ],
        [
            (1024, datetime(2026, 11, 17, 2, 40, tzinfo=UTC), date(2026, 11, 18), '=HYPERLINK("x")'),
            (1025, None, None, "обычный текст"),
        ],
    )
}


def opened(report: ReportOut, rows: dict[str, RowTable] | None = None) -> Workbook:
    return openpyxl.load_workbook(io.BytesIO(xlsx.render(report, rows or {})))


def values(workbook: Workbook) -> list[object]:
    return [value for sheet in workbook for row in sheet.iter_rows(values_only=True) for value in row]


@pytest.fixture(scope="module")
def sample() -> Workbook:
    return opened(sample_report(), ROWS)


def test_sheets_are_the_sections_in_order(sample: Workbook) -> None:
    assert sample.sheetnames[:6] == [
        "Главное",
        "Темы",
        "Подтемы и места",
        "Районы и города",
        "Темы × районы",
        "Показатели",
    ]
    assert sample.sheetnames[-1] == "Строки открыто неделя"


def test_first_sheet_has_the_totals_as_numbers(sample: Workbook) -> None:
    rows = list(sample["Главное"].iter_rows(values_only=True))
    assert ("Всего", 508, -50, 558, 431, 77, 545.6) in rows
    assert ("Госуслуги", 264, -6, 270, 231, 33, 268.6) in rows
    assert ("Одноклассники", 63, -10, 73, "нет данных", "нет данных", 70.6) in rows
    assert ("Сроки", "12 ответов просрочено на конец недели", 12) in [row[:3] for row in rows]


def test_every_number_is_a_numeric_cell() -> None:
    report, numbers = report_of_distinct_numbers()
    shown = values(opened(report))
    named = {str(appeal.number) for appeal in report.report.hard_appeals}
    missing = [number for number in numbers if number not in shown and str(number) not in named]
    assert missing == []


def test_all_cells_of_topics_by_municipality_are_listed(sample: Workbook) -> None:
    rows = list(sample["Темы × районы"].iter_rows(min_row=2, values_only=True))
    assert len(rows) == len(sample_report().report.cells)
    counts = [row[3] for row in rows]
    assert sum(count for count in counts if isinstance(count, int)) == 508


def test_tables_have_frozen_headings_a_filter_and_widths(sample: Workbook) -> None:
    for sheet in sample.worksheets[1:]:
        assert sheet.freeze_panes in {"A2", "B2"}
        assert sheet.auto_filter.ref == sheet.dimensions
        assert sheet.print_title_rows == "$1:$1"
        assert sheet.column_dimensions["A"].width > 8
        headings = [cell.value for cell in sheet[1]]
        assert len(headings) == len(set(headings))


def test_percentages_and_moments_have_their_formats(sample: Workbook) -> None:
    share = sample["Темы"]["H2"]
    assert (share.value, share.number_format) == (39.6, '0.0#" %"')
    change = sample["Темы"]["C2"]
    assert (change.value, change.number_format) == (30, "+#,##0;-#,##0;0")
    moment = sample["Сложные обращения"]["C2"]
    assert (moment.value, moment.number_format) == (datetime(2026, 11, 17, 10, 40), "DD.MM.YYYY HH:MM")  # noqa: DTZ001


def test_rows_behind_the_figures_are_typed(sample: Workbook) -> None:
    sheet = sample["Строки открыто неделя"]
    assert [cell.value for cell in sheet[1]] == ["Номер", "Открыто", "Срок", "Текст"]
    number, moment, day, text = sheet[2]
    assert number.value == 1024
    assert moment.value == datetime(2026, 11, 17, 10, 40)  # noqa: DTZ001
    assert (day.value, day.number_format) == (datetime(2026, 11, 18), "DD.MM.YYYY")  # noqa: DTZ001
    assert (text.value, text.data_type, text.quotePrefix) == ('=HYPERLINK("x")', "s", True)
    assert [cell.value for cell in sheet[3]] == [1025, None, None, "обычный текст"]
    assert not sheet["D3"].quotePrefix


def test_hostile_texts_are_text_cells_and_never_formulas() -> None:
    workbook = opened(sample_report(hostile=True))
    cells = [cell for sheet in workbook for row in sheet.iter_rows() for cell in row]
    assert not [cell for cell in cells if cell.data_type == "f"]
    shown = {cell.value for cell in cells}
    assert {visible(text) for text in HOSTILE_TEXTS} <= shown
    formula = [cell for cell in cells if isinstance(cell.value, str) and cell.value.startswith("=HYPERLINK")]
    assert formula
    assert all(cell.quotePrefix for cell in formula)


def test_text_longer_than_a_cell_is_cut() -> None:
    rows = {"long": RowTable("Длинное", [RowColumn("Текст")], [("я" * 40_000,)])}
    assert opened(empty_report(), rows)["Длинное"]["A2"].value == "я" * 32_767


def test_titles_of_sheets_are_unique_and_short() -> None:
    table = RowTable("Очень длинное название листа со строками за неделю", [RowColumn("Номер")], [])
    names = opened(empty_report(), {"one": table, "other": table}).sheetnames
    assert names[-2:] == ["Очень длинное название листа со", "Очень длинное название лист (2)"]


def test_missing_values_are_shown_as_no_data_and_an_empty_week_opens() -> None:
    shown = values(opened(report_without_measurements()))
    assert "нет данных" in shown
    assert "мало данных" in shown
    assert "Обращений за неделю нет." in values(opened(empty_report()))


def test_same_report_gives_the_same_bytes_at_any_time() -> None:
    with time_machine.travel(datetime(2026, 11, 23, tzinfo=UTC), tick=False):
        first = xlsx.render(sample_report(), ROWS)
    with time_machine.travel(datetime(2027, 3, 1, tzinfo=UTC), tick=False):
        assert xlsx.render(sample_report(), ROWS) == first


def test_failing_rows_leave_no_temporary_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    broken = RowTable("Строки", [RowColumn("Номер"), RowColumn("Текст")], [(1, "а"), (2,)])
    with pytest.raises(ValueError, match="shorter"):
        xlsx.render(sample_report(organisations=4), {"opened": broken})
    assert list(tmp_path.iterdir()) == []
