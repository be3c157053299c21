"""Export jobs: read in parts, continued after a kill, and downloaded with only what the author may still read."""

import asyncio
import contextlib
import csv
import io
import threading
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import openpyxl
import pytest

from services.appeals import jobs
from services.appeals.erasure.appeal_rows import delete_exports, erase_appeals
from services.appeals.exports import export_requests, export_runner, stored_rows
from services.appeals.exports.columns import HEADINGS
from services.appeals.exports.layouts import LIST, Layout
from services.appeals.retention import purge_rules
from shared import clock
from shared.auth import token_recheck
from shared.auth.callers import Caller
from shared.auth.rights import Right, Role
from shared.contracts.erasures import ERASED_TEXT, EraseAuthor
from shared.database.purge import RetentionSettings, purge_tables
from shared.http.problems import NotFound
from shared.tables.appeals_exports import AppealExportPart
from tests.integration.appeals.conftest import AppealsScenario
from tests.integration.appeals.reply_helpers import COLLEAGUE, execute, request
from tests.integration.appeals.test_exports import TEXTS, _insert
from tests.support.eventually import eventually


async def requested(scenario: AppealsScenario, **body: Any) -> dict[str, Any]:
    """Request an export as a moderator; return the queued export."""
    answer = await request(scenario, "POST", "/exports", {"format": "csv", **body}, role="moderator")
    assert answer.status_code == 202, answer.text
    found: dict[str, Any] = answer.json()
    assert answer.headers["location"] == f"/api/v1/exports/{found['id']}"
    return found


async def shown(scenario: AppealsScenario, export: dict[str, Any]) -> dict[str, Any]:
    answer = await request(scenario, "GET", f"/exports/{export['id']}", role="moderator")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def finished(scenario: AppealsScenario, **body: Any) -> dict[str, Any]:
    """Request an export and run its job to the end; return the export."""
    export = await requested(scenario, **body)
    await scenario.handle_job(jobs.RUN_EXPORT, {"export_id": export["id"]})
    return await shown(scenario, export)


async def downloaded(scenario: AppealsScenario, export: dict[str, Any], **who: Any) -> Any:
    who.setdefault("role", "moderator")
    return await request(scenario, "GET", f"/exports/{export['id']}/file", **who)


async def _ready(value: Any) -> Any:
    return value


async def rows_of(scenario: AppealsScenario, export: dict[str, Any]) -> list[dict[str, str]]:
    answer = await downloaded(scenario, export)
    assert answer.status_code == 200, answer.text
    rows = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"), newline="")))
    assert answer.headers["x-total-count"] == str(len(rows))
    return rows


async def test_long_export_is_made_in_parts_and_continued_after_a_kill(scenario: AppealsScenario) -> None:
    await _insert(scenario, [f"Обращение {number}" for number in range(450)])
    export = await requested(scenario, sort="opened_at")
    assert (export["status"], export["total"], export["rows_done"], export["file_url"]) == ("queued", 450, 0, None)
    assert (await downloaded(scenario, export)).status_code == 409
    database = scenario.appeals.service.database
    assert await export_runner.run_part(database, UUID(export["id"]))
    running = await shown(scenario, export)
    assert (running["status"], running["rows_done"]) == ("running", 200)
    # The first worker stops here; a second continues the job, and a third finds nothing left to do.
    for _ in range(2):
        await scenario.handle_job(jobs.RUN_EXPORT, {"export_id": export["id"]})
    ready = await shown(scenario, export)
    assert (ready["status"], ready["rows_done"], ready["failure"]) == ("ready", 450, None)
    rows = await rows_of(scenario, export)
    assert list(rows[0]) == HEADINGS
    assert [row["Текст"] for row in rows] == [f"Обращение {number}" for number in range(450)]
    assert rows[0]["Зарегистрировано"] == "04.03.2026 10:00"
    listed = (await request(scenario, "GET", "/exports", role="moderator")).json()["items"]
    assert [one["id"] for one in listed] == [export["id"]]


async def test_workbook_export_is_masked_and_excludes_later_appeals(scenario: AppealsScenario) -> None:
    await _insert(scenario, list(TEXTS))
    export = await finished(scenario, format="xlsx", filter={"urgency": "high"}, sort="opened_at")
    await _insert(scenario, ["Позже"])
    answer = await downloaded(scenario, export)
    assert answer.headers["content-disposition"].endswith('.xlsx"')
    sheet = openpyxl.load_workbook(io.BytesIO(answer.content)).active
    assert sheet is not None
    cells = [dict(zip(HEADINGS, row, strict=True)) for row in sheet.iter_rows(min_row=2, values_only=True)]
    assert [row["Текст"] for row in cells] == [TEXTS[0], "=1+1; позвоните [имя] [телефон]", TEXTS[2]]
    assert isinstance(cells[0]["Зарегистрировано"], datetime)


