"""Internal notes are read by the organisation that wrote them and the centre, and edited by their author."""

import json
from typing import Any
from uuid import uuid4

from tests.integration.appeals.conftest import AppealsScenario
from tests.integration.appeals.people_helpers import Colleague, change_access, register
from tests.integration.appeals.test_appeal_matching import QUESTION
from tests.integration.appeals.test_appeals_api import _is_problem
from tests.support.service_under_test import insert_organisation

TEXT = "Позвонил в дорожную службу: приедут завтра"


async def _appeal(scenario: AppealsScenario) -> dict[str, Any]:
    await scenario.citizen_writes(QUESTION)
    return await scenario.single_appeal()


async def _note(author: Colleague, appeal: dict[str, Any], text: str = TEXT, **body: Any) -> dict[str, Any]:
    answer = await author.post(f"/appeals/{appeal['id']}/notes", {"text": text, **body})
    assert answer.status_code == 201, answer.text
    note: dict[str, Any] = answer.json()
    return note


async def _texts(reader: Colleague, appeal: dict[str, Any]) -> list[str | None]:
    answer = await reader.get(f"/appeals/{appeal['id']}/notes")
    assert answer.status_code == 200, answer.text
    return [note["text"] for note in answer.json()["items"]]


async def _transfer(scenario: AppealsScenario, appeal: dict[str, Any]) -> None:
    moved = await scenario.move(
        await scenario.appeal(appeal["id"]),
        "assigned",
        organisation_id=str(scenario.other_organisation),
        reason="Их дорога",
    )
    assert moved.status_code == 200, moved.text


async def test_note_is_read_by_its_organisation_and_the_centre(scenario: AppealsScenario) -> None:
    appeal = await _appeal(scenario)
    boris, vera = await register(scenario, "Борис"), await register(scenario, "Вера")
    moderator = await register(scenario, "Модератор", "moderator")
    note = await _note(boris, appeal)
    assert (note["author"]["name"], note["organisation"]["name"]) == ("Борис", "Школа № 1")
    assert (note["visibility"], note["text"], note["version"]) == ("organisation", TEXT, 1)
    assert await _texts(vera, appeal) == await _texts(moderator, appeal) == [TEXT]
    # The organisation does not read the centre's own note.
    await _note(moderator, appeal, "Только для центра")
    assert await _texts(vera, appeal) == [TEXT]
    assert await _texts(moderator, appeal) == ["Только для центра", TEXT]
    await _note(moderator, appeal, "Всем", visibility="everyone_on_appeal")
    assert await _texts(vera, appeal) == ["Всем", TEXT]


async def test_next_organisation_reads_only_notes_for_everyone(scenario: AppealsScenario) -> None:
    appeal = await _appeal(scenario)
    boris = await register(scenario, "Борис")
    foreign = await register(scenario, "Чужая", organisation=scenario.other_organisation)
    path = f"/appeals/{appeal['id']}/notes"
    _is_problem(await foreign.get(path), 404)
    _is_problem(await foreign.post(path, {"text": TEXT}), 404)
    own = await _note(boris, appeal)
    await _note(boris, appeal, "Гражданин перезвонит", visibility="everyone_on_appeal")
    await _transfer(scenario, appeal)
    assert await _texts(foreign, appeal) == ["Гражданин перезвонит"]
    _is_problem(await boris.get(f"/appeals/{appeal['id']}/notes"), 404)
    path = f"/appeals/{appeal['id']}/notes/{own['id']}"
    _is_problem(await foreign.request("DELETE", path), 404)
    _is_problem(await foreign.request("PATCH", path, {"text": "Иначе"}, If_Match="*"), 404)


async def test_author_edits_and_deletes_their_own_note(scenario: AppealsScenario) -> None:
    appeal = await _appeal(scenario)
    boris, vera = await register(scenario, "Борис"), await register(scenario, "Вера")
    manager, moderator = await register(scenario, "Анна", "manager"), await register(scenario, "М", "moderator")
    note = await _note(boris, appeal)
    path = f"/appeals/{appeal['id']}/notes/{note['id']}"
    _is_problem(await boris.request("PATCH", path, {"text": "Приедут сегодня"}), 428)
    for colleague in (vera, manager, moderator):
        _is_problem(await colleague.request("PATCH", path, {"text": "Иначе"}, If_Match="*"), 403)
    edited = await boris.request("PATCH", path, {"text": "Приедут сегодня"}, If_Match='"1"')
    assert (edited.status_code, edited.headers["ETag"]) == (200, '"2"')
    assert (edited.json()["text"], edited.json()["edited_at"] is not None) == ("Приедут сегодня", True)
    _is_problem(await boris.request("PATCH", path, {"text": "Поздно"}, If_Match='"1"'), 412)
    _is_problem(await vera.request("DELETE", path), 403)
    assert (await boris.request("DELETE", path)).status_code == 204
    (shown,) = (await vera.get(f"/appeals/{appeal['id']}/notes")).json()["items"]
    assert (shown["text"], shown["author"]["name"], shown["deleted_at"] is not None) == (None, "Борис", True)
    _is_problem(await boris.request("DELETE", path), 404)
    _is_problem(await boris.request("PATCH", path, {"text": "Снова"}, If_Match="*"), 404)
    other = await _note(boris, appeal)
    assert (await moderator.request("DELETE", f"/appeals/{appeal['id']}/notes/{other['id']}")).status_code == 204


