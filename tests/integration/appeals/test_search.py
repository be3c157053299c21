"""Search of appeals: word forms in all texts that the caller may read, in the order of the list."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import literal, select

from services.appeals.search import documents, indexing
from shared.tables.appeals_search import RANGE_SIZE
from tests.integration.appeals.conftest import WEDNESDAY, AppealsScenario
from tests.integration.appeals.test_review_decisions import execute

ROAD = "Когда починят дорогу на улице Жердева? Ямы после дождей."
LAMPS = "Почему на улице Бабушкина не горят жёлтые фонари?"


async def _found(scenario: AppealsScenario, q: str, **query: Any) -> list[str]:
    """Return the texts of the appeals that a search finds, in the order of the results."""
    return [appeal["text"] for appeal in await scenario.all(q=q, **query)]


async def as_superuser(scenario: AppealsScenario, statement: str, *values: Any) -> None:
    """Execute an SQL statement that the rights of appeals do not allow."""
    connection = await scenario.database.connect()
    try:
        await connection.execute(statement, *values)
    finally:
        await connection.close()


@pytest.fixture
async def written(scenario: AppealsScenario) -> AppealsScenario:
    """Two indexed appeals: one about a road, one about lamps."""
    await scenario.citizen_writes(ROAD, author="a", thread="vk:-101_1")
    await scenario.citizen_writes(LAMPS, author="b", thread="vk:-101_2")
    await scenario.index_texts()
    return scenario


@pytest.mark.parametrize(
    ("q", "found"),
    [
        ("дороги", [ROAD]),
        ("ДОРОГА ямами", [ROAD]),
        ("желтых фонарей", [LAMPS]),
        ("ЖЁЛТЫЙ", [LAMPS]),
        ("улица", [LAMPS, ROAD]),
        ('"улице Бабушкина"', [LAMPS]),
        ('"Бабушкина улице"', []),
        ("улица -дорога", [LAMPS]),
        ("дорога or фонарь", [LAMPS, ROAD]),
        ("Школа № 1", [LAMPS, ROAD]),
        ("снег", []),
        ("улица снег", []),
        ("фонаря -ям", [LAMPS]),
        ("яма or фонарь -жёлтый", [ROAD]),
        # Forms of one word with different stems.
        ("дождь", [ROAD]),
        # Queries with typos in names of locations.
        ("Бабушкна", [LAMPS]),
        ("улица Жердёва", [ROAD]),
        ("жердива фонари", []),
        ('"улице Бабушкена"', [LAMPS]),
        ("улица -Бабушкна", [ROAD]),
    ],
)
async def test_search_finds_words_in_any_form(written: AppealsScenario, q: str, found: list[str]) -> None:
    assert await _found(written, q) == found


@pytest.mark.parametrize("q", ["и на", "!", "%", '"', "-", "-дорога", "()&|:*<->\\'"])
async def test_search_without_a_word_is_refused_and_named(written: AppealsScenario, q: str) -> None:
    for path in ("/appeals", "/appeals/counts"):
        answer = await written.get(path, q=q)
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "query/q")
    body = {"action": "close", "reason": "Причина", "filter": {"q": q}}
    refused = await written.post("/appeals/bulk", body, Idempotency_Key="key")
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/filter/q"), refused.text


async def test_appeal_is_found_by_its_number(written: AppealsScenario) -> None:
    numbers = {appeal["text"]: appeal["number"] for appeal in await written.all()}
    assert ROAD in await _found(written, str(numbers[ROAD]))


async def test_search_supports_oldest_first_order_and_filters(written: AppealsScenario) -> None:
    assert await _found(written, "улица", sort="opened_at") == [ROAD, LAMPS]
    assert await _found(written, "улица", network="ok") == []
    assert (await written.get("/appeals/counts", q="улицы")).json()["total"] == 2


@pytest.mark.parametrize("sort", ["-opened_at", "opened_at"])
async def test_search_pages_contain_each_appeal_once_over_many_number_ranges(
    scenario: AppealsScenario, sort: str
) -> None:
    for number in range(7):
        await scenario.citizen_writes(ROAD, author=f"a{number}", thread=f"vk:-101_{number}")
        next_number = RANGE_SIZE * (number + 1) ** 2
        await as_superuser(scenario, f"ALTER TABLE appeals ALTER COLUMN number RESTART WITH {next_number}")
    await scenario.index_texts()
    numbers: list[int] = []
    query: dict[str, Any] = {"q": "дороги", "limit": 2, "sort": sort}
    while True:
        page = (await scenario.get("/appeals", **query)).json()
        numbers += [appeal["number"] for appeal in page["items"]]
        if page.get("next_cursor") is None:
            break
        query["cursor"] = page["next_cursor"]
    everything = [appeal["number"] for appeal in await scenario.all()]
    assert sorted(numbers) == sorted(everything)
    assert numbers == sorted(numbers, reverse=sort == "-opened_at")


async def test_replies_and_later_messages_are_found_with_highlights(written: AppealsScenario) -> None:
    (road,) = await written.all(q="дорога")
    reply = {"kind": "final", "text": "Дорогу отремонтируют в июне, подрядчик определён."}
    assert (await written.post(f"/appeals/{road['id']}/replies", reply)).status_code in {201, 202}
    await written.process_events()
    assert await written.all(q="подрядчику") == []
    await written.index_texts()
    (found,) = await written.all(q="подрядчику дорога")
    marked = {
        part["kind"]: [one["text"] for one in part["fragments"] if one["found"]] for part in found["highlights"]
    }
    assert marked == {"message": ["дорогу"], "reply": ["Дорогу", "подрядчик"]}
    assert "".join(one["text"] for one in found["highlights"][0]["fragments"]) == ROAD


async def test_edited_message_is_found_by_its_new_text(written: AppealsScenario) -> None:
    message_id = (await written.appeal((await written.all(q="дорога"))[0]["id"]))["messages"][0]["id"]
    await written.ingest.execute(
        "UPDATE messages SET text = 'Где автобус?', version = 2 WHERE id = $1", message_id
    )
    await written.emit("message.edited", message_id, written.organisation)
    await written.process_events()
    await written.index_texts()
    assert (await _found(written, "дороги"), await _found(written, "автобусы")) == ([], ["Где автобус?"])


async def test_highlight_masks_personal_data_and_marks_the_found_words(scenario: AppealsScenario) -> None:
    said = "Звонила <b>Мария Ивановна</b>, 8-924-123-45-67: ёлки у дома мешают, ёлку спилите 🎄 " + "и ждём. " * 90
    await scenario.citizen_writes(said)
    await scenario.index_texts()
    (found,) = await scenario.all(q="елка")
    ((extract),) = [part["fragments"] for part in found["highlights"]]
    assert [one["text"] for one in extract if one["found"]] == ["ёлки", "ёлку"]
    whole = "".join(one["text"] for one in extract)
    assert "924" not in whole
    assert "Ивановна" not in whole
    assert len(whole) <= 300


async def test_note_is_found_by_those_who_may_read_it(written: AppealsScenario) -> None:
    (road,) = await written.all(q="дорога")
    note = {"text": "Смета согласована с казначейством", "visibility": "organisation"}
    path = f"/appeals/{road['id']}/notes"
    own: dict[str, Any] = {"role": "executor", "org": written.organisation}
    made = await written.post(path, note, **own)
    assert made.status_code == 201, made.text
    centre = {"text": "Проверить прокуратурой", "visibility": "organisation"}
    assert (await written.post(path, centre)).status_code == 201
    await written.process_events()
    await written.index_texts()
    seen = {}
    readers: dict[str, dict[str, Any]] = {"own": own, "centre": {}}
    for name, who in readers.items():
        answers = [(await written.get("/appeals", q=q, **who)).json()["items"] for q in ("смета", "прокуратура")]
        seen[name] = [[part["kind"] for one in items for part in one["highlights"]] for items in answers]
    assert seen == {"own": [["note"], []], "centre": [["note"], ["note"]]}


async def test_deleted_note_is_not_found(written: AppealsScenario) -> None:
    (road,) = await written.all(q="дорога")
    made = await written.post(f"/appeals/{road['id']}/notes", {"text": "Смета", "visibility": "organisation"})
    await written.process_events()
    await written.index_texts()
    assert len(await written.all(q="смета")) == 1
    client = written.appeals.client
    path = f"/api/v1/appeals/{road['id']}/notes/{made.json()['id']}"
    assert (await client.delete(path, headers=written.appeals.headers("moderator"))).status_code == 204
    await written.index_texts()
    assert await written.all(q="смета") == []


async def test_transferred_appeal_is_found_by_its_new_organisation_only(written: AppealsScenario) -> None:
    (road,) = await written.all(q="дорога")
    other = str(written.other_organisation)
    moved = await written.move(road, "assigned", organisation_id=other, reason="Дорога в ведении комитета")
    assert moved.status_code == 200, moved.text

    async def found(org: Any) -> int:
        return len((await written.get("/appeals", role="executor", org=org, q="дороги")).json()["items"])

    # The former organisation does not find the appeal even before the search document is updated.
    assert await found(written.organisation) == 0
    await written.process_events()
    await written.index_texts()
    assert (await found(written.organisation), await found(written.other_organisation)) == (0, 1)


async def test_appeals_without_documents_are_indexed_later(written: AppealsScenario) -> None:
    await execute(written, "DELETE FROM appeal_search_documents")
    assert await written.all(q="дороги") == []
    database = written.appeals.service.database
    assert await indexing.index_missing(database) == 2
    assert await indexing.index_missing(database) == 0
    assert await _found(written, "дороги") == [ROAD]


async def test_renamed_organisation_is_found_by_its_new_name(written: AppealsScenario) -> None:
    renamed = "UPDATE organisations SET name = 'Гимназия' WHERE id = $1"
    await as_superuser(written, renamed, written.organisation)
    await written.emit("organisation.changed", written.organisation, written.organisation, changed=["name"])
    await written.process_events()
    await written.index_texts()
    assert len(await written.all(q="гимназии")) == 2


async def test_messages_are_found_in_the_remaining_appeal_until_the_merge_is_undone(
    scenario: AppealsScenario,
) -> None:
    for number, said in enumerate((ROAD, LAMPS)):
        moment = WEDNESDAY + timedelta(hours=number)
        await scenario.citizen_writes(said, thread=f"vk:-101_{number}", at=moment)
    ids = {appeal["text"]: appeal["id"] for appeal in await scenario.all()}

    async def found_ids() -> list[str]:
        await scenario.process_events()
        await scenario.index_texts()
        return [appeal["id"] for appeal in await scenario.all(q="фонарь")]

    merged = await scenario.post(
        f"/appeals/{ids[LAMPS]}/merge",
        {"into": ids[ROAD], "reason": "Один вопрос"},
        If_Match="*",
    )
    assert merged.status_code == 200, merged.text
    assert await found_ids() == [ids[ROAD]]
    undone = await scenario.post(f"/appeals/{ids[LAMPS]}/unmerge", {"reason": "Разные вопросы"}, If_Match="*")
    assert undone.status_code == 200, undone.text
    assert await found_ids() == [ids[LAMPS]]


async def test_manually_opened_appeal_is_found_with_highlights(scenario: AppealsScenario) -> None:
    opened = await scenario.post("/appeals", {"text": "Позвонили: не вывозят мусор."}, Idempotency_Key="key")
    assert opened.status_code == 201, opened.text
    await scenario.process_events()
    await scenario.index_texts()
    (found,) = await scenario.all(q="мусора")
    ((extract),) = [part["fragments"] for part in found["highlights"]]
    assert [one["text"] for one in extract if one["found"]] == ["мусор"]


async def test_characters_that_mislead_the_text_parser_are_replaced_by_spaces(scenario: AppealsScenario) -> None:
    said = "ёлка_ёж <b>Ёлкина</b> ./путь ~/дом http://пример.рф/а_б"
    async with scenario.appeals.service.database.read() as session:
        parsed = await session.scalar(select(documents.folded(literal(said))))
    assert parsed == "елка еж  b Елкина  b  . путь   дом http:  пример.рф а б"
    assert len(parsed) == len(said)


async def test_only_the_beginning_of_a_very_long_conversation_is_indexed(
    written: AppealsScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    (road,) = await written.all(q="дорога")
    monkeypatch.setattr(documents, "MAX_DOCUMENT", 60)
    await as_superuser(written, "UPDATE messages SET text = repeat('слово ', 1000) || 'конец'")
    async with written.appeals.service.database.write() as session:
        await documents.index_appeals(session, [road["id"]])
    assert await written.all(q="конец") == []
    assert len(await written.all(q=f"слово {road['number']}")) == 1
