"""The steps to an official, live page: current and lost steps, evidence, and who confirmed them."""

from datetime import date, timedelta
from importlib import import_module
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from services.registry.pages import page_steps
from services.registry.pages.page_steps import SERVICE_ACTOR, Evidence
from services.registry.schemas.pages import EvidenceKind, PageStepKind
from shared import clock
from shared.http.problems import Conflict
from tests.conftest import TestDatabase
from tests.integration.registry.conftest import make, pointers
from tests.support.service_under_test import CENTRE_SUBJECT, ServiceUnderTest

pytestmark = pytest.mark.usefixtures("stopped_clock")

PATH = "/api/v1/pages"
LETTER = {"evidence_kind": "document", "evidence": "Письмо № 17"}


async def a_page(registry: ServiceUnderTest, external_id: str = "101", **more: Any) -> dict[str, Any]:
    owner = more.pop("organisation_id", None)
    if owner is None:
        owner = (await make(registry, "/organisations", name="Школа № 71", kind="institution"))["id"]
    name = f"Страница {external_id}"
    return await make(registry, "/pages", organisation_id=owner, network="vk", external_id=external_id, name=name)


async def confirm(registry: ServiceUnderTest, page: dict[str, Any], step: str, **body: Any) -> httpx.Response:
    path = f"{PATH}/{page['id']}/steps/{step}"
    return await registry.client.put(path, json=body, headers=registry.headers("moderator"))


async def lose(registry: ServiceUnderTest, page: dict[str, Any], step: str, **query: Any) -> httpx.Response:
    path = f"{PATH}/{page['id']}/steps/{step}"
    return await registry.client.delete(path, params=query, headers=registry.headers("moderator"))


async def get(registry: ServiceUnderTest, path: str, **query: Any) -> Any:
    answer = await registry.client.get(
        f"{PATH}{path}", params=query, headers=registry.headers("executor", uuid4())
    )
    assert answer.status_code == 200, answer.text
    return answer.json()


async def events(database: TestDatabase, page: dict[str, Any]) -> list[str]:
    connection = await database.connect()
    rows = await connection.fetch("SELECT type FROM events WHERE subject_id = $1 ORDER BY id", UUID(page["id"]))
    await connection.close()
    return [row["type"] for row in rows]


async def test_step_has_day_evidence_and_confirming_person(
    registry: ServiceUnderTest, database: TestDatabase
) -> None:
    page = await a_page(registry)
    today = clock.today()
    assert page["steps"] == {"created": today.isoformat()}
    day = (today - timedelta(days=10)).isoformat()
    answer = await confirm(registry, page, "gov_badge", reached_on=day, **LETTER)
    assert answer.status_code == 200, answer.text
    said = {"step": "gov_badge", "reached_on": day, **LETTER, "confirmed_by": CENTRE_SUBJECT, "lost_on": None}
    assert answer.json() | said == answer.json()
    assert (await confirm(registry, page, "connected")).json()["reached_on"] == today.isoformat()
    shown = await get(registry, f"/{page['id']}")
    assert list(shown["steps"].items()) == [
        ("created", today.isoformat()),
        ("gov_badge", day),
        ("connected", today.isoformat()),
    ]
    kept = await get(registry, f"/{page['id']}/steps")
    assert [step["step"] for step in kept["items"]] == ["connected", "gov_badge", "created"]
    assert await events(database, page) == ["page.registered", "page.step_reached", "page.step_reached"]


async def test_current_step_can_be_corrected(registry: ServiceUnderTest, database: TestDatabase) -> None:
    page = await a_page(registry)
    first = (await confirm(registry, page, "verified", evidence="Видно в сети")).json()
    day = (clock.today() - timedelta(days=3)).isoformat()
    second = (await confirm(registry, page, "verified", reached_on=day, **LETTER)).json()
    assert (second["id"], second["reached_on"], second["evidence"]) == (first["id"], day, "Письмо № 17")
    again = (await confirm(registry, page, "verified", **LETTER)).json()
    assert again == second
    assert (await events(database, page)).count("page.step_reached") == 2


async def test_unverified_page_cannot_go_live(registry: ServiceUnderTest) -> None:
    page = await a_page(registry)
    for step in ("widgets", "connected"):
        assert (await confirm(registry, page, step)).status_code == 200
    refused = await confirm(registry, page, "live")
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/conflict")
    assert (await confirm(registry, page, "verified")).status_code == 200
    assert (await confirm(registry, page, "live")).status_code == 200


