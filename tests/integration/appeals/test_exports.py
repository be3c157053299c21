"""Lists of appeals as CSV and XLSX files: complete, masked, in the order of the list, without formulas."""

import asyncio
import csv
import io
import os
import tempfile
import threading
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import openpyxl
import pytest
from structlog.testing import capture_logs

from services.appeals.api import file_downloads
from services.appeals.api.lists import exports
from services.appeals.exports import files, listed_rows
from services.appeals.exports.columns import HEADINGS
from services.appeals.lists.appeal_filter import AppealFilter
from shared.auth.callers import Caller
from shared.auth.rights import Right, Role
from shared.http.problems import Unauthenticated
from tests.integration.appeals.conftest import WEDNESDAY, AppealsScenario
from tests.integration.appeals.test_search import as_superuser
from tests.support.eventually import HANG_SECONDS
from tests.support.service_under_test import CENTRE_SUBJECT

TEXTS = (
    "Когда починят дорогу на улице Жердева?",
    "=1+1; позвоните Светлане Ивановне +7 914 123-45-67",
    "Нет света\nвторой день, «Школа»",
)


async def _insert(scenario: AppealsScenario, texts: list[str]) -> None:
    connection = await scenario.database.connect("appeals")
    try:
        for at, text in enumerate(texts):
            await connection.execute(
                """INSERT INTO appeals (id, version, status, urgency, organisation_id, transfers, returns, text,
                   written_at, opened_at, assigned_at, network, route, created_at, updated_at)
                   VALUES ($1, 1, 'assigned', 'high', $2, 0, 0, $3, $4, $5, $4, 'vk',
                   '{"reason": "", "confidence": 1.0}', now(), now())""",
                uuid4(),
                scenario.organisation,
                text,
                WEDNESDAY,
                WEDNESDAY + timedelta(minutes=at),
            )
    finally:
        await connection.close()


async def _csv(scenario: AppealsScenario, **query: Any) -> list[dict[str, str]]:
    answer = await scenario.get("/appeals.csv", **query)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"), newline="")))
    assert answer.headers["x-total-count"] == str(len(rows))
    return rows


async def test_csv_contains_all_appeals_in_the_order_of_the_list(scenario: AppealsScenario) -> None:
    # More rows than two reads return.
    await _insert(scenario, [f"Обращение {number}" for number in range(450)])
    rows = await _csv(scenario, sort="opened_at")
    assert [row["Текст"] for row in rows] == [f"Обращение {number}" for number in range(450)]
    first = rows[0]
    assert list(first) == HEADINGS
    assert (first["Статус"], first["Срочность"], first["Сеть или источник"]) == ("назначено", "высокая", "vk")
    # Local time of the region, UTC+8.
    assert first["Зарегистрировано"] == "04.03.2026 10:00"
    assert len(await _csv(scenario, urgency="normal")) == 0


async def test_exported_texts_are_masked_and_are_not_formulas(scenario: AppealsScenario) -> None:
    await _insert(scenario, list(TEXTS))
    (row,) = [row for row in await _csv(scenario) if "позвоните" in row["Текст"]]
    assert row["Текст"] == "'=1+1; позвоните [имя] [телефон]"
    sheet = await _workbook(scenario)
    (text,) = [cells[-2] for cells in sheet if "позвоните" in str(cells[-2].value)]
    assert (text.value, text.data_type) == ("=1+1; позвоните [имя] [телефон]", "s")


async def _workbook(scenario: AppealsScenario, **query: Any) -> list[tuple[Any, ...]]:
    answer = await scenario.get("/appeals.xlsx", **query)
    assert answer.status_code == 200, answer.text
    assert 'filename="appeals-' in answer.headers["content-disposition"]
    sheet = openpyxl.load_workbook(io.BytesIO(answer.content)).active
    assert sheet is not None
    assert [cell.value for cell in sheet[1]] == HEADINGS
    assert sheet.auto_filter.ref == f"A1:V{sheet.max_row}"
    assert sheet.freeze_panes == "C2"
    return list(sheet.iter_rows(min_row=2))


async def test_workbook_cells_are_typed_and_cut_to_the_limit_of_excel(scenario: AppealsScenario) -> None:
    await _insert(scenario, [*TEXTS, "б" * 40_000, "\x01\ufffe\uffffуправляющий", "😀" * 20_000])
    rows = await _workbook(scenario, sort="opened_at")
    by_heading = dict(zip(HEADINGS, rows[0], strict=True))
    assert isinstance(by_heading["№"].value, int)
    assert by_heading["Зарегистрировано"].value == datetime(2026, 3, 4, 10, 0)  # noqa: DTZ001 — as the sheet has it
    assert by_heading["Зарегистрировано"].number_format == "DD.MM.YYYY HH:MM"
    assert by_heading["Закрыто"].value is None
    assert [row[-2].value for row in rows[:3:2]] == [TEXTS[0], TEXTS[2]]
    # A cell holds at most 32,767 UTF-16 code units; an emoji takes two.
    assert (len(rows[3][-2].value), len(rows[5][-2].value)) == (32_767, 16_383)
    assert rows[4][-2].value == "   управляющий"


async def test_staff_export_only_appeals_of_their_organisation(scenario: AppealsScenario) -> None:
    await _insert(scenario, list(TEXTS))
    for organisation, expected in ((scenario.organisation, 3), (scenario.other_organisation, 0)):
        for kind in ("csv", "xlsx"):
            answer = await scenario.get(f"/appeals.{kind}", role="executor", org=organisation)
            assert answer.headers["x-total-count"] == str(expected)
            assert (b"\xd0\x96\xd0\xb5\xd1\x80\xd0\xb4" in answer.content) is (kind == "csv" and expected > 0)


