"""Conversion of cell texts to values and back."""

import contextlib
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.registry.import_export import cell_values
from services.registry.import_export.cell_errors import InvalidCellValue, cell_name
from shared.clock import REGION_TIME_ZONE
from shared.tabular.formula_escaping import unescaped


@pytest.mark.parametrize(
    ("field", "text", "value"),
    [
        ("valid_from", "2024-02-29", date(2024, 2, 29)),
        ("valid_from", "29.02.2024", date(2024, 2, 29)),
        ("valid_from", "1.9.2016", date(2016, 9, 1)),
        ("valid_from", "2024-02-29T10:00:00", date(2024, 2, 29)),
        ("go_live_at", "2026-01-01", datetime(2026, 1, 1, tzinfo=REGION_TIME_ZONE)),
        ("go_live_at", "01.02.2026", datetime(2026, 2, 1, tzinfo=REGION_TIME_ZONE)),
        ("go_live_at", "2026-01-01T10:00:00", datetime(2026, 1, 1, 10, tzinfo=REGION_TIME_ZONE)),
        ("go_live_at", "2026-01-01T10:00:00Z", datetime(2026, 1, 1, 10, tzinfo=UTC)),
        ("active", "Да", True),
        ("active", "не действует", False),
        ("active", "Ликвидирована", False),
        ("kind", "Орган местного самоуправления", "municipality"),
        ("kind", "institution", "institution"),
        ("level", "Министерство", "regional"),
        ("inn", "323011755", "0323011755"),
        ("inn", "0323 011 755", "0323011755"),
        ("oktmo", "1701000", "01701000"),
        ("ogrn", "1020300904326", "1020300904326"),
        ("ogrn", "102030090432", "102030090432"),
        ("code", "School-71", "school-71"),
        ("name", "Школа № 71", "Школа № 71"),
    ],
)
def test_cell_text_is_parsed(field: str, text: str, value: Any) -> None:
    assert cell_values.parse_cell(field, text) == value


@pytest.mark.parametrize(
    ("field", "text", "reason"),
    [
        ("valid_from", "31.02.2024", "is not a date"),
        ("valid_from", "позавчера", "is not a date"),
        ("go_live_at", "2026-13-01", "is not a date"),
        ("active", "возможно", "neither yes nor no"),
        ("kind", "министерство", "is not one of"),
        ("ogrn", "1,0203E+12", "rounded"),
        ("inn", "3.23011755E8", "rounded"),
        ("id", "17", "is not an id"),
        ("former_names", "Детский сад [вчера/]", "is not a date"),
    ],
)
def test_invalid_cell_text_is_refused_with_a_reason(field: str, text: str, reason: str) -> None:
    if field == "former_names":
        # Text in brackets is part of the name unless it consists of dates.
        assert cell_values.parse_cell(field, text) == [(text, None, None)]
        text = "Детский сад [2020-13-01/]"
    with pytest.raises(InvalidCellValue, match=reason):
        cell_values.parse_cell(field, text)


@pytest.mark.parametrize("field", sorted(cell_values.PARSERS))
@pytest.mark.parametrize("text", ["1" * 100_000, "1 " * 50_000, "a" + " " * 100_000 + "[", "9" * 50_000 + "E"])
def test_very_long_cells_are_parsed_in_time(field: str, text: str) -> None:
    with contextlib.suppress(InvalidCellValue):
        cell_values.parse_cell(field, text)


def test_names_are_parsed_with_their_validity() -> None:
    text = "Лицей № 1\n Школа № 1 [2010-09-01/2019-12-31]\n\nГимназия [/31.12.2009]"
    assert cell_values.parse_names(text) == [
        ("Лицей № 1", None, None),
        ("Школа № 1", date(2010, 9, 1), date(2019, 12, 31)),
        ("Гимназия", None, date(2009, 12, 31)),
    ]


line = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1)
day = st.none() | st.dates(date(1700, 1, 1), date(2999, 12, 31))


@given(st.sets(st.tuples(line | st.just("x [1999-01-01/]") | st.just("Школа [/]"), day, day)))
def test_formatted_names_parse_to_the_same_names(names: set[cell_values.DatedName]) -> None:
    assert set(cell_values.parse_names(cell_values.format_names(names))) == names


def test_apostrophe_in_a_text_is_kept() -> None:
    assert unescaped("'Школа") == "'Школа"


def test_cell_names_follow_spreadsheets() -> None:
    assert [cell_name(17, index) for index in (0, 2, 25, 26, 701, 702)] == [
        "A17",
        "C17",
        "Z17",
        "AA17",
        "ZZ17",
        "AAA17",
    ]