async def test_lost_step_stays_on_the_list(registry: ServiceUnderTest, database: TestDatabase) -> None:
    page, other = await a_page(registry), await a_page(registry, "102")
    today = clock.today()
    yesterday, earlier = today - timedelta(days=1), today - timedelta(days=9)
    for one, step in ((page, "gov_badge"), (other, "gov_badge"), (other, "widgets")):
        await confirm(registry, one, step, reached_on=(today - timedelta(days=20)).isoformat())
    reason = "Сеть больше не показывает отметку"
    answer = await lose(registry, page, "gov_badge", reason=reason, lost_on=yesterday.isoformat())
    assert (answer.status_code, answer.json()["lost_on"]) == (200, yesterday.isoformat())
    await lose(registry, other, "gov_badge", reason="Раньше", lost_on=earlier.isoformat())
    await lose(registry, other, "widgets", reason="Сегодня")
    listed = (await get(registry, "/lost-steps"))["items"]
    assert [(one["page_id"], one["step"], one["lost_on"]) for one in listed] == [
        (other["id"], "widgets", today.isoformat()),
        (page["id"], "gov_badge", yesterday.isoformat()),
    ]
    assert (listed[1]["lost_reason"], listed[1]["organisation"]["name"]) == (reason, "Школа № 71")
    assert listed[1]["regained_on"] is None
    assert [
        one["lost_on"]
        for one in (await get(registry, "/lost-steps", since=str(earlier), step="gov_badge"))["items"]
    ] == [
        yesterday.isoformat(),
        earlier.isoformat(),
    ]
    assert (await get(registry, f"/{page['id']}"))["steps"] == {"created": today.isoformat()}
    await confirm(registry, page, "gov_badge")
    again = (await get(registry, "/lost-steps", step="gov_badge"))["items"]
    assert [one["regained_on"] for one in again] == [today.isoformat()]
    steps = (await get(registry, f"/{page['id']}/steps"))["items"]
    assert [(one["step"], one["lost_on"]) for one in steps] == [
        ("gov_badge", None),
        ("gov_badge", yesterday.isoformat()),
        ("created", None),
    ]
    assert "page.badge_lost" in await events(database, page)
    assert (await events(database, other)).count("page.step_lost") == 1


async def test_list_of_lost_steps_is_paged(registry: ServiceUnderTest) -> None:
    page = await a_page(registry)
    for step in ("verified", "gov_badge", "connected"):
        await confirm(registry, page, step)
        await lose(registry, page, step, reason="Проверка")
    found: list[str] = []
    cursor: str | None = None
    while True:
        more = {"cursor": cursor} if cursor else {}
        listed = await get(registry, "/lost-steps", limit=1, **more)
        found += [one["step"] for one in listed["items"]]
        cursor = listed["next_cursor"]
        if cursor is None:
            break
    assert found == ["connected", "gov_badge", "verified"]
    first = await get(registry, f"/{page['id']}/steps", limit=2)
    rest = await get(registry, f"/{page['id']}/steps", limit=2, cursor=first["next_cursor"])
    assert [one["step"] for one in first["items"] + rest["items"]] == [
        "connected",
        "gov_badge",
        "verified",
        "created",
    ]


async def test_pages_are_filtered_by_steps(registry: ServiceUnderTest) -> None:
    page, other = await a_page(registry), await a_page(registry, "102")
    await confirm(registry, page, "verified")
    await confirm(registry, other, "verified")
    await lose(registry, other, "verified", reason="Снята")

    async def found(**query: Any) -> list[str]:
        return [one["external_id"] for one in (await get(registry, "", **query))["items"]]

    assert await found(step="verified") == ["101"]
    assert await found(missing_step="verified") == ["102"]
    assert await found(step="created", missing_step="gov_badge") == ["101", "102"]


async def test_invalid_query_is_refused_naming_the_parameter(registry: ServiceUnderTest) -> None:
    page = await a_page(registry)
    tomorrow = (clock.today() + timedelta(days=1)).isoformat()
    before = (clock.today() - timedelta(days=1)).isoformat()
    await confirm(registry, page, "verified")
    for answer, named in (
        (await confirm(registry, page, "verified", reached_on=tomorrow), {"/reached_on"}),
        (await confirm(registry, page, "verified", evidence_kind="rumour"), {"/evidence_kind"}),
        (await confirm(registry, page, "verified", evidence="две\nстроки"), {"/evidence"}),
        (await confirm(registry, page, "famous"), {"path/step"}),
        (await lose(registry, page, "verified"), {"query/reason"}),
        (await lose(registry, page, "verified", reason="  "), {"query/reason"}),
        (await lose(registry, page, "verified", reason="Снята", lost_on=tomorrow), {"query/lost_on"}),
        (await lose(registry, page, "verified", reason="Снята", lost_on=before), {"query/lost_on"}),
    ):
        assert (answer.status_code, pointers(answer)) == (422, named)
    nowhere = {"id": str(uuid4())}
    assert (await confirm(registry, nowhere, "verified")).status_code == 404
    assert (await lose(registry, page, "gov_badge", reason="Не было")).status_code == 404
    assert (
        await registry.client.get(f"{PATH}/{uuid4()}/steps", headers=registry.headers("head"))
    ).status_code == 404


