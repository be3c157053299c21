"""Headings of other registries and of exported files are recognised."""

import pytest

from services.registry.import_export.columns import COLUMNS, field_of_heading


@pytest.mark.parametrize(
    ("heading", "field"),
    [
        ("Уровень", "level"),
        ("Учредитель", "parent"),
        ("owner", "parent"),
        ("vk_live_from", "vk_go_live_at"),
        ("Наименование подведомственной организации", "name"),
        ("«Официальная страница не ведётся на основании»", "exempt_reason"),
        ("ОГРН", "ogrn"),
        ("ИНН", "inn"),
        ("октмо", "oktmo"),
        ("Сфера 1", "sphere"),
        ("СФЕРА  3", "sphere_3"),
        ("Статус", "active"),
        ("ID госпаблика", "vk_id"),
        ("Ссылка ВК", "vk_url"),
        ("Ссылка\nОК:", "ok_url"),
        ("Адрес в настройках страницы", "vk_screen_name"),
        (" Код ", "code"),
        ("Госметка", None),
        ("Активность %", None),
        ("", None),
    ],
)
def test_headings_are_recognised(heading: str, field: str | None) -> None:
    assert field_of_heading(heading) == field


def test_each_heading_belongs_to_one_column() -> None:
    for column in COLUMNS:
        assert {field_of_heading(heading) for heading in (column.field, column.title, *column.aliases)} == {
            column.field
        }
