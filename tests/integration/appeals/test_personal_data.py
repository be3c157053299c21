"""Lists and search show citizens' words with personal data masked; a case shows them as they were written."""

from tests.integration.appeals.conftest import World

SAID = "Когда почините дорогу на Жердева 20? Мария Ивановна, 8-924-123-45-67"
MASKED = "Когда почините дорогу на Жердева 20? [имя], [телефон]"


async def test_a_list_masks_and_a_case_does_not(world: World) -> None:
    await world.writes(SAID)
    [listed] = await world.all()
    assert listed["text"] == MASKED
    case = await world.case(listed["id"])
    assert (case["text"], case["messages"][0]["text"]) == (SAID, SAID)


async def test_a_search_shows_what_is_around_the_place(world: World) -> None:
    far = "Нет света и воды. " * 40
    await world.writes(f"{far}{SAID} {far}")
    [found] = await world.all(q="жердева 20")
    assert "дорогу на Жердева 20? [имя], [телефон]" in found["text"]
    assert len(found["text"]) <= 300
    [by_phone] = await world.all(q="8-924-123-45-67")
    assert "8-924" not in by_phone["text"]
    assert len((await world.all())[0]["text"]) > 1_000


async def test_exact_words_without_personal_data_stay_exact(world: World) -> None:
    said = "Почему\r\n  не чистят <br> снег? 👍 " + "о" * 400
    await world.writes(said)
    assert (await world.all())[0]["text"] == said
