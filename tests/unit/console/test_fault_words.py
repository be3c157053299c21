"""English reasons of the import are shown in Russian."""

import re

import pytest

from services.console.pages.registry_import.fault_words import about_file, in_russian
from services.registry.import_export.cell_errors import InvalidCellValue
from services.registry.import_export.cell_values import parse_cell


@pytest.mark.parametrize(
    ("field", "text"),
    [("kind", "фигня"), ("active", "наверное"), ("valid_from", "вчера"), ("inn", "1,2E+10"), ("id", "7")],
)
def test_every_reason_of_a_cell_has_russian_text(field: str, text: str) -> None:
    with pytest.raises(InvalidCellValue) as caught:
        parse_cell(field, text)
    words = in_russian(str(caught.value))
    assert words != in_russian("something else")
    assert re.search("[A-Za-z]", words) is None


def test_names_from_the_file_are_kept_in_the_russian_text() -> None:
    assert in_russian("belongs to «School 9»") == "Этот код уже у организации «School 9»."
    assert in_russian("belongs to «МБОУ «Школа № 9»»") == "Этот код уже у организации «МБОУ „Школа № 9“»."
    assert in_russian("matches «А», like row 7: tell them apart by code").startswith(
        "Та же организация, что в строке 7"
    )
    assert (
        about_file("There is no column «Наименование» (or `name`); …") == "В таблице нет столбца «Наименование»."
    )
    assert about_file("The file is too large: a sheet has at most 9 rows").startswith("На листе слишком много")


def test_unknown_reason_is_not_shown_in_english() -> None:
    assert in_russian("is {odd} in a new way") == "Значение не подходит этому столбцу."
    assert in_russian("ИНН состоит из 10 или 12 цифр") == "ИНН состоит из 10 или 12 цифр"


def test_braces_in_quoted_values_are_not_placeholders() -> None:
    assert in_russian("belongs to «{1} {x}»") == "Этот код уже у организации «{1} {x}»."