@pytest.mark.parametrize("role", ["executor", "approver"])
async def test_executor_and_approver_cannot_change_steps(role: str, registry: ServiceUnderTest) -> None:
    page = await a_page(registry)
    headers = registry.headers(role, page["organisation_id"])
    path = f"{PATH}/{page['id']}/steps/verified"
    assert (await registry.client.put(path, json={}, headers=headers)).status_code == 403
    assert (await registry.client.delete(path, params={"reason": "а"}, headers=headers)).status_code == 403


async def test_manager_confirms_steps_within_their_scope(registry: ServiceUnderTest) -> None:
    owner = await make(registry, "/organisations", name="Управление", kind="municipality")
    school = await make(
        registry, "/organisations", name="Школа", kind="institution", parent_id=owner["id"], code="school"
    )
    other = await make(registry, "/organisations", name="Чужое", kind="municipality")
    own, below, foreign = [
        await a_page(registry, str(number), organisation_id=one["id"])
        for number, one in enumerate((owner, school, other), start=1)
    ]

    async def statuses(*, include_subordinates: bool) -> list[int]:
        token = registry.token("manager", owner["id"], include_subordinates=include_subordinates)
        found = []
        for page in (own, below, foreign):
            answer = await registry.client.put(
                f"{PATH}/{page['id']}/steps/gov_badge", json=LETTER, headers={"Authorization": f"Bearer {token}"}
            )
            found.append(answer.status_code)
        return found

    assert await statuses(include_subordinates=False) == [200, 403, 403]
    assert await statuses(include_subordinates=True) == [200, 200, 403]
    assert (await get(registry, f"/{foreign['id']}"))["steps"].keys() == {"created"}


async def test_network_report_does_not_change_a_current_step(
    registry: ServiceUnderTest, database: TestDatabase
) -> None:
    page = await a_page(registry)
    page_id = UUID(page["id"])
    seen = Evidence(kind=EvidenceKind.NETWORK, confirmed_by=SERVICE_ACTOR)
    await confirm(registry, page, "verified", **LETTER)
    async with registry.service.database.write() as session:
        kept = await page_steps.confirm(session, page_id, PageStepKind.VERIFIED, seen)
        assert (kept.evidence, kept.confirmed_by) == ("Письмо № 17", CENTRE_SUBJECT)
    async with registry.service.database.write() as session:
        assert (
            await page_steps.mark_lost(
                session, page_id, PageStepKind.VERIFIED, reason="Отметки нет", actor=SERVICE_ACTOR
            )
            is not None
        )
        assert (
            await page_steps.mark_lost(
                session, page_id, PageStepKind.VERIFIED, reason="Отметки нет", actor=SERVICE_ACTOR
            )
            is None
        )
    async with registry.service.database.write() as session:
        regained = await page_steps.confirm(session, page_id, PageStepKind.VERIFIED, seen)
        assert (regained.evidence_kind, regained.confirmed_by) == ("network", SERVICE_ACTOR)
        with pytest.raises(Conflict):
            await page_steps.confirm(session, UUID((await a_page(registry, "7"))["id"]), PageStepKind.LIVE, seen)
    assert (await events(database, page)).count("page.badge_lost") == 1
    assert (await get(registry, "/lost-steps", since=str(date(2020, 1, 1))))["items"][0][
        "lost_reason"
    ] == "Отметки нет"


async def test_migration_gives_old_pages_the_step_created_on_their_registration_day(
    registry: ServiceUnderTest, database: TestDatabase
) -> None:
    page = await a_page(registry)
    existing: str = import_module("migrations.versions.0006_registry").EXISTING
    connection = await database.connect()
    # Only the statement about steps: the tables of its other statements have changed since.
    await connection.execute(
        "DELETE FROM page_steps; UPDATE pages SET created_at = '2026-01-31T17:00:00+00:00'; "
        + existing[existing.index("INSERT INTO page_steps") :]
    )
    await connection.close()
    (step,) = (await get(registry, f"/{page['id']}/steps"))["items"]
    known = {name: step[name] for name in ("step", "reached_on", "evidence_kind", "confirmed_by")}
    assert known == {
        "step": "created",
        "reached_on": "2026-02-01",
        "evidence_kind": "manual",
        "confirmed_by": "migration",
    }
