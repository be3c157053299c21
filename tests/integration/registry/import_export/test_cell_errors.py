"""A file with many errors: one response names each cell, and nothing is imported."""

from services.registry.schemas.tax_numbers import inn_check_digits, ogrn_check_digit
from tests.conftest import TestDatabase
from tests.integration.registry.conftest import make
from tests.integration.registry.import_export.conftest import counted, csv_file, imported, refusals
from tests.support.service_under_test import ServiceUnderTest

FIELDS = (
    *(
        "code",
        "name",
        "kind",
        "parent",
        "sphere",
        "sphere_2",
        "municipality",
        "oktmo",
        "inn",
        "ogrn",
        "email",
        "site",
    ),
    *("pos_opa_id", "calendar", "valid_from", "valid_to", "exempt_reason", "exempt_document", "active", "aliases"),
    *("vk_id", "vk_url", "vk_screen_name", "vk_go_live_at", "ok_id", "ok_url"),
)
INN, OGRN = "0323011754", "1020300904326"

# The wrong values of a row, the column of the error, and a part of the reason.
FAULTS: tuple[tuple[dict[str, str], str, str], ...] = (
    ({"name": ""}, "name", "is needed"),
    ({"name": "x" * 501}, "name", "at most 500"),
    ({"name": "Две\nстроки"}, "name", "line breaks"),
    ({"kind": ""}, "kind", "is needed"),
    ({"kind": "министерство"}, "kind", "is not one of"),
    ({"code": "школа"}, "code", "pattern"),
    ({"parent": "нет такого"}, "parent", "matches no organisation"),
    ({"code": "loop", "parent": "loop"}, "parent", "cannot belong to itself"),
    ({"code": "ring-1", "parent": "ring-2"}, "parent", "cannot belong to itself"),
    ({"code": "ring-2", "parent": "ring-1"}, "parent", "cannot belong to itself"),
    ({"sphere": "x" * 101}, "sphere", "at most 100"),
    ({"sphere": "спорт", "sphere_2": "спорт"}, "sphere_2", "given twice"),
    ({"municipality": "Тридевятый район"}, "municipality", "not a district or city"),
    ({"municipality": "81999000"}, "municipality", "not a district or city"),
    ({"oktmo": "8170"}, "oktmo", "pattern"),
    ({"municipality": "город Улан-Удэ", "oktmo": "81624410"}, "oktmo", "outside the municipality"),
    ({"inn": INN[:-1] + "1"}, "inn", "не сходится"),
    ({"inn": "12"}, "inn", "10"),
    ({"inn": "3,23E+09"}, "inn", "rounded"),
    ({"ogrn": OGRN[:-1] + "0"}, "ogrn", "не сходится"),
    ({"ogrn": "10203"}, "ogrn", "13"),
    ({"email": "почта"}, "email", "pattern"),
    ({"site": "сайт"}, "site", "URL"),
    ({"pos_opa_id": "№ 1"}, "pos_opa_id", "pattern"),
    ({"calendar": "Лунный"}, "calendar", "No such calendar"),
    ({"valid_from": "31.02.2024"}, "valid_from", "is not a date"),
    ({"valid_from": "2024-02-01", "valid_to": "2024-01-01"}, "valid_to", "before the first"),
    ({"valid_to": "0001-01-01"}, "valid_to", "greater than"),
    ({"exempt_document": "№ 1"}, "exempt_document", "also give the reason"),
    ({"active": "может быть"}, "active", "neither yes nor no"),
    ({"aliases": "x" * 501}, "aliases", "at most 500"),
    ({"vk_id": "сто один"}, "vk_id", "pattern"),
    ({"vk_url": "https://vk.com/id1"}, "vk_url", "person's page"),
    ({"vk_url": "https://ok.ru/group/5"}, "vk_url", "Одноклассники"),
    ({"vk_url": "https://vk.com/school"}, "vk_url", "short name"),
    ({"vk_id": "7", "vk_url": "https://vk.com/club8"}, "vk_url", "is the page 8, but U"),
    ({"vk_id": "9", "vk_screen_name": "шко ла"}, "vk_screen_name", "pattern"),
    ({"vk_id": "10", "vk_go_live_at": "вчера"}, "vk_go_live_at", "is not a date"),
    ({"vk_go_live_at": "2026-01-01"}, "vk_go_live_at", "does not identify a page"),
    ({"ok_id": "77"}, "ok_id", "belongs to «Хозяин»"),
    ({"ok_url": "ok.ru/group/78"}, "ok_url", "assigns this page to another"),
    ({"code": "first", "kind": "court"}, "kind", "differs within one organisation"),
)


async def test_each_error_is_reported_with_its_cell(registry: ServiceUnderTest, database: TestDatabase) -> None:
    owner = await make(registry, "/organisations", name="Хозяин", kind="other")
    await make(registry, "/pages", organisation_id=owner["id"], network="ok", external_id="77", name="Группа")
    before = await counted(database)
    good = {"code": "first", "name": "Первая", "kind": "institution", "ok_id": "78", "inn": INN, "ogrn": OGRN}
    rows, wanted = [good], {}
    for number, (said, field, _) in enumerate(FAULTS, 1):
        rows.append({"code": f"c{number}", "name": f"Школа № {number}", "kind": "institution"} | said)
        if rows[-1]["code"] == "first":
            rows[-1]["name"] = ""
        wanted[_cell(field, len(rows) + 1)] = FAULTS[number - 1][2]
    found = await refusals(registry, csv_file(FIELDS, *([row.get(field, "") for field in FIELDS] for row in rows)))
    assert found.keys() == wanted.keys()
    assert {cell for cell, reason in wanted.items() if reason not in found[cell]} == set()
    assert len(wanted) >= 30
    assert await counted(database) == before


async def test_all_errors_of_one_row_are_reported(registry: ServiceUnderTest) -> None:
    row = ["Плохой код", "", "замок", "1", "1", "где-то"]
    found = await refusals(registry, csv_file(["Код", "Наименование", "Вид", "ИНН", "ОГРН", "Ссылка ВК"], row))
    assert found.keys() == {"A2", "B2", "C2", "D2", "E2", "F2"}


async def test_missing_column_is_reported_at_the_name_cell(registry: ServiceUnderTest) -> None:
    found = await refusals(registry, csv_file(["Код", "Наименование"], ["s1", "Школа"]))
    assert found == {"B2": "is incomplete: «kind» is needed"}


async def test_corrected_file_is_imported(registry: ServiceUnderTest) -> None:
    number = "102030000001"
    headings = ["Наименование", "Вид", "ОГРН", "ИНН"]
    good = ["Школа", "учреждение", number + ogrn_check_digit(number), "032301176" + inn_check_digits("032301176")]
    await refusals(registry, csv_file(headings, good, ["Клуб", "учреждение", "1", ""]))
    answer = await imported(registry, csv_file(headings, good, ["Клуб", "учреждение", "", ""]))
    assert answer["organisations"]["added"] == 2


def _cell(field: str, row: int) -> str:
    return f"{chr(ord('A') + FIELDS.index(field))}{row}"
