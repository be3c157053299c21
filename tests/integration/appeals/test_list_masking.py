"""Lists and search mask personal data in citizens' texts; the details of an appeal do not."""

from tests.integration.appeals.conftest import AppealsScenario
from tests.integration.appeals.test_review_decisions import execute

SAID = "Когда почините дорогу на Жердева 20? Мария Ивановна, 8-924-123-45-67"
MASKED = "Когда почините дорогу на Жердева 20? [имя], [телефон]"


async def test_list_masks_personal_data_and_details_do_not(scenario: AppealsScenario) -> None:
    await scenario.citizen_writes(SAID)
    [listed] = await scenario.all()
    assert listed["text"] == MASKED
    appeal = await scenario.appeal(listed["id"])
    assert (appeal["text"], appeal["messages"][0]["text"]) == (SAID, SAID)


async def test_search_result_shows_a_masked_extract_around_the_match(scenario: AppealsScenario) -> None:
    far = "Нет света и воды. " * 40
    await scenario.citizen_writes(f"{far}{SAID} {far}")
    await scenario.index_texts()
    [found] = await scenario.all(q="жердева 20")
    assert "дорогу на Жердева 20? [имя], [телефон]" in found["text"]
    assert len(found["text"]) <= 300
    [by_phone] = await scenario.all(q="8-924-123-45-67")
    assert "8-924" not in by_phone["text"]
    assert len((await scenario.all())[0]["text"]) > 1_000


async def test_text_without_personal_data_is_unchanged(scenario: AppealsScenario) -> None:
    said = "Почему\r\n  не чистят <br> снег? 👍 " + "о" * 400
    await scenario.citizen_writes(said)
    assert (await scenario.all())[0]["text"] == said


async def test_reasons_of_a_route_are_masked_in_a_list(scenario: AppealsScenario) -> None:
    who = "Мария Ивановна, 8-924-123-45-67"
    await scenario.citizen_writes(SAID)
    why = f"Вопрос: «почините»; {who}"
    await execute(scenario, "UPDATE appeals SET route = jsonb_set(route, '{why}', to_jsonb($1::text))", why)
    appeal = await scenario.single_appeal()
    own = appeal["route"]["reason"]
    assert own == "Владелец страницы: Школа № 1"
    moved = await scenario.post(
        f"/appeals/{appeal['id']}/moves", {"to": "triage", "reason": f"Дорога частная: {who}"}, role="executor",
        org=scenario.organisation, If_Match="*",
    )  # fmt: skip
    assert moved.status_code == 200, moved.text
    assert (await scenario.all())[0]["route"] is None
    (listed,) = await scenario.all(expand="route")
    masked = ("Вопрос: «почините»; [имя], [телефон]", "Дорога частная: [имя], [телефон]", own)
    assert tuple(listed["route"][name] for name in ("why", "return_reason", "reason")) == masked
    seen = (await scenario.appeal(appeal["id"]))["route"]
    assert (seen["why"], seen["return_reason"]) == (why, f"Дорога частная: {who}")
    other = str(scenario.other_organisation)
    await scenario.move(await scenario.single_appeal(), "assigned", organisation_id=other, reason=f"Их, см. {who}")
    (listed,) = await scenario.all(expand="route")
    assert listed["route"]["reason"] == "Их, см. [имя], [телефон]"
    assert (await scenario.single_appeal())["route"]["reason"] == f"Их, см. {who}"