async def test_download_leaves_out_texts_that_the_author_may_no_longer_read(scenario: AppealsScenario) -> None:
    await _insert(scenario, list(TEXTS))
    await execute(
        scenario, "UPDATE appeals SET street = 'Речная', url = 'https://vk.com/x' WHERE text LIKE 'Нет света%'"
    )
    answer = await request(scenario, "POST", "/exports", {"format": "csv"})
    export = answer.json()
    await scenario.handle_job(jobs.RUN_EXPORT, {"export_id": export["id"]})
    await execute(
        scenario,
        "UPDATE appeals SET organisation_id = $1 WHERE text LIKE 'Когда%'",
        scenario.other_organisation,
    )
    # The appeal is erased after the export has copied its text.
    await execute(scenario, "UPDATE appeals SET erased_at = now() WHERE text LIKE 'Нет света%'")
    content = (await downloaded(scenario, export, role="executor")).content.decode()
    assert (content.count("\r\n"), "Жердева" in content, "второй день" in content) == (3, False, False)
    assert ERASED_TEXT in content
    assert ("Речная" in content, "vk.com" in content) == (False, False)
    for role in ("executor", "moderator"):
        assert (await downloaded(scenario, export, subject=COLLEAGUE, role=role)).status_code == 404
        path = f"/exports/{export['id']}"
        assert (await request(scenario, "DELETE", path, subject=COLLEAGUE, role=role)).status_code == 404


async def test_each_download_is_recorded_as_a_read_of_personal_data(scenario: AppealsScenario) -> None:
    await _insert(scenario, list(TEXTS))
    export = await finished(scenario)
    for _ in range(2):
        await rows_of(scenario, export)
    connection = await scenario.database.connect()
    rows = await connection.fetch("SELECT action, subject_count FROM personal_data_reads")
    await connection.close()
    assert [(row["action"].split()[-1], row["subject_count"]) for row in rows] == [("download_export", 3)] * 2


async def test_quota_counts_unfinished_and_kept_exports(
    scenario: AppealsScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = [await requested(scenario) for _ in range(export_requests.MAX_UNFINISHED)]
    refused = await request(scenario, "POST", "/exports", {"format": "csv"}, role="moderator")
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "60")
    other = await request(scenario, "POST", "/exports", {"format": "csv"}, subject=COLLEAGUE)
    assert other.status_code == 202
    gone = await request(scenario, "DELETE", f"/exports/{first['id']}", role="moderator")
    assert gone.status_code == 204
    monkeypatch.setattr(export_requests, "MAX_KEPT", 2)
    await finished(scenario)
    full = await request(scenario, "POST", "/exports", {"format": "csv"}, role="moderator")
    # Kept exports do not expire within minutes, so the response has no `Retry-After`.
    assert (full.status_code, "retry-after" in full.headers) == (429, False)
    # The job of a deleted export does nothing.
    await scenario.handle_job(jobs.RUN_EXPORT, {"export_id": first["id"]})


