"""Loading of labelled texts from tables in the formats that organisations use."""

from pathlib import Path

import pytest

from services.appeals.classification.training.labelled_data import load_labelled
from shared.tabular.named_columns import read_table
from shared.tabular.reader import UnreadableTableError

EXPORT = (
    "Номер инцидента;Группа тем;Тема;Текст инцидента\r\n"
    '1;Дороги;Ямы на дорогах;"яма; у ""Оптимы""\r\nвторой день"\r\n'
    "2;Дороги;Ямы на дорогах;ещё яма\r\n"
    "3;Дороги;Знаки и разметка;нет знака\r\n"
    "4;Дороги;Знаки и разметка;стёрлась зебра\r\n"
    "5;Вода;Нет воды;воды нет\r\n"
    "6;Вода;Нет воды;сухие краны\r\n"
)


def written(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    path = folder / "export.csv"
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1251"])
def test_incident_export_is_read_by_column_names(tmp_path: Path, encoding: str) -> None:
    table = read_table(written(tmp_path, EXPORT, encoding))
    found = load_labelled(table, "  текст  Инцидента ", "группа тем")
    assert found.texts[0] == 'яма; у "Оптимы"\r\nвторой день'
    assert found.labels == ["Дороги"] * 4 + ["Вода"] * 2
    assert found.row_numbers == [1, 2, 3, 4, 5, 6]


def test_finer_column_is_used_for_the_names_of_labels(tmp_path: Path) -> None:
    table = read_table(written(tmp_path, EXPORT))
    found = load_labelled(table, "Текст инцидента", "Группа тем")
    assert found.names_column == "Тема"
    assert found.names[0] == "Ямы на дорогах"
    assert load_labelled(table, "Текст инцидента", "Тема").names_column is None
    assert load_labelled(table, "Текст инцидента", "Группа тем", "-").names_column is None
    assert load_labelled(table, "Текст инцидента", "Тема", "Группа тем").names_column == "Группа тем"


def test_column_independent_of_the_label_is_not_used_for_names(tmp_path: Path) -> None:
    mixed = EXPORT.replace("6;Вода;Нет воды", "6;Вода;Ямы на дорогах")
    assert (
        load_labelled(read_table(written(tmp_path, mixed)), "Текст инцидента", "Группа тем").names_column is None
    )


def test_rows_without_text_or_label_are_reported(tmp_path: Path) -> None:
    path = written(tmp_path, "text,label\n яма ,a\n,a\nводы нет,\n  ,\nтемно,b\n")
    found = load_labelled(read_table(path), "text", "label")
    assert found.texts == ["яма", "темно"]
    assert found.row_numbers == [1, 5]
    assert (found.without_text, found.without_label) == ([2, 4], [3])


def test_personal_data_is_masked_and_escaped_cells_are_restored(tmp_path: Path) -> None:
    path = written(tmp_path, 'text,label\n"\'=яма у дома, звоните 8 902 555-12-34",a\n')
    (text,) = load_labelled(read_table(path), "text", "label").texts
    assert text.startswith("=яма у дома")
    assert "555" not in text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("text,topic\nяма,a\n", "the column «label» is missing; the file has: text, topic"),
        (
            "text,label\n,a\nяма,\n",
            r"no row has both «text» and «label» \(without text: 1, without label: 1 of 2\)",
        ),
        ("text,label\nяма,a|b\n", r"row 1: the label must not contain «\|»"),
    ],
)
def test_unusable_table_is_refused_with_its_reason(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(UnreadableTableError, match=message):
        load_labelled(read_table(written(tmp_path, content)), "text", "label")


def test_same_column_for_text_and_label_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableTableError, match="same column"):
        load_labelled(read_table(written(tmp_path, "text,label\nяма,a\n")), "text", "Text")
