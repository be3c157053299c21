"""Lists and search mask personal data in citizens' texts; the details of an appeal do not."""

from tests.integration.appeals.conftest import World
from tests.integration.appeals.test_review_decisions import execute

SAID = "Когда почините дорогу на Жердева 20? Мария Ивановна, 8-924-123-45-67"
MASKED = "Когда почините дорогу на Жердева 20? [имя], [телефон]"


async def test_list_masks_personal_data_and_details_do_not(world: World) -> None:
    await world.writes(SAID)
    [listed] = await world.all()
    assert listed["text"] == MASKED
    appeal = await world.appeal(listed["id"])
    assert (appeal["text"], appeal["messages"][0]["text"]) == (SAID, SAID)


async def test_search_shows_an_extract_around_the_match(world: World) -> None:
    far = "Нет света и воды. " * 40
    await world.writes(f"{far}{SAID} {far}")
    [found] = await world.all(q="жердева 20")
    assert "дорогу на Жердева 20? [имя], [телефон]" in found["text"]
    assert len(found["text"]) <= 300
    [by_phone] = await world.all(q="8-924-123-45-67")
    assert "8-924" not in by_phone["text"]
    assert len((await world.all())[0]["text"]) > 1_000


async def test_text_without_personal_data_is_unchanged(world: World) -> None:
    said = "Почему\r\n  не чистят <br> снег? 👍 " + "о" * 400
    await world.writes(said)
    assert (await world.all())[0]["text"] == said


async def test_route_texts_are_masked_in_a_list(world: World) -> None:
    who = "Мария Ивановна, 8-924-123-45-67"
    await world.writes(SAID)
    why = f"Вопрос: «почините»; {who}"
    await execute(world, "UPDATE appeals SET route = jsonb_set(route, '{why}', to_jsonb($1::text))", why)
    appeal = await world.only()
    own = appeal["route"]["reason"]
    assert own == "Владелец страницы: Школа № 1"
    moved = await world.post(
        f"/appeals/{appeal['id']}/moves", {"to": "triage", "reason": f"Дорога частная: {who}"}, role="executor",
        org=world.organisation, If_Match="*",
    )  # fmt: skip
    assert moved.status_code == 200, moved.text
    assert (await world.all())[0]["route"] is None
    (listed,) = await world.all(expand="route")
    masked = ("Вопрос: «почините»; [имя], [телефон]", "Дорога частная: [имя], [телефон]", own)
    assert tuple(listed["route"][name] for name in ("why", "return_reason", "reason")) == masked
    seen = (await world.appeal(appeal["id"]))["route"]
    assert (seen["why"], seen["return_reason"]) == (why, f"Дорога частная: {who}")
    other = str(world.other_organisation)
    await world.move(await world.only(), "assigned", organisation_id=other, reason=f"Их, см. {who}")
    (listed,) = await world.all(expand="route")
    assert listed["route"]["reason"] == "Их, см. [имя], [телефон]"
    assert (await world.only())["route"]["reason"] == f"Их, см. {who}"
