"""The weekly report as an Excel workbook: typed cells, a sheet for each section, and the counted rows."""

import io
import re
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.styles import Alignment, Font, PatternFill
from openpyxl.utils import get_column_letter

from services.metrics.rendering.blocks import Column, Measured, Presentation, Table, Value
from services.metrics.rendering.counted_rows import RowKind, RowTable, RowValue
from services.metrics.rendering.presentation import presentation
from services.metrics.schemas.weekly_report import MeasureUnit, ReportOut
from shared.tabular.formula_escaping import escaped
from shared.text.visible_text import visible

# Excel refuses a file with a longer cell: the limit is 32,767 UTF-16 units.
_MAX_CELL_BYTES = 2 * 32_767
_MAX_TITLE = 31
_FORBIDDEN_IN_TITLE = re.compile(r"[\[\]:*?/\\]")
_MODIFIED = re.compile(rb"(<dcterms:modified[^>]*>)[^<]*(</dcterms:modified>)")
# The earliest time that a ZIP archive can contain.
_ARCHIVE_TIME = (1980, 1, 1, 0, 0, 0)
_BOLD = Font(name="Calibri", size=11, bold=True)
_TITLE_FONT = Font(name="Calibri", size=14, bold=True)
_HEADING_FILL = PatternFill("solid", fgColor="E4EAF1")
_HEADING_ALIGNMENT = Alignment(wrap_text=True, vertical="center")
_NUMBER_HEADING_ALIGNMENT = Alignment(wrap_text=True, vertical="center", horizontal="right")
_MISSING_FONT = Font(name="Calibri", size=11, italic=True, color="595959")
_NUMBER_ALIGNMENT = Alignment(horizontal="right", vertical="top")
_WRAPPED = Alignment(wrap_text=True, vertical="top")
_WIDTH_OF_WEIGHT = 11
_FORMATS: dict[str, str] = {
    "count": "#,##0",
    "compared": "#,##0",
    "share": "#,##0",
    "signed": "+#,##0;-#,##0;0",
    "decimal": "#,##0.0#",
    "mark": "0.00",
    "percent": '0.0#" %"',
    "interval": '0.0#" %"',
    "day": "DD.MM.YYYY",
    "moment": "DD.MM.YYYY HH:MM",
}
_ROW_WIDTHS: dict[RowKind, float] = {
    "text": 28, "count": 12, "decimal": 12, "percent": 12, "day": 12, "moment": 17
}  # fmt: skip
_UNIT_FORMATS: dict[MeasureUnit, str] = {
    "percent": '0.0#" %"',
    "count": "#,##0",
    "hours": '0.0#" ч"',
    "mark": "0.0#",
}


def render(report: ReportOut, rows: Mapping[str, RowTable]) -> bytes:
    """Return the report as XLSX, with the rows that its figures count; equal input gives equal bytes."""
    shown = presentation(report)
    moment = report.report.as_of.astimezone(UTC).replace(tzinfo=None)
    workbook = Workbook(write_only=True)
    workbook.properties.creator = "Госпаблик"
    workbook.properties.title = f"{shown.title}, {shown.subtitle}"
    workbook.properties.created = moment
    file = io.BytesIO()
    try:
        _cover(workbook, shown)
        for section in shown.sections:
            for table in section.tables:
                _table_sheet(workbook, table, table.sheet or section.sheet, shown.zone)
        for behind in rows.values():
            _row_sheet(workbook, behind, shown.zone)
        workbook.save(file)
    except BaseException:
        _remove_temporary_files(workbook)
        raise
    return _with_fixed_times(file.getvalue(), moment)


def _remove_temporary_files(workbook: Workbook) -> None:
    """Remove the temporary files of unfinished sheets, which otherwise only `save` removes."""
    for sheet in workbook.worksheets:
        unsaved: Any = sheet
        unsaved.close()
        unsaved._writer.cleanup()


def _cover(workbook: Workbook, shown: Presentation) -> None:
    """Append the first sheet: the title, and the tables of the first page below each other."""
    sheet = _new_sheet(workbook, shown.top.sheet)
    for number, width in enumerate((44, 30, *[16] * 5), 1):
        sheet.column_dimensions[get_column_letter(number)].width = width
    sheet.append([_text(sheet, shown.title, font=_TITLE_FONT)])
    for line in (shown.subtitle, shown.status, *shown.notices):
        sheet.append([_text(sheet, line)])
    for table in shown.top.tables:
        sheet.append([])
        sheet.append([_text(sheet, table.caption, font=_BOLD)])
        sheet.append(_headings(sheet, table.columns))
        for cells in _body(sheet, table, shown.zone):
            sheet.append(cells)


def _table_sheet(workbook: Workbook, table: Table, title: str, zone: ZoneInfo) -> None:
    """Append a sheet with one table: frozen headings and row names, and a filter."""
    sheet = _new_sheet(workbook, title)
    widths = [
        round(8 + _WIDTH_OF_WEIGHT * (column.weight - 0.5)) for column in table.columns for _ in _parts(column)
    ]
    headings = _headings(sheet, table.columns)
    _lay_out(sheet, widths, frozen="B2" if len(headings) > 1 else "A2")
    sheet.append(headings)
    count = 0
    for count, cells in enumerate(_body(sheet, table, zone), 1):  # noqa: B007 (counted after the loop)
        sheet.append(cells)
    sheet.auto_filter.ref = f"A1:{get_column_letter(len(headings))}{count + 1}"


