"""Exports in the layout of «Инцидент Менеджмент»: its headings in its order, its words, masked and logged."""

import csv
import io
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import openpyxl
import pytest
from structlog.testing import capture_logs

from services.appeals import jobs
from services.appeals.exports import export_runner
from services.appeals.settings import AppealsSettings
from shared.contracts.erasures import ERASED_TEXT
from tests.integration.appeals.conftest import AppealsScenario
from tests.integration.appeals.reply_helpers import execute, request
from tests.integration.appeals.test_appeal_matching import QUESTION
from tests.integration.appeals.test_export_jobs import downloaded, requested
from tests.integration.appeals.test_exports import _insert

HEADINGS = [
    "Номер инцидента", "Дата создания", "Дата закрытия", "Группа тем", "Тема", "Регион", "Муниципалитет",
    "Населённый пункт", "Улица", "Дом", "Тип инцидента", "Текущий шаг инцидента", "Текст инцидента", "Теги",
    "Отдел", "Исполнитель", "1ый ответ ПИ", "Время ответа", "Время с начала создания инцидента до окончания",
    "Итог",
]  # fmt: skip
LAYOUT = "incident_management"


def rows_of(content: bytes) -> list[dict[str, str]]:
    table = csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""))
    assert table.fieldnames == HEADINGS
    return list(table)


async def exported(scenario: AppealsScenario, **query: Any) -> list[dict[str, str]]:
    answer = await scenario.get("/appeals.csv", layout=LAYOUT, **query)
    assert answer.status_code == 200, answer.text
    return rows_of(answer.content)


async def topics(scenario: AppealsScenario) -> list[dict[str, Any]]:
    """Return two topics of one group, and one of another."""
    rows = await scenario.ingest.fetch(
        "SELECT id, name, group_id FROM topics WHERE active AND group_id IS NOT NULL ORDER BY group_id, position"
    )
    first = [dict(row) for row in rows if row["group_id"] == rows[0]["group_id"]][:2]
    return [*first, next(dict(row) for row in rows if row["group_id"] != rows[0]["group_id"])]


async def reply(scenario: AppealsScenario, appeal_id: UUID, text: str, status: str, published_at: Any) -> None:
    await execute(
        scenario,
        """INSERT INTO replies (id, appeal_id, origin, kind, text, status, author, published_at, version,
           created_at, updated_at) VALUES ($1, $2, 'gospablik', 'interim', $3, $4, 'x', $5, 1, now(), now())""",
        uuid4(), appeal_id, text, status, published_at,
    )  # fmt: skip


async def closed_appeal(scenario: AppealsScenario) -> dict[str, Any]:
    """Open an appeal from a message, and close it with two published replies and a failed one."""
    await scenario.citizen_writes(f"{QUESTION} Светлана Иванова, +7 914 123-45-67")
    appeal = await scenario.single_appeal()
    opened = datetime(2026, 3, 4, 2, 0, 0, tzinfo=UTC)
    await execute(
        scenario,
        """UPDATE appeals SET status = 'closed', outcome = 'explained', opened_at = $1, closed_at = $2,
           first_response_at = $3, municipality = '81701000', settlement = 'Кабанск', street = 'Речная',
           house = '7'""",
        opened, opened + timedelta(days=11, hours=12, minutes=10, seconds=25), opened + timedelta(hours=3),
    )  # fmt: skip
    appeal_id = UUID(appeal["id"])
    await reply(scenario, appeal_id, "Не дошло", "failed", None)
    await reply(scenario, appeal_id, "Починили", "published", opened + timedelta(days=1))
    await reply(scenario, appeal_id, "Позвоните Ивану Петрову +7 914 765-43-21", "published", opened)
    return appeal


