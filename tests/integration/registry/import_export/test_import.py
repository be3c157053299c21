"""Import of files: organisations and pages are added, changed or kept, and a refused file changes nothing."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from unittest import mock
from uuid import UUID

import httpx
import pytest
from sqlalchemy import event

from bench.generated_region.csv_file import region_csv
from shared.auth.session_cookies import ACCESS_COOKIE
from shared.http.problems import MEDIA_TYPE
from shared.identity import TokenReader
from tests.conftest import TestDatabase
from tests.integration.registry.conftest import make, pointers, wait_until_blocked
from tests.integration.registry.import_export.conftest import (
    IMPORT,
    counted,
    csv_file,
    emptied,
    imported,
    refusals,
    send,
)
from tests.support.service_under_test import ServiceUnderTest

REGIONAL = (
    "Уровень;Учредитель;Наименование подведомственной организации;Официальная страница не ведётся на основании;"
    "ОГРН;ИНН;ОКТМО;Сфера 1;Сфера 2;Статус;ID госпаблика;Ссылка ВК;Ссылка ОК;Госметка;Активность %\r\n"
)


async def whole(registry: ServiceUnderTest, path: str) -> list[dict[str, Any]]:
    answer = await registry.client.get(
        f"/api/v1{path}", params={"limit": 200}, headers=registry.headers("moderator")
    )
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


def counts(added: int = 0, changed: int = 0, unchanged: int = 0) -> dict[str, int]:
    return {"added": added, "changed": changed, "unchanged": unchanged}


async def test_registry_of_a_region_is_imported(registry: ServiceUnderTest) -> None:
    text = REGIONAL + (
        "Регион;;Министерство образования;;1020300904326;323011754;81701000;образование;;действует;;;;;\r\n"
        "МО;Министерство образования;Школа № 71;;1020300904337;;81624410;образование;спорт;да;101;"
        "https://vk.com/school71;ok.ru/group/5301;да;100\r\n"
        "МО;Министерство образования;Школа № 71;;1020300904337;;;;;;102;vk.com/club102;;нет;0\r\n"
        "Министерство;1020300904326;Архив;Решение учредителя;;;;;;нет;;;;;\r\n"
    )
    answer = await imported(registry, text.encode("cp1251"))
    assert answer["organisations"] == counts(added=3)
    assert answer["pages"] == counts(added=3)
    assert answer["ignored_columns"] == ["Госметка", "Активность %"]
    found = {row["name"]: row for row in await whole(registry, "/organisations")}
    ministry, school, archive = (found[name] for name in ("Министерство образования", "Школа № 71", "Архив"))
    assert (ministry["kind"], ministry["inn"], ministry["parent_id"]) == ("regional", "0323011754", None)
    assert (school["kind"], school["parent_id"]) == ("institution", ministry["id"])
    assert (school["sphere"], school["other_spheres"]) == ("образование", ["спорт"])
    assert (school["oktmo"], school["municipality"]) == ("81624410", "81624000")
    assert (archive["parent_id"], archive["exempt_reason"], archive["active"]) == (
        ministry["id"],
        "Решение учредителя",
        False,
    )
    pages = {page["external_id"]: page for page in await whole(registry, "/pages")}
    assert {page["organisation_id"] for page in pages.values()} == {school["id"]}
    assert (pages["101"]["url"], pages["101"]["screen_name"]) == ("https://vk.com/school71", "school71")
    assert (pages["102"]["url"], pages["5301"]["url"]) == ("https://vk.com/club102", "https://ok.ru/group/5301")
    assert pages["5301"]["name"] == "Школа № 71"
    assert set(pages["101"]["steps"]) == {"created"}


async def test_second_import_of_the_same_file_changes_nothing(
    registry: ServiceUnderTest, database: TestDatabase
) -> None:
    content = region_csv(organisations=250, pages=400).encode()
    first = await imported(registry, content)
    assert (first["organisations"], first["pages"]) == (counts(added=250), counts(added=400))
    assert len(first["entries"]) == 650
    before = await counted(database)
    assert (before["organisations"], before["pages"], before["events"]) == (250, 400, 650)
    assert before["audit"] == 650 + before["organisation_names"] + before["page_steps"]
    second = await imported(registry, content)
    assert (second["organisations"], second["pages"]) == (counts(unchanged=250), counts(unchanged=400))
    assert second["entries"] == []
    assert await counted(database) == before


async def test_number_of_queries_does_not_depend_on_file_size(
    registry: ServiceUnderTest, database: TestDatabase
) -> None:
    statements: list[str] = []
    engine = registry.service.database.engine.sync_engine

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        statements.append(statement)

    asked = []
    event.listen(engine, "before_cursor_execute", note)
    for organisations in (50, 300):
        statements.clear()
        content = region_csv(organisations=organisations, pages=organisations).encode()
        await imported(registry, content)
        asked.append(len(statements))
        await emptied(database)
    event.remove(engine, "before_cursor_execute", note)
    assert asked[1] <= asked[0] + 5 < 50


async def test_organisations_of_three_levels_are_imported_in_any_order(registry: ServiceUnderTest) -> None:
    rows = [
        ["leaf", "Детский сад", "institution", "middle"],
        ["middle", "Комитет", "municipality", "top"],
        ["top", "Правительство", "regional", ""],
    ]
    await imported(registry, csv_file(["Код", "Наименование", "Вид", "Учредитель"], *rows))
    found = {row["code"]: row for row in await whole(registry, "/organisations")}
    top, middle, leaf = (found[code] for code in ("top", "middle", "leaf"))
    assert [row["parent_id"] for row in (top, middle, leaf)] == [None, top["id"], middle["id"]]


async def test_dry_run_reports_without_writing(registry: ServiceUnderTest, database: TestDatabase) -> None:
    made = await make(registry, "/organisations", name="Школа № 1", kind="institution", code="s1", phone="1")
    before = await counted(database)
    content = csv_file(
        ["Код", "Наименование", "Вид", "Телефон", "ИНН"],
        ["s1", "Школа № 1", "учреждение", "2", ""],
        ["s2", "Школа № 2", "учреждение", "", ""],
        ["s3", "Школа № 3", "учреждение", "", "12"],
    )
    answer = await imported(registry, content, dry_run=True)
    assert answer["organisations"] == counts(added=2, changed=1)
    assert [(one["cell"], one["column"], one["value"]) for one in answer["rejected_cells"]] == [
        ("E4", "ИНН", "12")
    ]
    changed, added = answer["entries"][:2]
    assert changed["id"] == made["id"]
    assert changed["changes"] == [{"field": "phone", "cell": "D2", "before": "1", "after": "2"}]
    assert (added["row"], added["name"], added["outcome"], added["id"]) == (3, "Школа № 2", "added", None)
    assert await counted(database) == before


async def test_data_that_the_file_does_not_mention_is_kept(registry: ServiceUnderTest) -> None:
    kept = await make(registry, "/organisations", name="Библиотека", kind="institution")
    made = await make(
        registry,
        "/organisations",
        name="Школа № 1",
        kind="institution",
        code="s1",
        phone="1",
        email="a@example.org",
    )
    content = csv_file(["Код", "Наименование", "Телефон"], ["s1", "Школа № 1", ""])
    answer = await imported(registry, content)
    assert answer["organisations"] == counts(changed=1)
    found = {row["id"]: row for row in await whole(registry, "/organisations")}
    assert found[kept["id"]] == kept
    school = found[made["id"]]
    assert (school["phone"], school["email"], school["version"]) == (None, "a@example.org", 2)


async def test_rename_keeps_the_old_name(registry: ServiceUnderTest, database: TestDatabase) -> None:
    headings = ["ОГРН", "Наименование", "Вид", "Другие названия", "Прежние названия"]
    number = "1020300904326"
    await imported(registry, csv_file(headings, [number, "Школа № 1", "учреждение", "Первая\nКрасная", ""]))
    connection = await database.connect()
    await connection.execute("UPDATE organisation_names SET valid_from = '2020-01-01' WHERE kind = 'official'")
    renamed = csv_file(headings, [number, "Лицей № 1", "учреждение", "Первая", "Училище [/1917-10-25]"])
    assert (await imported(registry, renamed))["organisations"] == counts(changed=1)
    names = await connection.fetch("SELECT kind, name, valid_to FROM organisation_names ORDER BY kind, name")
    assert [(row["kind"], row["name"]) for row in names] == [
        ("alias", "Первая"),
        ("former", "Училище"),
        ("former", "Школа № 1"),
        ("official", "Лицей № 1"),
    ]
    assert all(row["valid_to"] is not None for row in names if row["kind"] == "former")
    events = await connection.fetchval("SELECT data->'changed' FROM events WHERE type = 'organisation.changed'")
    await connection.close()
    assert events == '["name", "sort_key", "names"]'
    assert (await imported(registry, renamed))["organisations"] == counts(unchanged=1)


async def test_organisation_is_matched_by_its_strongest_identifier(registry: ServiceUnderTest) -> None:
    async def make_one(**body: Any) -> str:
        return str((await make(registry, "/organisations", kind="institution", **body))["id"])

    by_number = await make_one(name="Лицей", ogrn="1020300904326")
    by_name = await make_one(name="Музей истории")
    headings = ["Код", "ОГРН", "Наименование", "Вид"]
    content = csv_file(
        headings,
        ["", "1020300904326", "Лицей № 2", "учреждение"],
        ["museum", "", "музей  Истории", "учреждение"],
        ["branch", "1020300904326", "Лицей, филиал", "учреждение"],
    )
    answer = await imported(registry, content)
    assert answer["organisations"] == counts(added=1, changed=2)
    found = {row["name"]: row["id"] for row in await whole(registry, "/organisations")}
    assert (
        found["Лицей № 2"],
        found["музей Истории"] if "музей Истории" in found else found["музей  Истории"],
    ) == (
        by_number,
        by_name,
    )


async def test_active_organisation_is_preferred_to_inactive_one(
    registry: ServiceUnderTest, database: TestDatabase
) -> None:
    old, new = [await make(registry, "/organisations", name="Районо", kind="municipality") for _ in range(2)]
    connection = await database.connect()
    await connection.execute("UPDATE organisations SET active = false WHERE id = $1", UUID(old["id"]))
    await connection.close()
    headings = ["Наименование", "Вид", "Учредитель", "Телефон"]
    content = csv_file(
        headings, ["Районо", "омсу", "", "8 (3012) 00-00-00"], ["Детский сад", "учреждение", "РайОНО", ""]
    )
    await imported(registry, content)
    found = {row["id"]: row for row in await whole(registry, "/organisations")}
    assert (found[old["id"]]["phone"], found[new["id"]]["phone"]) == (None, "8 (3012) 00-00-00")
    assert [row["parent_id"] for row in found.values() if row["name"] == "Детский сад"] == [new["id"]]


async def test_ambiguous_name_is_refused(registry: ServiceUnderTest) -> None:
    for _ in range(2):
        await make(registry, "/organisations", name="Детский сад «Ёлочка»", kind="institution")
    content = csv_file(
        ["Наименование", "Вид", "Учредитель"],
        ["Детский сад «Елочка»", "учреждение", ""],
        ["Кружок", "учреждение", "детский сад «ёлочка»"],
    )
    found = await refusals(registry, content)
    assert found.keys() == {"A2", "C3"}
    assert "2 organisations" in found["A2"]
    assert "2 organisations" in found["C3"]


async def test_page_of_another_organisation_is_not_moved(registry: ServiceUnderTest) -> None:
    headings = [
        "Код",
        "Наименование",
        "Вид",
        "ID госпаблика",
        "Адрес в настройках страницы",
        "Название страницы ВК",
    ]
    await imported(registry, csv_file(headings, ["s1", "Школа", "учреждение", "101", "school1", "Школа № 1"]))
    changed = csv_file(headings, ["s1", "Школа", "учреждение", "101", "", "Лицей № 1"])
    assert (await imported(registry, changed))["pages"] == counts(changed=1)
    (page,) = await whole(registry, "/pages")
    assert (page["name"], page["screen_name"], page["version"]) == ("Лицей № 1", None, 2)
    found = await refusals(registry, csv_file(headings, ["s2", "Клуб", "учреждение", "101", "", ""]))
    assert found == {"D2": "The page 101 of vk belongs to «Школа»: move it first"}


async def test_registered_page_is_matched_by_short_name(registry: ServiceUnderTest) -> None:
    headings = ["Код", "Наименование", "Вид", "ID госпаблика", "Ссылка ВК"]
    unknown = csv_file(headings, ["s1", "Школа", "учреждение", "", "vk.com/school1"])
    assert (await refusals(registry, unknown)).keys() == {"E2"}
    await imported(registry, csv_file(headings, ["s1", "Школа", "учреждение", "101", "vk.com/School1"]))
    assert (await imported(registry, unknown))["pages"] == counts(changed=1)
    assert (await imported(registry, unknown))["pages"] == counts(unchanged=1)


async def test_concurrent_imports_run_one_after_the_other(
    registry: ServiceUnderTest, database: TestDatabase
) -> None:
    content = region_csv(organisations=40, pages=60).encode()
    answers = await asyncio.gather(*(imported(registry, content) for _ in range(2)))
    assert sorted(answer["organisations"]["added"] for answer in answers) == [0, 40]
    assert (await counted(database))["organisations"] == 40


async def test_concurrent_registration_fails_the_import(
    registry: ServiceUnderTest, database: TestDatabase
) -> None:
    other, raw_connection = await database.connect("registry"), await database.connect()
    await other.execute("BEGIN")
    await other.execute(
        """INSERT INTO organisations (id, code, name, sort_key, kind, active, version, created_at, updated_at)
           VALUES (gen_random_uuid(), 's2', 'Клуб', 'клуб', 'other', true, 1, now(), now())"""
    )
    content = csv_file(
        ["Код", "Наименование", "Вид"], ["s1", "Школа", "учреждение"], ["s2", "Музей", "учреждение"]
    )
    importing = asyncio.create_task(send(registry, content))
    assert await wait_until_blocked(raw_connection, importing)
    await other.execute("COMMIT")
    answer = await importing
    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/conflict")
    assert (await counted(database))["organisations"] == 1
    await other.close()
    await raw_connection.close()
    again = await imported(registry, content)
    assert again["organisations"] == counts(added=1, changed=1)


async def test_repeated_request_gets_the_first_response(registry: ServiceUnderTest) -> None:
    content = csv_file(["Наименование", "Вид"], ["Школа", "учреждение"])
    headers = registry.headers("moderator", **{"Idempotency-Key": "once"})

    async def post(content: bytes, **query: Any) -> httpx.Response:
        path = "/api/v1/organisations/import"
        return await registry.client.post(path, content=content, params=query, headers=headers)

    dry = await post(content, dry_run=True)
    first = await post(content)
    again = await post(content)
    assert [answer.json()["dry_run"] for answer in (dry, first, again)] == [True, False, False]
    assert first.json() == again.json()
    assert first.json()["organisations"] == counts(added=1)
    assert (await post(content + b"\n")).json()["type"] == "/problems/idempotency-key-reused"


@pytest.mark.parametrize("role", ["head", "operations", "analyst", "auditor"])
async def test_import_without_right_is_refused(registry: ServiceUnderTest, role: str) -> None:
    content = csv_file(["Наименование", "Вид"], ["Школа", "учреждение"])
    assert (await send(registry, content, role=role)).status_code == 403
    assert (await send(registry, content, role=role, dry_run=True)).status_code == 403


async def test_import_file_has_its_own_size_limit(registry: ServiceUnderTest) -> None:
    rows = [["Школа " + "x" * 400, "учреждение"]] + [["", ""]] * 10
    content = csv_file(["Наименование", "Вид"], *rows) + b"\n" * 2_000_000
    assert (await send(registry, content)).status_code == 200
    assert (await send(registry, b" " * (16 * 1024 * 1024 + 1))).status_code == 413


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Authorization": "Bearer no.valid.token"}, 401),
        ({"Authorization": "ours"}, 200),
        ({"Cookie": "ours", "Sec-Fetch-Site": "same-origin"}, 200),
        ({"Cookie": "ours", "Sec-Fetch-Site": "cross-site"}, 403),
    ],
)
@pytest.mark.parametrize("known_size", [True, False])
async def test_large_file_is_received_from_signed_in_callers_only(
    registry: ServiceUnderTest,
    monkeypatch: pytest.MonkeyPatch,
    headers: dict[str, str],
    status: int,
    *,
    known_size: bool,
) -> None:
    content = csv_file(["Наименование", "Вид"], ["Школа", "учреждение"]) + b"\n" * 2_000_000
    if "ours" in headers.values():  # store the access of the token, which a cookie does not
        assert (await send(registry, content, dry_run=True)).status_code == 200
    token = registry.token("moderator")
    values = {"Authorization": f"Bearer {token}", "Cookie": f"{ACCESS_COOKIE}={token}"}
    sent = {name: values[name] if text == "ours" else text for name, text in headers.items()}
    limited = mock.Mock(side_effect=AssertionError("the body of a stranger was kept"))
    if status != 200:
        monkeypatch.setattr("shared.http.body_limit.BodyLimit.__call__", limited)

    async def chunks() -> AsyncIterator[bytes]:
        yield content

    answer = await registry.client.post(IMPORT, content=content if known_size else chunks(), headers=sent)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("application/json" if status == 200 else MEDIA_TYPE)


async def test_outage_while_a_sender_is_identified_gets_503(
    registry: ServiceUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TokenReader, "claims", mock.AsyncMock(side_effect=ConnectionRefusedError))
    answer = await send(registry, b"\n" * 2_000_000)
    assert (answer.status_code, answer.headers["content-type"]) == (503, MEDIA_TYPE)


async def test_file_without_a_table_is_refused(registry: ServiceUnderTest) -> None:
    for content in (b"", b"{}", b"\xff\xfe\x00", b"PK\x03\x04"):
        answer = await send(registry, content)
        assert answer.status_code == 422
        assert pointers(answer) == {"/"}


@pytest.mark.parametrize(
    ("sent", "pointer"),
    [
        ({"params": {"dryrun": "true"}}, "query/dryrun"),
        ({"headers": {"content-type": "application/x-www-form-urlencoded"}}, "header/Content-Type"),
        ({"headers": {"content-type": "multipart/form-data; boundary=x"}}, "header/Content-Type"),
    ],
)
async def test_request_with_unknown_parameter_or_form_imports_nothing(
    registry: ServiceUnderTest, database: TestDatabase, sent: dict[str, Any], pointer: str
) -> None:
    before = await counted(database)
    headers = registry.headers("moderator") | sent.get("headers", {})
    content = csv_file(["Код", "Наименование", "Вид"], ["slip", "Школа", "учреждение"])
    answer = await registry.client.post(IMPORT, content=content, params=sent.get("params"), headers=headers)
    assert answer.status_code == 422, answer.text
    problem = answer.json()
    assert [error["pointer"] for error in problem["errors"]] == [pointer]
    if pointer == "header/Content-Type":
        assert "--data-binary" in problem["detail"]
    assert await counted(database) == before