def _row_sheet(workbook: Workbook, table: RowTable, zone: ZoneInfo) -> None:
    sheet = _new_sheet(workbook, table.title)
    _lay_out(sheet, [_ROW_WIDTHS[column.kind] for column in table.columns], frozen="A2")
    sheet.append([_heading(sheet, column.heading, column.kind != "text") for column in table.columns])
    count = 0
    for row in table.rows:
        count += 1
        sheet.append(
            [
                _cell(sheet, value, _FORMATS.get(column.kind), zone)
                for column, value in zip(table.columns, row, strict=True)
            ]
        )
    sheet.auto_filter.ref = f"A1:{get_column_letter(len(table.columns))}{count + 1}"


def _new_sheet(workbook: Workbook, title: str) -> Any:
    """Return a new sheet. Sheet names must differ in more than letter case, so a repeated name gets a number."""
    wanted = " ".join(_FORBIDDEN_IN_TITLE.sub(" ", visible(title)).split()).strip("'") or "Строки"
    taken = {name.casefold() for name in workbook.sheetnames}
    name, number = wanted[:_MAX_TITLE], 1
    while name.casefold() in taken:
        number += 1
        name = f"{wanted[: _MAX_TITLE - 4]} ({number})"
    sheet: Any = workbook.create_sheet(name)
    sheet.page_setup.orientation = "landscape"
    sheet.page_setup.fitToHeight = 0
    sheet.sheet_properties.pageSetUpPr.fitToPage = True
    return sheet


def _lay_out(sheet: Any, widths: Sequence[float], *, frozen: str) -> None:
    sheet.freeze_panes = frozen
    sheet.print_title_rows = "1:1"
    for number, width in enumerate(widths, 1):
        sheet.column_dimensions[get_column_letter(number)].width = width


def _parts(column: Column) -> Sequence[str]:
    """Return the headings of a column in the workbook; a pair of numbers has two."""
    return column.pair if column.pair[0] else (column.heading,)


def _headings(sheet: Any, columns: Sequence[Column]) -> list[Any]:
    return [_heading(sheet, part, column.is_number) for column in columns for part in _parts(column)]


def _heading(sheet: Any, text: str, is_number: bool) -> Any:
    cell = _text(sheet, text, font=_BOLD)
    cell.fill = _HEADING_FILL
    cell.alignment = _NUMBER_HEADING_ALIGNMENT if is_number else _HEADING_ALIGNMENT
    return cell


def _body(sheet: Any, table: Table, zone: ZoneInfo) -> Iterable[list[Any]]:
    for number, row in enumerate(table.rows):
        font = _BOLD if table.has_total_row and number == 0 else None
        yield [
            cell
            for column, value in zip(table.columns, row, strict=True)
            for cell in _cells(sheet, column, value, zone, font)
        ]
    if not table.rows:
        yield [_text(sheet, table.empty)]


def _cells(sheet: Any, column: Column, value: Value, zone: ZoneInfo, font: Font | None) -> list[Any]:
    """Return the cells for a value; a pair has two."""
    number_format = _FORMATS.get(column.kind)
    if column.pair[0]:
        first, second = value if isinstance(value, tuple) else (None, None)
        change_format = _FORMATS["signed"] if column.kind == "compared" else number_format
        made = [_cell(sheet, first, number_format, zone), _cell(sheet, second, change_format, zone)]
    elif isinstance(value, Measured):
        made = [_cell(sheet, value.value, _measure_format(value), zone)]
    elif isinstance(value, tuple):
        raise TypeError(f"the column «{column.heading}» has no headings for a pair")
    else:
        made = [_cell(sheet, value, number_format, zone)]
    cells = [_text(sheet, column.missing, font=_MISSING_FONT) if cell is None else cell for cell in made]
    for cell in cells:
        cell.alignment = _NUMBER_ALIGNMENT if column.is_number else _WRAPPED
        if font is not None:
            cell.font = font
    return cells


def _measure_format(measured: Measured) -> str:
    form = _UNIT_FORMATS[measured.unit]
    if not measured.is_change:
        return form
    form = form.replace(" %", " п. п.")
    return f"+{form};-{form};0"


def _cell(sheet: Any, value: RowValue, number_format: str | None, zone: ZoneInfo) -> Any:
    if value is None:
        return None
    if isinstance(value, str):
        return _text(sheet, value)
    if isinstance(value, datetime):
        # A workbook has no time zones.
        value = value.astimezone(zone).replace(tzinfo=None)
    cell: Any = WriteOnlyCell(sheet)
    cell.value = value
    if number_format is not None:
        cell.number_format = number_format
    return cell


def _text(sheet: Any, text: str, *, font: Font | None = None) -> Any:
    """Return a text cell that spreadsheet programs never run as a formula, even after an edit."""
    shown = visible(text)
    if 2 * len(shown) > _MAX_CELL_BYTES // 2:
        shown = shown.encode("utf-16-le")[:_MAX_CELL_BYTES].decode("utf-16-le", "ignore")
    cell: Any = WriteOnlyCell(sheet, shown)
    cell.data_type = "s"
    # The cell format marks text that looks like a formula: an apostrophe would change the text itself.
    if escaped(shown) != shown:
        cell.quotePrefix = True
    if font is not None:
        cell.font = font
    return cell


def _with_fixed_times(content: bytes, moment: datetime) -> bytes:
    """Return the archive with fixed times instead of the time of writing, so that equal content gives
    equal bytes.
    """
    stamp = f"{moment:%Y-%m-%dT%H:%M:%SZ}".encode()
    fixed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(fixed, "w") as target:
        for member in source.infolist():
            data = source.read(member)
            if member.filename == "docProps/core.xml":
                data = _MODIFIED.sub(lambda found: found[1] + stamp + found[2], data)
            target.writestr(
                zipfile.ZipInfo(member.filename, _ARCHIVE_TIME), data, compress_type=zipfile.ZIP_DEFLATED
            )
    return fixed.getvalue()
