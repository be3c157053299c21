"""An exported file restores the same state when imported, also in another system, and contains no formula."""

import csv
import io

import openpyxl
import pytest

from bench.generated_region.csv_file import region_csv
from tests.conftest import TestDatabase
from tests.integration.registry.conftest import make
from tests.integration.registry.import_export.conftest import counted, csv_file, emptied, exported, imported
from tests.support.service_under_test import ServiceUnderTest


async def _filled(registry: ServiceUnderTest) -> None:
    """Import a generated region and add the cases that it lacks."""
    await imported(registry, region_csv(organisations=70, pages=90).encode())
    calendar = await make(
        registry, "/calendars", name="Ночной", weekly={"1": [["12:00", "23:00"]]}, time_zone="Asia/Irkutsk"
    )
    odd = await make(
        registry,
        "/organisations",
        name="=HYPERLINK(«зло»), или 'Ё'",
        short_name="'=1+1",
        kind="court",
        sphere="суды",
        other_spheres=["архивы"],
        phone="+7 (3012) 00-00-00",
        address="@дрес; «с кавычками»,\tи".replace("\t", " "),
        calendar_id=calendar["id"],
        valid_from="1999-12-31",
        valid_to="2999-01-01",
        exempt_reason="-",
        exempt_document="№ 1",
    )
    names_path = f"/organisations/{odd['id']}/names"
    await make(registry, names_path, kind="alias", name="Суд [1999-01-01/]")
    await make(registry, names_path, kind="former", name="Суд", valid_from="1999-01-01", valid_to="2000-01-01")
    beneath = await make(registry, "/organisations", name="Отдел без кода", kind="other", parent_id=odd["id"])
    for number in ("7", "8", "9"):
        await make(
            registry,
            "/pages",
            organisation_id=beneath["id"],
            network="vk",
            external_id=number,
            name=f"Страница {number}",
            go_live_at="2026-01-02T03:04:05.678901+03:00",
        )
    await make(registry, "/pages", organisation_id=beneath["id"], network="ok", external_id="10", name="Группа")


@pytest.mark.parametrize("form", ["csv", "xlsx"])
@pytest.mark.parametrize("headings", ["en", "ru"])
async def test_exported_file_restores_the_same_state_in_an_empty_system(
    registry: ServiceUnderTest, database: TestDatabase, form: str, headings: str
) -> None:
    await _filled(registry)
    before = await exported(registry)
    file = await exported(registry, format=form, headings=headings)
    again = await imported(registry, file)
    assert again["entries"] == []
    rows = await counted(database)
    await emptied(database)
    answer = await imported(registry, file)
    assert answer["organisations"]["added"] == rows["organisations"] == 72
    assert answer["pages"]["added"] == rows["pages"] == 94
    assert await exported(registry) == before
    assert (await counted(database))["organisation_names"] == rows["organisation_names"]


async def test_calendars_with_similar_names_are_exported_so_that_the_import_finds_them(
    registry: ServiceUnderTest,
) -> None:
    week = {"weekly": {"1": [["09:00", "18:00"]]}, "time_zone": "Asia/Irkutsk"}
    names = ["Учёба, шестидневка", "учеба, шестидневка", "Ночной"]
    calendars = [await make(registry, "/calendars", name=name, **week) for name in names]
    calendars.append(await make(registry, "/calendars", name=calendars[2]["id"], **week))
    for number, calendar in enumerate(calendars):
        await make(
            registry, "/organisations", name=f"Школа {number}", kind="institution", calendar_id=calendar["id"]
        )
    file = await exported(registry)
    rows = list(csv.DictReader(io.StringIO(file.decode("utf-8-sig"))))
    ids = [calendar["id"] for calendar in calendars]
    assert [row["calendar"] for row in rows] == [ids[0], ids[1], "Ночной", ids[3]]
    assert (await imported(registry, file))["entries"] == []


async def test_no_exported_cell_is_a_formula(registry: ServiceUnderTest) -> None:
    await _filled(registry)
    text = (await exported(registry)).decode("utf-8-sig")
    cells = [cell for row in csv.reader(io.StringIO(text)) for cell in row]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@"))]
    assert "'+7 (3012) 00-00-00" in cells
    book = openpyxl.load_workbook(io.BytesIO(await exported(registry, format="xlsx")))
    kinds = {cell.data_type for row in book.worksheets[0].iter_rows() for cell in row if cell.value is not None}
    assert kinds == {"s"}


async def test_export_with_russian_headings_is_readable(registry: ServiceUnderTest) -> None:
    await imported(registry, csv_file(["Код", "Наименование", "Вид"], ["s1", "Школа", "institution"]))
    text = (await exported(registry, headings="ru")).decode("utf-8-sig")
    (row,) = csv.DictReader(io.StringIO(text))
    assert (row["Код"], row["Наименование"], row["Вид"], row["Действует"]) == ("s1", "Школа", "учреждение", "да")


async def test_export_of_an_empty_registry_has_only_headings(registry: ServiceUnderTest) -> None:
    text = (await exported(registry)).decode("utf-8-sig")
    assert len(text.splitlines()) == 1
    assert (await imported(registry, text.encode()))["organisations"] == {"added": 0, "changed": 0, "unchanged": 0}
