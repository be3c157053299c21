"""Rule sets: validated as a whole, compared, previewed, activated one at a time and reactivated."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest

from services.appeals.classification.classifier_pool import ClassifierPool
from services.appeals.classification.classifier_process import ClassifiedText, ClassifierInput
from services.appeals.classification.types import MessageContext
from services.appeals.routing import rule_sets
from shared import clock
from tests.integration.appeals.conftest import AppealsScenario
from tests.integration.appeals.test_appeal_matching import QUESTION
from tests.integration.appeals.test_appeals_api import _is_problem
from tests.support.service_under_test import insert_organisation, insert_page

CITY, DISTRICT = "81701000", "81624000"
PAGE_OWNER = {"send_to": "page_owner"}


async def topic(scenario: AppealsScenario, code: str) -> str:
    """Return the id of the topic or topic group with this code."""
    return str(await scenario.ingest.fetchval("SELECT id FROM topics WHERE code = $1", code))


async def topic_of_group(scenario: AppealsScenario, code: str) -> str:
    """Return the id of a topic in this group."""
    return str(
        await scenario.ingest.fetchval(
            """SELECT t.id FROM topics t JOIN topics g ON g.id = t.group_id WHERE g.code = $1
               ORDER BY t.position LIMIT 1""",
            code,
        )
    )


async def made(
    scenario: AppealsScenario, *rules: dict[str, Any], default: Any = PAGE_OWNER, **more: Any
) -> dict[str, Any]:
    """Create a draft of a rule set and assert that it is accepted; return it."""
    answer = await scenario.post("/rule-sets", {"default": default, "rules": list(rules), **more})
    assert answer.status_code == 201, answer.text
    assert answer.headers["ETag"] == '"1"'
    found: dict[str, Any] = answer.json()
    return found


async def activate(scenario: AppealsScenario, rule_set: dict[str, Any], **body: Any) -> httpx.Response:
    """Request the activation of a set, with its version in `If-Match`; return the response."""
    return await scenario.post(
        f"/rule-sets/{rule_set['id']}/activation", body, If_Match=f'"{rule_set["version"]}"'
    )


async def activated(scenario: AppealsScenario, rule_set: dict[str, Any], **body: Any) -> dict[str, Any]:
    """Activate a set and assert that it is accepted."""
    answer = await activate(scenario, rule_set, **body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    assert found["status"] == "active"
    return found


async def active(scenario: AppealsScenario) -> dict[str, Any]:
    """Return the active rule set."""
    (found,) = (await scenario.get("/rule-sets", status="active")).json()["items"]
    return (await scenario.get(f"/rule-sets/{found['id']}")).json()  # type: ignore[no-any-return]


async def test_rule_set_is_created_and_returned(scenario: AppealsScenario) -> None:
    roads = await topic(scenario, "roads")
    rules = [
        {"topic_id": roads, "organisation_id": str(scenario.other_organisation)},
        {"municipality": DISTRICT, "settlement": "КАБАНСК ", "urgency": "high", "send_to": "moderators"},
        {"page_owner_id": str(scenario.organisation), "topic_id": roads, "send_to": "page_owner"},
    ]
    draft = await made(scenario, *rules, note="Дороги")
    assert (draft["status"], draft["note"], draft["rule_count"]) == ("draft", "Дороги", 3)
    assert draft["default"] == {"send_to": "page_owner", "organisation": None}
    assert [rule["description"] for rule in draft["rules"]] == [
        "группа тем «Дороги» → Комитет по строительству",
        "Кабанский район, Кабанск, срочное → модераторы",
        "группа тем «Дороги», у организации «Школа № 1» → владелец страницы",
    ]
    answer = await scenario.get(f"/rule-sets/{draft['id']}")
    assert answer.json() == draft
    assert answer.headers["ETag"].startswith('"1-')  # the rest of the ETag is a digest of the body
    listed = (await scenario.get("/rule-sets")).json()["items"]
    assert [found["status"] for found in listed] == ["draft", "active", "retired"]
    assert "rules" not in listed[0]
    page = (await scenario.get("/rule-sets", limit=1)).json()
    rest = (await scenario.get("/rule-sets", limit=5, cursor=page["next_cursor"])).json()["items"]
    assert [found["id"] for found in page["items"] + rest] == [found["id"] for found in listed]
    _is_problem(await scenario.get(f"/rule-sets/{uuid4()}"), 404)


async def test_every_invalid_rule_is_refused_with_its_reason(scenario: AppealsScenario) -> None:
    roads, one, other = (
        await topic(scenario, "roads"),
        str(scenario.organisation),
        str(scenario.other_organisation),
    )
    closed, detail = uuid4(), ""
    registry = await scenario.database.connect("registry")
    await registry.execute(
        """INSERT INTO organisations (id, name, sort_key, kind, active, version, created_at, updated_at)
           VALUES ($1, 'Бывший отдел', 'бывший отдел', 'other', false, 1, now(), now())""",
        closed,
    )
    await registry.close()

    async def refused(*rules: dict[str, Any], default: Any = PAGE_OWNER) -> dict[str, str]:
        body: dict[str, Any] = {"rules": list(rules)} | ({"default": default} if default else {})
        nonlocal detail
        answer = await scenario.post("/rule-sets", body)
        assert answer.status_code == 422, answer.text
        detail = answer.json()["detail"]
        return {error["pointer"]: error["detail"] for error in answer.json()["errors"]}

    good = {"topic_id": roads, "municipality": CITY}
    found = await refused(good | {"organisation_id": one}, good | {"organisation_id": other})
    assert list(found) == ["/rules/1"]
    assert "Conflicts with rule /rules/0" in found["/rules/1"]
    assert "Школа № 1" in found["/rules/1"]
    assert "Комитет по строительству" in found["/rules/1"]
    assert "Never reached" in (await refused(*[good | {"organisation_id": one}] * 2))["/rules/1"]
    assert await refused(good | {"organisation_id": str(closed)}) == {
        "/rules/0/organisation_id": "The organisation is closed: Бывший отдел"
    }
    assert list(await refused(good | {"organisation_id": str(uuid4())})) == ["/rules/0/organisation_id"]
    loop = await refused(
        {"page_owner_id": one, "topic_id": roads, "organisation_id": other},
        {"page_owner_id": other, "municipality": CITY, "organisation_id": one},
    )
    assert list(loop) == ["/rules/0/page_owner_id", "/rules/1/page_owner_id"]
    assert "A forwarding loop: " in loop["/rules/0/page_owner_id"]
    assert detail.count("A forwarding loop: ") == 1
    assert list(await refused(default=None)) == ["/default"]
    assert list(await refused(default={"send_to": "organisation", "organisation_id": str(closed)})) == [
        "/default/organisation_id"
    ]
    several = await refused(
        {"topic_id": str(uuid4()), "organisation_id": one},
        {"municipality": "99999999", "organisation_id": one},
        {"settlement": "Кабанск", "organisation_id": one},
        {"organisation_id": one},
    )
    assert list(several) == ["/rules/0/topic_id", "/rules/1/municipality", "/rules/2/municipality", "/rules/3"]
    assert await refused({"municipality": DISTRICT, "settlement": "Кабанскк", "organisation_id": one}) == {
        "/rules/0/settlement": "No such settlement in: Кабанский район"
    }
    assert list(await refused({"urgency": "soon", "organisation_id": one})) == ["/rules/0/urgency"]
    assert await scenario.ingest.fetchval("SELECT count(*) FROM rule_sets WHERE status = 'draft'") == 0
    _is_problem(await scenario.post("/rule-sets", {"rules": []}, role="executor", org=scenario.organisation), 403)


async def test_one_set_is_active_and_an_older_one_can_be_activated_again(scenario: AppealsScenario) -> None:
    first = await active(scenario)
    roads = await topic(scenario, "roads")
    draft = await made(scenario, {"topic_id": roads, "organisation_id": str(scenario.other_organisation)})
    _is_problem(await scenario.post(f"/rule-sets/{draft['id']}/activation", {}), 428)
    _is_problem(await scenario.post(f"/rule-sets/{draft['id']}/activation", {}, If_Match='"9"'), 412)
    _is_problem(await activate(scenario, draft, expected_active_id=draft["id"]), 409)
    _is_problem(await activate(scenario, {"id": str(uuid4()), "version": 1}), 404)
    now = await activated(scenario, draft, expected_active_id=first["id"])
    assert (now["activated_by"], now["retired_at"]) == ("00000000-0000-0000-0000-000000000001", None)
    _is_problem(await activate(scenario, now), 409)
    await scenario.citizen_writes(QUESTION)
    appeal = await scenario.single_appeal()
    assert appeal["organisation"]["id"] == str(scenario.other_organisation)
    assert appeal["route"]["rule_id"] == draft["rules"][0]["id"]
    assert appeal["route"]["rule_set"] == draft["number"]
    assert appeal["route"]["rule"] == "группа тем «Дороги» → Комитет по строительству"
    assert appeal["route"]["why"]
    assert appeal["assignments"] == [
        {
            "at": appeal["assignments"][0]["at"],
            "kind": "routed",
            "from_organisation": None,
            "to_organisation": appeal["organisation"],
            "rule_id": draft["rules"][0]["id"],
            "reason": "Правило маршрутизации по теме",
            "actor": {"id": None, "name": "Система", "kind": "system"},
        }
    ]
    retired = (await scenario.get(f"/rule-sets/{first['id']}")).json()
    assert retired["status"] == "retired"
    assert (await activated(scenario, retired))["retired_at"] is None
    await scenario.citizen_writes(QUESTION, author="boris")
    assert len(await scenario.all(organisation_id=str(scenario.organisation))) == 1


async def test_rule_set_that_became_invalid_is_not_activated(scenario: AppealsScenario) -> None:
    draft = await made(scenario, {"municipality": CITY, "organisation_id": str(scenario.other_organisation)})
    registry = await scenario.database.connect("registry")
    await registry.execute("UPDATE organisations SET active = false WHERE id = $1", scenario.other_organisation)
    await registry.close()
    refused = await activate(scenario, draft)
    body = _is_problem(refused, 409, "/rules/0/organisation_id")
    assert "closed: Комитет по строительству" in body["detail"]
    assert (await active(scenario))["id"] != draft["id"]


@pytest.mark.usefixtures("stopped_clock")
async def test_organisation_counts_as_closed_after_its_last_day(scenario: AppealsScenario) -> None:
    other = str(scenario.other_organisation)
    rule = {"municipality": CITY, "organisation_id": other}
    registry = await scenario.database.connect("registry")
    ends = "UPDATE organisations SET valid_to = $2 WHERE id = $1"
    await registry.execute(ends, scenario.other_organisation, clock.today())
    await activated(scenario, await made(scenario, rule))
    await scenario.citizen_writes(QUESTION)
    assert (await scenario.single_appeal())["organisation"]["id"] == other
    await registry.execute(ends, scenario.other_organisation, clock.today() - timedelta(days=1))
    await registry.close()
    await scenario.citizen_writes(QUESTION, author="boris", thread="vk:-101_2")
    (waiting,) = await scenario.all(status="triage")
    assert waiting["triage_reason"] == "organisation_closed"
    refused = await scenario.post("/rule-sets", {"default": PAGE_OWNER, "rules": [rule]})
    assert "closed: Комитет по строительству" in _is_problem(refused, 422, "/rules/0/organisation_id")["detail"]
    to_it = await scenario.move(waiting, "assigned", organisation_id=other)
    assert _is_problem(to_it, 422, "/organisation_id")["detail"] == "The organisation is closed"


async def test_only_one_of_two_concurrently_activated_sets_becomes_active(scenario: AppealsScenario) -> None:
    first = await active(scenario)
    drafts = [
        await made(scenario, {"municipality": municipality, "organisation_id": str(scenario.organisation)})
        for municipality in (CITY, DISTRICT)
    ]
    answers = await asyncio.gather(
        *(activate(scenario, draft, expected_active_id=first["id"]) for draft in drafts)
    )
    assert sorted(answer.status_code for answer in answers) == [200, 409]
    winner = next(answer.json() for answer in answers if answer.status_code == 200)
    assert (await active(scenario))["id"] == winner["id"]


async def test_only_one_of_concurrent_activations_of_a_draft_succeeds(scenario: AppealsScenario) -> None:
    draft = await made(scenario)
    answers = await asyncio.gather(*(activate(scenario, draft) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 412, 412, 412]


async def test_comparison_lists_added_removed_and_changed_rules(scenario: AppealsScenario) -> None:
    roads, one, other = (
        await topic(scenario, "roads"),
        str(scenario.organisation),
        str(scenario.other_organisation),
    )
    kept = {"municipality": DISTRICT, "organisation_id": one}
    before = await made(
        scenario, kept, {"topic_id": roads, "organisation_id": one}, {"urgency": "high", "send_to": "moderators"}
    )
    after = await made(
        scenario,
        kept,
        {"topic_id": roads, "organisation_id": other},
        {"municipality": CITY, "organisation_id": other},
        default={"send_to": "organisation", "organisation_id": other},
    )
    found = (await scenario.get(f"/rule-sets/{after['id']}/changes", against=before["id"])).json()
    assert (found["against"], found["unchanged_count"]) == (before["number"], 1)
    assert found["default_before"] == {"send_to": "page_owner", "organisation": None}
    assert [rule["id"] for rule in found["added"]] == [after["rules"][2]["id"]]
    assert [rule["id"] for rule in found["removed"]] == [before["rules"][2]["id"]]
    ((pair),) = found["changed"]
    assert (pair["before"]["organisation"]["id"], pair["after"]["organisation"]["id"]) == (one, other)
    # By default a set is compared with the active one.
    assert (await scenario.get(f"/rule-sets/{after['id']}/changes")).json()["removed"] == []


async def test_rule_added_or_deleted_alone_activates_a_new_set(scenario: AppealsScenario) -> None:
    first = await active(scenario)
    roads, other = await topic(scenario, "roads"), str(scenario.other_organisation)
    one = (await scenario.post("/routing-rules", {"topic_id": roads, "organisation_id": other})).json()
    await scenario.post("/routing-rules", {"municipality": CITY, "organisation_id": other})
    now = await active(scenario)
    assert now["number"] == first["number"] + 2
    assert now["rule_count"] == 2
    listed = (await scenario.get("/routing-rules")).json()["items"]
    assert [rule["description"] for rule in listed] == [rule["description"] for rule in reversed(now["rules"])]
    _is_problem(await scenario.post("/routing-rules", {"topic_id": roads, "organisation_id": str(uuid4())}), 409)
    _is_problem(
        await scenario.post("/routing-rules", {"settlement": "Кабанск", "organisation_id": other}),
        422,
        "/municipality",
    )
    conditions = ("topic_id", "municipality", "page_owner_id", "page_owner_sphere", "page_owner_kind", "urgency")
    bare = await scenario.post("/routing-rules", {"organisation_id": other})
    detail = _is_problem(bare, 422, *(f"/{name}" for name in conditions))
    assert all(name in detail["detail"] for name in conditions)
    forwarding = {"page_owner_id": str(scenario.organisation), "organisation_id": other}
    assert (await scenario.post("/routing-rules", forwarding)).status_code == 201
    back = {"page_owner_id": other, "urgency": "high", "organisation_id": str(scenario.organisation)}
    refused = _is_problem(await scenario.post("/routing-rules", back), 422, "/page_owner_id")
    assert "forwarding loop" in refused["detail"]
    # A rule can be deleted by the id that it had in an earlier set.
    headers = scenario.appeals.headers("moderator")
    gone = await scenario.appeals.client.delete(f"/api/v1/routing-rules/{one['id']}", headers=headers)
    assert gone.status_code == 204
    assert [rule["topic_id"] for rule in (await active(scenario))["rules"]] == [None, None]
    again = await scenario.appeals.client.delete(f"/api/v1/routing-rules/{one['id']}", headers=headers)
    _is_problem(again, 404)


async def test_concurrently_added_rules_are_all_kept(scenario: AppealsScenario) -> None:
    bodies = [
        {"municipality": municipality, "urgency": urgency, "organisation_id": str(scenario.organisation)}
        for municipality in (CITY, DISTRICT)
        for urgency in ("high", "normal")
    ]
    answers = await asyncio.gather(*(scenario.post("/routing-rules", body) for body in bodies))
    assert {answer.status_code for answer in answers} == {201}
    assert (await active(scenario))["rule_count"] == 4


async def test_location_of_a_page_matches_rules_unless_its_owner_serves_the_republic(
    scenario: AppealsScenario,
) -> None:
    pages: list[str] = []
    for name, seat in (
        ("Министерство природных ресурсов Республики Бурятия", CITY),
        ("Комитет городского хозяйства", CITY),
        ("Администрация МО «Кабанский район»", None),
    ):
        owner = await insert_organisation(scenario.database, name=name, municipality=seat)
        pages.append(str(await insert_page(scenario.database, owner, external_id=str(len(pages)))))
    to_city = {"municipality": CITY, "organisation_id": str(scenario.organisation)}
    to_district = {"municipality": DISTRICT, "organisation_id": str(scenario.other_organisation)}
    draft = await made(scenario, to_city, to_district)
    routed = [
        (await scenario.post(f"/rule-sets/{draft['id']}/preview", {"page_id": page})).json()["organisation"][
            "name"
        ]
        for page in pages
    ]
    assert routed == [
        "Министерство природных ресурсов Республики Бурятия",
        "Школа № 1",
        "Комитет по строительству",
    ]


@pytest.mark.parametrize("text", [QUESTION, None])
async def test_preview_shows_the_route_and_all_matching_rules(scenario: AppealsScenario, text: str | None) -> None:
    roads, other = await topic(scenario, "roads"), str(scenario.other_organisation)
    holes = await topic_of_group(scenario, "roads")
    draft = await made(
        scenario,
        {"municipality": CITY, "send_to": "moderators"},
        {"topic_id": roads, "municipality": CITY, "organisation_id": other},
        {"topic_id": roads, "organisation_id": str(scenario.organisation)},
        {"topic_id": roads, "municipality": DISTRICT, "organisation_id": str(scenario.organisation)},
    )
    given = {"municipality": CITY, "page_id": str(scenario.page), "topic_id": holes}
    answer = await scenario.post(f"/rule-sets/{draft['id']}/preview", given | ({"text": text} if text else {}))
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert found["organisation"] == {"id": other, "name": "Комитет по строительству"}
    assert [rule["id"] for rule in found["matching_rules"]] == [draft["rules"][n]["id"] for n in (1, 2, 0)]
    assert found["route"]["rule_set"] == found["rule_set"] == draft["number"]
    assert found["facts"]["topic"]["id"] == holes
    assert found["facts"]["needs_answer"] == ("yes" if text else None)
    read = (await scenario.post(f"/rule-sets/{draft['id']}/preview", {"text": QUESTION})).json()
    assert read["facts"]["topic"] is not None
    assert read["organisation"]["name"] == "Комитет по строительству", "the street is in the capital"
    nothing = (await scenario.post(f"/rule-sets/{draft['id']}/preview", {})).json()
    assert nothing["route"]["reason"] == "Страница неизвестна; решает модератор"
    for body, pointer in (
        ({"topic_id": str(uuid4())}, "/topic_id"),
        ({"page_id": str(uuid4())}, "/page_id"),
        ({"municipality": "99999999"}, "/municipality"),
        ({"settlement": "Кабанск"}, "/municipality"),
    ):
        _is_problem(await scenario.post(f"/rule-sets/{draft['id']}/preview", body), 422, pointer)


async def test_preview_classifies_a_message_under_its_post(
    scenario: AppealsScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[MessageContext] = []
    former = ClassifierPool.classify

    async def classify(self: ClassifierPool, items: Sequence[ClassifierInput]) -> list[ClassifiedText]:
        seen.extend(around for _, around in items)
        return await former(self, items)

    monkeypatch.setattr(ClassifierPool, "classify", classify)
    other = str(scenario.other_organisation)
    roads = await topic(scenario, "roads")
    draft = await made(scenario, {"topic_id": roads, "municipality": DISTRICT, "organisation_id": other})
    preview = f"/rule-sets/{draft['id']}/preview"
    asked = {"text": "Когда уже начнут?", "page_id": str(scenario.page)}
    post = "В Кабанске начался ремонт дорог: латают ямы на улице Ленина. Где ещё нужен ремонт?"
    alone = (await scenario.post(preview, asked)).json()
    assert (alone["organisation"]["name"], alone["facts"]["municipality"]) == ("Школа № 1", None)
    under = (await scenario.post(preview, asked | {"post_context": post})).json()
    assert (under["organisation"]["id"], under["facts"]["municipality"]) == (other, DISTRICT)
    assert (await scenario.post(preview, asked | {"kind": "message"})).status_code == 200
    assert [(around.kind, around.post_text) for around in seen] == [
        ("comment", None), ("comment", post), ("message", None),
    ]  # fmt: skip
    _is_problem(await scenario.post(preview, {"post_context": post}), 422, "/text")
    _is_problem(await scenario.post(preview, asked | {"post_context": " "}), 422, "/post_context")
    _is_problem(await scenario.post(preview, asked | {"kind": "letter"}), 422, "/kind")


async def test_rule_beyond_the_maximum_is_refused(
    scenario: AppealsScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rule_sets, "MAX_RULES", 1)
    first = {"topic_id": await topic(scenario, "roads"), "send_to": "moderators"}
    assert (await scenario.post("/routing-rules", first)).status_code == 201
    refused = await scenario.post("/routing-rules", {**first, "topic_id": await topic(scenario, "energy")})
    assert "at most 1" in _is_problem(refused, 409)["detail"]
