"""Reply templates: who may change them, which are offered for an appeal, and how their fields are filled."""

from typing import Any
from uuid import UUID

from tests.integration.appeals.conftest import AppealsScenario
from tests.integration.appeals.reply_helpers import appeal, execute, request

TEXT = "Здравствуйте, {имя}! По обращению № {номер} ответим до {срок}. {организация}, тема «{тема}»."


async def create(scenario: AppealsScenario, role: str = "moderator", **body: Any) -> Any:
    made = await request(scenario, "POST", "/reply-templates", {"name": "Ответ", "text": TEXT, **body}, role=role)
    assert made.status_code == 201, made.text
    return made.json()


async def topics(scenario: AppealsScenario) -> tuple[UUID, UUID, UUID]:
    """Return the ids of a topic, of its group and of another group."""
    connection = await scenario.database.connect()
    try:
        topic, group = await connection.fetchrow(
            "SELECT id, group_id FROM topics WHERE group_id IS NOT NULL LIMIT 1"
        )
        other = await connection.fetchval(
            "SELECT id FROM topics WHERE group_id IS NULL AND id <> $1 LIMIT 1", group
        )
    finally:
        await connection.close()
    return topic, group, other


async def test_template_is_created_changed_and_deleted(scenario: AppealsScenario) -> None:
    made = await create(scenario)
    where = f"/reply-templates/{made['id']}"
    read = await request(scenario, "GET", where)
    assert read.json() == made
    body = {"name": "Новый", "text": "Ответим до {срок}.", "kind": "interim"}
    assert (await request(scenario, "PUT", where, body, role="moderator")).status_code == 428
    changed = await request(scenario, "PUT", where, body, role="moderator", If_Match='"1"')
    assert (changed.status_code, changed.headers["ETag"], changed.json()["name"]) == (200, '"2"', "Новый")
    assert (await request(scenario, "PUT", where, body, role="moderator", If_Match='"1"')).status_code == 412
    assert (await request(scenario, "DELETE", where, role="moderator", If_Match='"1"')).status_code == 412
    assert (await request(scenario, "DELETE", where, role="moderator", If_Match='"2"')).status_code == 204
    assert (await request(scenario, "GET", where)).status_code == 404


async def test_unknown_field_is_refused_naming_it(scenario: AppealsScenario) -> None:
    body = {"name": "Ответ", "text": "Здравствуйте, {фамилия}! Срок {срок"}
    refused = await request(scenario, "POST", "/reply-templates", body, role="moderator")
    assert refused.status_code == 422
    assert [error["pointer"] for error in refused.json()["errors"]] == ["/text", "/text"]
    assert "{фамилия}" in refused.json()["errors"][0]["detail"]


async def test_staff_create_and_change_only_templates_of_their_own_organisation(scenario: AppealsScenario) -> None:
    own = await create(scenario, "executor", organisation_id=str(scenario.organisation))
    centre = await create(scenario)
    foreign = await create(scenario, organisation_id=str(scenario.other_organisation))
    body = {"name": "Ответ", "text": TEXT}
    assert (await request(scenario, "POST", "/reply-templates", body)).status_code == 403
    elsewhere = body | {"organisation_id": str(scenario.other_organisation)}
    refused = await request(scenario, "POST", "/reply-templates", elsewhere)
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/organisation_id")
    listed = (await request(scenario, "GET", "/reply-templates")).json()["items"]
    assert [item["id"] for item in listed] == [centre["id"], own["id"]]
    filtered = await request(scenario, "GET", f"/reply-templates?organisation_id={scenario.organisation}")
    assert [item["id"] for item in filtered.json()["items"]] == [own["id"]]
    for method in ("GET", "PUT", "DELETE"):
        hidden = await request(scenario, method, f"/reply-templates/{foreign['id']}", body, If_Match="*")
        assert hidden.status_code == 404, hidden.text
        if method != "GET":
            forbidden = await request(scenario, method, f"/reply-templates/{centre['id']}", body, If_Match="*")
            assert forbidden.status_code == 403, forbidden.text
    # Staff cannot assign their own template to another organisation or to all.
    where = f"/reply-templates/{own['id']}"
    assert (await request(scenario, "PUT", where, elsewhere, If_Match="*")).status_code == 422
    assert (await request(scenario, "PUT", where, body, If_Match="*")).status_code == 403
    assert len((await request(scenario, "GET", "/reply-templates", role="moderator")).json()["items"]) == 3


async def test_templates_for_an_appeal_are_ranked_and_filled(scenario: AppealsScenario) -> None:
    topic, group, other = await topics(scenario)
    found = await appeal(scenario)
    await execute(scenario, "UPDATE appeals SET topic_id = $1 WHERE id = $2", topic, UUID(found["id"]))
    organisation = str(scenario.organisation)
    wanted = [
        await create(scenario, name=name, **where)
        for name, where in (
            ("topic, own", {"topic_id": str(topic), "organisation_id": organisation}),
            ("topic, centre", {"topic_id": str(topic)}),
            ("group, own", {"topic_id": str(group), "organisation_id": organisation}),
            ("group, centre", {"topic_id": str(group)}),
            ("any, own", {"organisation_id": organisation}),
            ("any, centre", {}),
        )
    ]
    await create(scenario, name="other topic", topic_id=str(other))
    await create(scenario, name="other organisation", organisation_id=str(scenario.other_organisation))
    offered = (await request(scenario, "GET", f"/appeals/{found['id']}/reply-templates")).json()
    assert [item["name"] for item in offered] == [item["name"] for item in wanted]
    assert [item["own"] for item in offered] == [True, False] * 3
    detail = await scenario.appeal(found["id"])
    text = offered[0]["text"]
    assert text.startswith("Здравствуйте, {имя}! По обращению № " + str(detail["number"]))
    assert "Школа № 1" in text
    assert f"тема «{detail['topic']['name']}»" in text
    assert "{срок}" not in text
    assert offered[0]["missing_fields"] == ["имя"]
    hidden = await request(
        scenario, "GET", f"/appeals/{found['id']}/reply-templates", org=scenario.other_organisation
    )
    assert hidden.status_code == 404


async def test_unfilled_field_blocks_publication(scenario: AppealsScenario) -> None:
    await create(scenario, text="{имя}, здравствуйте! Ответим до 5 декабря.")
    found = await appeal(scenario)
    (offered,) = (await request(scenario, "GET", f"/appeals/{found['id']}/reply-templates")).json()
    where = f"/appeals/{found['id']}/replies"
    refused = await request(scenario, "POST", where, {"text": offered["text"]})
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/text")
    assert "{имя}" in refused.json()["errors"][0]["detail"]
    filled = offered["text"].replace("{имя}", "Анна")
    assert (await request(scenario, "POST", where, {"text": filled})).status_code == 201