async def test_too_long_list_unknown_format_and_unknown_filter_are_refused(
    scenario: AppealsScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _insert(scenario, list(TEXTS))
    monkeypatch.setitem(export_requests.MAX_ROWS, "xlsx", 2)
    for body, status in (
        ({"format": "xlsx"}, 409),
        ({"format": "pdf"}, 422),
        ({"format": "csv", "filter": {"urgensy": "high"}}, 422),
    ):
        assert (await request(scenario, "POST", "/exports", body, role="moderator")).status_code == status, body


async def test_export_fails_if_its_author_has_no_access_or_its_job_is_dead_lettered(
    scenario: AppealsScenario,
) -> None:
    await _insert(scenario, list(TEXTS))
    export = await requested(scenario)
    await execute(scenario, "UPDATE appeal_exports SET author = $1", str(uuid4()))
    await scenario.handle_job(jobs.RUN_EXPORT, {"export_id": export["id"]})
    other = await requested(scenario)
    async with scenario.appeals.service.database.write() as session:
        await export_runner.on_job_dead_lettered(session, {"export_id": other["id"]}, "bug")
    failed = await shown(scenario, other)
    assert (failed["status"], failed["expires_at"] is not None) == ("failed", True)
    connection = await scenario.database.connect()
    row = await connection.fetchrow("SELECT status, failure FROM appeal_exports WHERE id = $1", UUID(export["id"]))
    await connection.close()
    assert (row["status"], "доступа" in row["failure"]) == ("failed", True)


async def test_erasure_deletes_exports_that_contain_the_citizens_text(scenario: AppealsScenario) -> None:
    await _insert(scenario, [TEXTS[0]])
    kept = await finished(scenario)
    await _insert(scenario, [TEXTS[1]])
    export = await finished(scenario)
    await execute(scenario, "UPDATE appeals SET author_key = 'anna' WHERE text = $1", TEXTS[1])
    command = EraseAuthor(author_key="anna", pseudonym="erased", until=clock.now(), threads={})
    async with scenario.appeals.service.database.write() as session:
        assert not (await erase_appeals(session, command)).is_done
    assert (await downloaded(scenario, export)).status_code == 404
    assert len(await rows_of(scenario, kept)) == 1


async def test_download_ends_with_an_error_when_the_export_is_deleted(
    scenario: AppealsScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export_requests, "PAGE_ROWS", 1)
    await _insert(scenario, list(TEXTS))
    export = await finished(scenario)
    database = scenario.appeals.service.database
    caller = Caller(subject=str(uuid4()), name="", role=Role.MODERATOR, organisation_id=None)
    monkeypatch.setattr(token_recheck, "callers_with_access", lambda _session, callers: _ready(callers))
    reader = caller.with_right(Right.APPEALS_READ)
    pages = stored_rows.pages(database, reader, UUID(export["id"]), len(TEXTS), LIST)
    assert len(await anext(pages)) == 1
    await request(scenario, "DELETE", f"/exports/{export['id']}", role="moderator")
    with pytest.raises(NotFound):
        await anext(pages)


@pytest.mark.parametrize("by", ["author", "erasure"])
async def test_deletion_locks_the_export_before_its_parts(scenario: AppealsScenario, by: str) -> None:
    await _insert(scenario, list(TEXTS))
    export = await requested(scenario)

    async def erased() -> None:
        async with scenario.appeals.service.database.write() as session:
            part = await session.get_one(AppealExportPart, (UUID(export["id"]), 0))
            await delete_exports(session, part.appeal_ids)

    job = await scenario.database.connect("appeals")
    async with job.transaction():
        await job.execute("SELECT 1 FROM appeal_exports FOR UPDATE")
        path = f"/exports/{export['id']}"
        deletion = request(scenario, "DELETE", path, role="moderator") if by == "author" else erased()
        deleting = asyncio.ensure_future(deletion)

        async def waits() -> bool:
            waiting = "SELECT datname FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            return bool(await job.fetch(f"{waiting} AND datname = current_database()"))

        await eventually(waits, "the deletion waits for the job")
        # The job locks the part next: NOWAIT fails if the deletion already holds it.
        await job.execute("SELECT 1 FROM appeal_export_parts FOR UPDATE NOWAIT")
    await deleting
    assert await job.fetchval("SELECT count(*) FROM appeal_exports") == 0
    await job.close()


async def test_process_encodes_one_export_at_a_time(
    scenario: AppealsScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _insert(scenario, list(TEXTS))
    both, met = threading.Barrier(2), []
    encode = stored_rows.encode

    def observed(rows: Any, layout: Layout) -> bytes:
        with contextlib.suppress(threading.BrokenBarrierError):
            both.wait(timeout=0.3)
            met.append(rows)
        return encode(rows, layout)

    monkeypatch.setattr(stored_rows, "encode", observed)
    exports = [await requested(scenario) for _ in range(2)]
    database = scenario.appeals.service.database
    await asyncio.gather(*(export_runner.run_export(database, UUID(export["id"])) for export in exports))
    assert met == []
    assert [(await shown(scenario, export))["status"] for export in exports] == ["ready", "ready"]


async def test_expired_export_is_not_found_and_is_purged(scenario: AppealsScenario) -> None:
    await _insert(scenario, list(TEXTS))
    export = await finished(scenario)
    kept = datetime.fromisoformat(export["expires_at"]) - datetime.fromisoformat(export["completed_at"])
    assert kept == timedelta(days=RetentionSettings().exports_days)
    await execute(scenario, "UPDATE appeal_exports SET expires_at = now() - interval '1 hour'")
    assert (await downloaded(scenario, export)).status_code == 404
    await purge_tables(scenario.appeals.service.database, purge_rules(RetentionSettings()))
    connection = await scenario.database.connect()
    for table in ("appeal_exports", "appeal_export_parts"):
        assert await connection.fetchval(f"SELECT count(*) FROM {table}") == 0
    await connection.close()