async def test_csv_has_the_headings_and_values_of_the_layout(
    scenario: AppealsScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    appeal = await closed_appeal(scenario)
    monkeypatch.setattr(
        "services.appeals.exports.incident_layout.settings",
        lambda: AppealsSettings(region_name="Республика Бурятия"),
    )
    await execute(
        scenario,
        """INSERT INTO appeal_tags (id, appeal_id, tag, added_by, created_at)
           VALUES ($1, $2, 'крыльцо', 'x', now())""",
        uuid4(), UUID(appeal["id"]),
    )  # fmt: skip
    topic, *_ = await topics(scenario)
    await execute(scenario, "UPDATE appeals SET topic_id = $1", topic["id"])
    (row,) = await exported(scenario)
    group = await scenario.ingest.fetchval("SELECT name FROM topics WHERE id = $1", topic["group_id"])
    municipality = await scenario.ingest.fetchval("SELECT name FROM municipalities WHERE oktmo = '81701000'")
    assert row == {
        "Номер инцидента": str(appeal["number"]),
        "Дата создания": "04.03.2026 10:00",
        "Дата закрытия": "15.03.2026 22:10",
        "Группа тем": group,
        "Тема": topic["name"],
        "Регион": "Республика Бурятия",
        "Муниципалитет": municipality,
        "Населённый пункт": "Кабанск",
        "Улица": "Речная",
        "Дом": "7",
        "Тип инцидента": row["Тип инцидента"],
        "Текущий шаг инцидента": "Готово",
        "Текст инцидента": f"{QUESTION} [имя], [телефон]",
        "Теги": "крыльцо",
        "Отдел": "Школа № 1",
        "Исполнитель": "",
        # The reply that was published first, masked like the text.
        "1ый ответ ПИ": "Позвоните [имя] [телефон]",
        "Время ответа": "04.03.2026 13:00",
        "Время с начала создания инцидента до окончания": "11 days 12:10:25",
        "Итог": "Разъяснено",
    }
    await execute(scenario, "UPDATE appeals SET topic_id = $1", topic["group_id"])
    (row,) = await exported(scenario)
    assert (row["Группа тем"], row["Тема"]) == (group, "")
    for kind, shown in (("complaint", "Решаемый"), ("request", "Решаемый"), ("question", "Информационный")):
        await execute(scenario, "UPDATE classifications SET type = $1", kind)
        (row,) = await exported(scenario)
        assert row["Тип инцидента"] == shown


async def test_step_is_named_for_each_status_and_missing_values_are_empty(scenario: AppealsScenario) -> None:
    await _insert(scenario, ["Когда починят дорогу?"])
    steps = {
        "triage": "У модераторов", "assigned": "Назначено", "in_progress": "В работе",
        "interim": "Дан промежуточный ответ", "answered": "Оценка удовлетворенности", "reopened": "Открыто снова",
        "closed": "Готово", "not_required": "Готово", "merged": "Готово",
    }  # fmt: skip
    for status, step in steps.items():
        await execute(scenario, "UPDATE appeals SET status = $1", status)
        (row,) = await exported(scenario)
        assert row["Текущий шаг инцидента"] == step
    # The inserted appeal has no message, topic, reply or closing time.
    empty = ("Дата закрытия", "Тема", "Тип инцидента", "1ый ответ ПИ", "Итог", "Регион")
    assert [row[heading] for heading in (*empty, HEADINGS[-2])] == [""] * 7


async def test_workbook_has_typed_cells_in_the_layout(scenario: AppealsScenario) -> None:
    await closed_appeal(scenario)
    answer = await scenario.get("/appeals.xlsx", layout=LAYOUT)
    assert answer.status_code == 200, answer.text
    sheet = openpyxl.load_workbook(io.BytesIO(answer.content)).active
    assert sheet is not None
    assert [cell.value for cell in sheet[1]] == HEADINGS
    assert sheet.auto_filter.ref == "A1:T2"
    row = dict(zip(HEADINGS, [cell.value for cell in sheet[2]], strict=True))
    assert isinstance(row["Номер инцидента"], int)
    assert row["Дата создания"] == datetime(2026, 3, 4, 10, 0)  # noqa: DTZ001 — as the sheet has it


async def test_job_keeps_the_layout_until_the_download(scenario: AppealsScenario) -> None:
    appeal = await closed_appeal(scenario)
    export = await requested(scenario, layout=LAYOUT)
    assert export["layout"] == LAYOUT
    await export_runner.run_export(scenario.appeals.service.database, UUID(export["id"]))
    with capture_logs() as lines:
        (row,) = rows_of((await downloaded(scenario, export)).content)
    assert (row["Номер инцидента"], row["1ый ответ ПИ"]) == (str(appeal["number"]), "Позвоните [имя] [телефон]")
    (logged,) = [line for line in lines if line["event"] == "appeals_exported"]
    assert (logged["layout"], logged["count"]) == (LAYOUT, 1)
    # Data of a citizen that was erased after the job is not in the file.
    await execute(scenario, "UPDATE appeals SET erased_at = now()")
    (row,) = rows_of((await downloaded(scenario, export)).content)
    hidden = ("Муниципалитет", "Населённый пункт", "Улица", "Дом", "Теги", "1ый ответ ПИ")
    assert [row[heading] for heading in (*hidden, "Текст инцидента")] == [""] * 6 + [ERASED_TEXT]
    assert row["Отдел"] == "Школа № 1"
    # The layout of the list is the default.
    plain = await requested(scenario)
    assert plain["layout"] == "list"
    await scenario.handle_job(jobs.RUN_EXPORT, {"export_id": plain["id"]})
    assert (await downloaded(scenario, plain)).content.decode("utf-8-sig").startswith("№,Статус")


async def test_export_of_an_empty_list_has_the_headings(scenario: AppealsScenario) -> None:
    assert await exported(scenario) == []
    export = await requested(scenario, layout=LAYOUT)
    await scenario.handle_job(jobs.RUN_EXPORT, {"export_id": export["id"]})
    assert rows_of((await downloaded(scenario, export)).content) == []


async def test_staff_export_only_their_appeals_in_the_layout(scenario: AppealsScenario) -> None:
    await _insert(scenario, ["Когда починят дорогу?"])
    for organisation, expected in ((scenario.organisation, 1), (scenario.other_organisation, 0)):
        answer = await scenario.get("/appeals.csv", role="executor", org=organisation, layout=LAYOUT)
        assert len(rows_of(answer.content)) == expected


async def test_unknown_layout_is_refused_and_named(scenario: AppealsScenario) -> None:
    answer = await scenario.get("/appeals.csv", layout="excel")
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "query/layout")
    answer = await request(scenario, "POST", "/exports", {"format": "csv", "layout": "excel"}, role="moderator")
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/layout")
