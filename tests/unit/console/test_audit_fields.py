"""The audit trail: fields and values have Russian names, and every name belongs to an existing column."""

from services.console.pages.audit.field_words import _KINDS, FIELDS, changed_fields
from services.console.words.labels import LABELS
from shared.audit.column_policy import DERIVED_COLUMNS, READABLE_COLUMNS
from shared.tables import all_tables as tables

COLUMNS = {
    table: {column.name for column in tables.Base.metadata.tables[table].columns} - DERIVED_COLUMNS
    for table in READABLE_COLUMNS
}


def test_each_named_field_is_a_column() -> None:
    assert set(FIELDS) <= set().union(*COLUMNS.values())


def test_each_list_of_values_belongs_to_a_readable_column() -> None:
    readable = set().union(*READABLE_COLUMNS.values())
    for field, kind in _KINDS.items():
        assert kind in LABELS
        if isinstance(field, tuple):
            assert field[1] in READABLE_COLUMNS[field[0]], field
        else:
            assert field in readable, field


def test_known_values_are_shown_in_russian() -> None:
    entry: dict[str, object] = {
        "subject_kind": "appeals",
        "before": {"id": "1", "status": "triage", "outcome": None, "text": {"digest": "ab"}},
        "after": {"id": "1", "status": "closed", "outcome": "solved", "text": {"digest": "cd"}},
    }
    assert changed_fields(entry) == [
        ("статус", "у модератора", "закрыто"),
        ("итог", "—", "решено"),
        ("текст", "скрыто", "скрыто"),
    ]


def test_values_of_a_list_are_shown_one_by_one() -> None:
    entry: dict[str, object] = {
        "subject_kind": "clients",
        "before": {"scopes": []},
        "after": {"scopes": ["appeals:read", "rules:manage"]},
    }
    ((_, before, after),) = changed_fields(entry)
    assert before == "—"
    assert len(after.split(", ")) == 2
    assert "[" not in after


def test_field_without_a_label_gets_a_generic_label() -> None:
    entry: dict[str, object] = {
        "subject_kind": "pages",
        "before": None,
        "after": {"colour": "red", "active": True},
    }
    assert changed_fields(entry) == [("служебное поле", "—", "red"), ("действует", "—", "да")]