async def _caller(scenario: AppealsScenario) -> Caller:
    # A write request stores the access of the test token, which pages of an export check again.
    await scenario.post("/views", {"name": "все", "filter": {}})
    return Caller(CENTRE_SUBJECT, "Test", Role.MODERATOR, None).with_right(Right.APPEALS_READ)


async def test_export_ends_with_an_error_when_its_author_loses_access(scenario: AppealsScenario) -> None:
    await _insert(scenario, [f"Обращение {number}" for number in range(250)])
    database, caller = scenario.appeals.service.database, await _caller(scenario)
    async with database.read() as session:
        ids = await listed_rows.listed_ids(session, caller, AppealFilter(), "-opened_at", max_rows=1_000)
    assert len(ids) == 250
    pages = listed_rows.pages(database, caller, ids)
    assert [row.id for row in await anext(pages)] == ids[:200]
    await as_superuser(scenario, "UPDATE people SET active = false WHERE id = $1", UUID(CENTRE_SUBJECT))
    with pytest.raises(Unauthenticated):
        await anext(pages)


async def test_abandoned_workbook_leaves_no_file(
    scenario: AppealsScenario, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    left: list[list[str]] = []

    async def pages() -> AsyncIterator[Sequence[SimpleNamespace]]:
        left.append(os.listdir(tmp_path))
        raise Unauthenticated("access was lost")
        yield []

    with pytest.raises(Unauthenticated):
        await anext(files.xlsx_stream(pages()))
    assert len(left[0]) == 1
    assert os.listdir(tmp_path) == []


async def test_changes_during_an_export_neither_lose_nor_repeat_rows(scenario: AppealsScenario) -> None:
    await _insert(scenario, [f"Обращение {number}" for number in range(450)])
    database, caller = scenario.appeals.service.database, await _caller(scenario)
    async with database.read() as session:
        ids = await listed_rows.listed_ids(session, caller, AppealFilter(), "-updated_at", max_rows=1_000)
    seen: list[UUID] = []
    async for rows in listed_rows.pages(database, caller, ids):
        seen += [row.id for row in rows]
        await as_superuser(scenario, "UPDATE appeals SET updated_at = now() WHERE id = $1", ids[-1])
    assert seen == ids


async def test_export_is_logged_with_the_names_of_its_filters_only(scenario: AppealsScenario) -> None:
    await _insert(scenario, list(TEXTS))
    await scenario.index_texts()
    with capture_logs() as lines:
        await scenario.get("/appeals.csv", q="Светлана", urgency="high")
    (logged,) = [line for line in lines if line["event"] == "appeals_exported"]
    assert (logged["kind"], logged["count"], logged["filters"]) == ("csv", 0, ["q", "urgency"])
    assert "Светлана" not in str(logged)


async def test_export_of_too_long_a_list_is_refused(
    scenario: AppealsScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "MAX_CSV_ROWS", 2)
    monkeypatch.setattr(exports, "MAX_XLSX_ROWS", 2)
    await _insert(scenario, list(TEXTS))
    for kind in ("csv", "xlsx"):
        answer = await scenario.get(f"/appeals.{kind}")
        assert (answer.status_code, answer.json()["type"]) == (409, "/problems/conflict")
        assert (await scenario.get(f"/appeals.{kind}", status="closed")).status_code == 200


async def test_third_concurrent_file_of_a_caller_is_refused(
    scenario: AppealsScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _insert(scenario, list(TEXTS))
    begun, released, cells = 0, threading.Event(), files._csv_rows

    def wait(*given: Any) -> bytes:
        nonlocal begun
        begun += 1
        assert released.wait(HANG_SECONDS)
        return cells(*given)

    monkeypatch.setattr(files, "_csv_rows", wait)
    async with asyncio.timeout(HANG_SECONDS):
        two = [asyncio.create_task(scenario.get("/appeals.csv")) for _ in range(2)]
        while begun < 2:
            await asyncio.sleep(0.01)
        third = [asyncio.create_task(scenario.get(f"/appeals.{kind}")) for kind in ("csv", "xlsx")]
        while not all(one.done() for one in third) and file_downloads._open.total() == 2:
            await asyncio.sleep(0.01)
        released.set()
        for refused in await asyncio.gather(*third):
            assert (refused.status_code, refused.headers["retry-after"]) == (429, "10")
        assert [answer.status_code for answer in await asyncio.gather(*two)] == [200, 200]
    assert (await scenario.get("/appeals.csv")).status_code == 200
    assert not file_downloads._open


@pytest.mark.parametrize("query", [{"q": "и"}, {"q": "дорога", "sort": "due"}, {"unknown": "1"}])
async def test_invalid_filter_is_refused_and_named(scenario: AppealsScenario, query: dict[str, Any]) -> None:
    for kind in ("csv", "xlsx"):
        answer = await scenario.get(f"/appeals.{kind}", **query)
        assert answer.status_code == 422, answer.text
        assert answer.json()["errors"][0]["pointer"].startswith("query/")


async def test_misspelt_filter_of_counts_is_refused(scenario: AppealsScenario) -> None:
    answer = await scenario.get("/appeals/counts", statuss="closed")
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "query/statuss")
