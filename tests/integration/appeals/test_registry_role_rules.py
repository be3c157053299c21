"""Routing rules that send appeals to a registry role; starter rules, which are installed once."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest

from services.appeals.routing import reroute
from services.appeals.routing.starter_rules import STARTER_ACTOR, install_starter_rules
from shared.audit import recorder
from tests.integration.appeals.conftest import AppealsScenario
from tests.integration.appeals.test_rule_sets import CITY, DISTRICT, activated, active, made, topic
from tests.support.service_under_test import insert_organisation, insert_page

LAMP = "Не горят фонари на улице Ленина в Кабанске, когда включите освещение?"


@dataclass(frozen=True)
class Region:
    """The organisations of a small region and the pages of two of them."""

    kabansk: UUID
    city: UUID
    ministry: UUID
    agency: UUID
    agency_page: UUID
    school_page: UUID
    school: UUID


@pytest.fixture
async def region(scenario: AppealsScenario) -> Region:
    database = scenario.database
    kabansk = await insert_organisation(
        database, name="Администрация Кабанского района", kind="municipality", municipality=DISTRICT
    )
    city = await insert_organisation(
        database, name="Администрация города Улан-Удэ", kind="municipality", municipality=CITY
    )
    ministry = await insert_organisation(
        database, name="Министерство здравоохранения", kind="regional", sphere="здравоохранение"
    )
    agency = await insert_organisation(
        database, name="Республиканское агентство занятости", kind="regional", sphere="занятость"
    )
    school = await insert_organisation(
        database, name="Кабанская школа № 3", municipality=DISTRICT, sphere="образование", parent=kabansk
    )
    agency_page = await insert_page(database, agency, external_id="303")
    school_page = await insert_page(database, school, external_id="404")
    scenario.pages |= {agency_page: (agency, "vk"), school_page: (school, "vk")}
    return Region(kabansk, city, ministry, agency, agency_page, school_page, school)


async def _preview(scenario: AppealsScenario, rule_set: dict[str, Any], **message: Any) -> dict[str, Any]:
    answer = await scenario.post(f"/rule-sets/{rule_set['id']}/preview", message)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def _install(scenario: AppealsScenario) -> Any:
    async with scenario.appeals.service.database.write() as session:
        recorder.set_context(session, recorder.operator_context("appeals", "starter-rules"))
        return await install_starter_rules(session, STARTER_ACTOR)


async def test_rule_with_role_conditions_and_reason_is_stored_and_shown(
    scenario: AppealsScenario, region: Region
) -> None:
    roads = await topic(scenario, "roads")
    draft = await made(
        scenario,
        {
            "topic_id": roads, "page_owner_sphere": "other", "send_to": "municipality_administration",
            "reason": "Улицы содержит администрация",
        },
        {"page_owner_kind": "institution", "send_to": "page_owner_founder"},
        default={"send_to": "sphere_body"},
    )  # fmt: skip
    first, second = draft["rules"]
    assert (first["send_to"], first["page_owner_sphere"], first["page_owner_kind"], first["reason"]) == (
        "municipality_administration", "other", None, "Улицы содержит администрация",
    )  # fmt: skip
    assert first["description"] == "группа тем «Дороги», страница организации другой сферы → администрация места"
    assert second["description"] == "страница учреждения → учредитель владельца страницы"
    assert draft["default"] == {"send_to": "sphere_body", "organisation": None}
    again = (await scenario.get(f"/rule-sets/{draft['id']}")).json()
    assert again["rules"] == draft["rules"]
    founded = await _preview(scenario, draft, page_id=str(region.school_page))
    assert founded["organisation"] == {"id": str(region.kabansk), "name": "Администрация Кабанского района"}


async def test_changed_reason_is_not_a_change_of_the_rule(scenario: AppealsScenario) -> None:
    rule = {"urgency": "high", "send_to": "municipality_administration"}
    one, other = await made(scenario, rule), await made(scenario, rule | {"reason": "Новая причина"})
    changes = (await scenario.get(f"/rule-sets/{other['id']}/changes", against=one["id"])).json()
    assert (changes["added"], changes["removed"], changes["changed"]) == ([], [], [])


@pytest.mark.parametrize(
    ("rule", "pointer"),
    [
        ({"send_to": "nobody", "urgency": "high"}, "/rules/0/send_to"),
        ({"send_to": "sphere_body", "page_owner_sphere": "near"}, "/rules/0/page_owner_sphere"),
        ({"send_to": "sphere_body", "page_owner_kind": "school"}, "/rules/0/page_owner_kind"),
    ],
)
async def test_unknown_role_or_condition_is_refused(
    scenario: AppealsScenario, rule: dict[str, Any], pointer: str
) -> None:
    answer = await scenario.post("/rule-sets", {"default": {"send_to": "moderators"}, "rules": [rule]})
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]


async def test_starter_rules_send_a_local_matter_to_the_administration_of_its_location(
    scenario: AppealsScenario, region: Region
) -> None:
    assert await _install(scenario) is not None
    await scenario.citizen_writes(LAMP, page=region.agency_page)
    appeal = await scenario.single_appeal()
    assert appeal["organisation"]["id"] == str(region.kabansk)
    assert appeal["route"]["reason"].endswith(": Администрация Кабанского района, место из текста")
    assert appeal["route"]["rule"].endswith("→ администрация места")


async def test_appeal_without_a_location_is_in_triage_with_the_reason(
    scenario: AppealsScenario, region: Region
) -> None:
    await activated(
        scenario,
        await made(
            scenario, {"topic_id": await topic(scenario, "roads"), "send_to": "municipality_administration"}
        ),
    )
    await scenario.citizen_writes("Не горят фонари вдоль дороги, темно", page=region.agency_page)
    appeal = await scenario.single_appeal()
    assert (appeal["status"], appeal["triage_reason"]) == ("triage", "no_role_holder")
    assert appeal["route"]["reason"] == "Это дело местной администрации, а место неизвестно; решает модератор"
    assert [one["id"] for one in await scenario.all(triage_reason="no_role_holder")] == [appeal["id"]]


async def test_appeal_with_two_candidate_administrations_is_rerouted_after_one_closes(
    scenario: AppealsScenario, region: Region
) -> None:
    twin = await insert_organisation(
        scenario.database, name="Вторая администрация", kind="municipality", municipality=DISTRICT
    )
    await activated(
        scenario,
        await made(scenario, {"urgency": "normal", "send_to": "municipality_administration"}),
    )
    await scenario.citizen_writes(LAMP, page=region.agency_page)
    appeal = await scenario.single_appeal()
    assert appeal["triage_reason"] == "several_role_holders"
    assert {one["organisation_id"] for one in appeal["route"]["suggestions"]} >= {str(twin), str(region.kabansk)}
    registry = await scenario.database.connect("registry")
    await registry.execute("UPDATE organisations SET active = false WHERE id = $1", twin)
    await registry.close()
    assert await reroute.reroute_appeals(scenario.appeals.service.database, include_untouched=False) == 1
    assert (await scenario.single_appeal())["organisation"]["id"] == str(region.kabansk)


async def test_starter_rules_are_installed_once_and_recorded(scenario: AppealsScenario) -> None:
    installed = await _install(scenario)
    current = await active(scenario)
    assert (current["id"], current["note"]) == (str(installed.id), "Начальный набор правил")
    assert current["default"]["send_to"] == "moderators"
    assert all(rule["reason"] for rule in current["rules"])
    assert await _install(scenario) is None
    action = await scenario.ingest.fetchval(
        "SELECT DISTINCT action FROM audit WHERE subject_kind = 'rule_sets' AND subject_id = $1", str(installed.id)
    )
    assert action == "gospablik starter-rules"


async def test_starter_rules_are_not_installed_where_people_made_rules(scenario: AppealsScenario) -> None:
    before = await active(scenario)
    await made(scenario, {"urgency": "high", "send_to": "moderators"})
    assert await _install(scenario) is None
    assert (await active(scenario))["id"] == before["id"]