async def test_mentioned_people_become_watchers_and_are_in_the_event(scenario: AppealsScenario) -> None:
    appeal = await _appeal(scenario)
    boris, vera = await register(scenario, "Борис"), await register(scenario, "Вера")
    moderator = await register(scenario, "Модератор", "moderator")
    note = await _note(boris, appeal, mentions=[vera.ref, moderator.ref])
    assert [one["name"] for one in note["mentions"]] == ["Вера", "Модератор"]
    found = await scenario.appeal(appeal["id"])
    assert {one["name"] for one in found["watchers"]} == {"Вера", "Модератор"}
    (event,) = await scenario.events("appeal.note_added")
    data = json.loads(event["data"])
    assert (data["note_id"], data["mentions"]) == (note["id"], [vera.ref, moderator.ref])
    assert event["organisation_id"] == scenario.organisation
    assert TEXT not in event["data"]
    # The note changes neither the appeal's version nor its timeline.
    assert (found["version"], found["timeline"]) == (appeal["version"], appeal["timeline"])
    await _note(moderator, appeal, "Только для центра", mentions=[moderator.ref])
    events = await scenario.events("appeal.note_added")
    assert [one["organisation_id"] for one in events] == [scenario.organisation, None]


async def test_colleague_gets_no_event_of_a_note_on_an_appeal_that_they_may_not_see(
    scenario: AppealsScenario,
) -> None:
    appeal = await _appeal(scenario)
    parent = await insert_organisation(scenario.database, name="Управление")
    connection = await scenario.database.connect("registry")
    await connection.execute(
        "UPDATE organisations SET parent_id = $1 WHERE id = $2", parent, scenario.organisation
    )
    await connection.close()
    author, colleague = [await register(scenario, name, organisation=parent) for name in ("Борис", "Вера")]
    await change_access(scenario, author, "include_subordinates = true")
    token = scenario.appeals.token("executor", parent, subject=author.ref, include_subordinates=True)
    path = f"/appeals/{appeal['id']}/notes"
    for visibility in ("organisation", "everyone_on_appeal"):
        body = {"text": TEXT, "visibility": visibility}
        written = await author.request("POST", path, body, Authorization=f"Bearer {token}")
        assert written.status_code == 201, written.text
    _is_problem(await colleague.get(path), 404)
    events = await scenario.events("appeal.note_added")
    assert [event["organisation_id"] for event in events] == [None, scenario.organisation]


async def test_mention_of_somebody_who_may_not_read_the_note_is_refused(scenario: AppealsScenario) -> None:
    appeal = await _appeal(scenario)
    boris, gone = await register(scenario, "Борис"), await register(scenario, "Ушла")
    moderator = await register(scenario, "Модератор", "moderator")
    foreign = await register(scenario, "Чужой", organisation=scenario.other_organisation)
    await change_access(scenario, gone, "active = false")
    path = f"/appeals/{appeal['id']}/notes"
    for person in (foreign.ref, gone.ref, str(uuid4())):
        refused = await boris.post(path, {"text": TEXT, "mentions": [boris.ref, person]})
        _is_problem(refused, 422, "/mentions/1")
        assert person in refused.text
    # Staff may read the appeal but not the centre's own note.
    hidden = {"text": TEXT, "mentions": [boris.ref]}
    _is_problem(await moderator.post(path, hidden), 422, "/mentions/0")
    assert (await moderator.post(path, {**hidden, "visibility": "everyone_on_appeal"})).status_code == 201
    _is_problem(await boris.post(path, {"text": TEXT, "mentions": [boris.ref, boris.ref]}), 422, "/mentions/1")


async def test_invalid_notes_are_refused(scenario: AppealsScenario) -> None:
    appeal = await _appeal(scenario)
    boris, head = await register(scenario, "Борис"), await register(scenario, "Глава", "head")
    path = f"/appeals/{appeal['id']}/notes"
    for text in ("", "  \n", "я" * 10_001, "a\u0000b"):
        _is_problem(await boris.post(path, {"text": text}), 422, "/text")
    _is_problem(await boris.post(path, {"text": TEXT, "visibility": "public"}), 422, "/visibility")
    _is_problem(await head.post(path, {"text": TEXT}), 403)
    assert (await scenario.appeals.client.get(f"/api/v1{path}")).status_code == 401
    assert await _texts(head, appeal) == []


async def test_repeated_request_adds_one_note(scenario: AppealsScenario) -> None:
    appeal = await _appeal(scenario)
    boris = await register(scenario, "Борис")
    path, body = f"/appeals/{appeal['id']}/notes", {"text": TEXT}
    first = await boris.post(path, body, Idempotency_Key="once")
    again = await boris.post(path, body, Idempotency_Key="once")
    assert (first.json(), again.headers["Idempotent-Replay"]) == (again.json(), "true")
    assert await _texts(boris, appeal) == [TEXT]
    assert len(await scenario.events("appeal.note_added")) == 1


async def test_notes_are_paged_newest_first(scenario: AppealsScenario) -> None:
    appeal = await _appeal(scenario)
    boris = await register(scenario, "Борис")
    for number in range(5):
        await _note(boris, appeal, f"№ {number}")
    seen: list[str] = []
    path = f"/appeals/{appeal['id']}/notes?limit=2"
    cursor = ""
    while True:
        page = (await boris.get(path + cursor)).json()
        seen += [note["text"] for note in page["items"]]
        if not page["next_cursor"]:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert seen == [f"№ {number}" for number in (4, 3, 2, 1, 0)]
