"""What people decided becomes the next training set: labels of people alone, personal data masked."""

import csv
import io
from datetime import timedelta
from typing import Any

import httpx

from tests.integration.appeals.conftest import WEDNESDAY, World
from tests.integration.appeals.test_appeal_matching import QUESTION
from tests.integration.appeals.test_review_decisions import CITY, decide, judged, topic

PATH = "/reviews/training.csv"


def rows(answer: httpx.Response) -> list[dict[str, str]]:
    """The table, read as any tool reads it."""
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/csv")
    return list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))


async def test_a_row_holds_what_people_said_and_no_more(world: World) -> None:
    message = await judged(world, "=Яма на дороге, звоните 8 (301) 233-44-55,\nмне: +7 914 123-45-67 когда?")
    await decide(
        world,
        message,
        topic_id=await topic(world, "roads.02"),
        municipality=CITY,
        urgency="high",
        type="complaint",
    )
    only_need = await judged(world, author="b", at=WEDNESDAY + timedelta(hours=1))
    await decide(world, only_need)
    thanks = await world.writes("Спасибо", author="c")
    await decide(world, thanks, needs_answer=False, type="thanks")
    await judged(world, author="never reviewed")
    whole = rows(await world.get(PATH))
    appeal = next(appeal for appeal in await world.all() if appeal["urgency"] == "high")
    text = whole[0].pop("Текст инцидента")
    assert "914" not in text
    assert text.startswith("'=Яма на дороге")
    assert whole[0] == {
        "Номер инцидента": str(appeal["number"]),
        "Дата создания": "2026-03-04T10:00:00+08:00",
        "Группа тем": "Дороги",
        "Тема": appeal["topic"]["name"],
        "Муниципалитет": appeal["place"]["municipality"]["name"],
        # What the machine read and nobody spoke of stays, where the place as a whole was confirmed.
        "Населённый пункт": "",
        "Улица": "улица Бабушкина",
        "Дом": "",
        "Исполнитель": "",
        "needs_answer": "yes",
        "type": "complaint",
        "urgency": "high",
        "language": "ru",
        "network": "vk",
    }
    assert [(row["needs_answer"], row["type"], row["Тема"]) for row in whole[1:]] == [
        ("yes", "", ""),
        ("no", "thanks", ""),
    ]
    assert [row["Тема"] for row in rows(await world.get(PATH, labelled="true"))] == [appeal["topic"]["name"]]


async def test_what_is_gone_or_was_changed_teaches_nothing(world: World) -> None:
    async def changed(author: str, change: str) -> None:
        message = await judged(world, f"{QUESTION} {author}", author=author)
        await decide(world, message, confirm=True)
        await world.ingest.execute(f"UPDATE messages SET {change} WHERE id = $1", message)

    await changed("stays", "version = 1")
    await changed("removed by the page", "deleted_at = now(), deleted_by = 'community'")
    await changed("edited before", "edited_at = received_at")
    await changed("deleted", "deleted_at = now(), deleted_by = 'author'")
    await changed("edited since", "edited_at = now() + interval '1 hour'")
    kept = [row["Текст инцидента"].removeprefix(f"{QUESTION} ") for row in rows(await world.get(PATH))]
    assert kept == ["stays", "removed by the page", "edited before"]


async def test_long_histories_come_whole_and_in_order(world: World, monkeypatch: Any) -> None:
    monkeypatch.setattr("services.appeals.moderation.training_set.CHUNK_ROWS", 2)
    for number in range(5):
        await decide(world, await judged(world, f"{QUESTION} {number}", author=f"a{number}"), confirm=True)
    found = rows(await world.get(PATH, labelled="true"))
    assert [row["Текст инцидента"][-1] for row in found] == ["0", "1", "2", "3", "4"]


async def test_the_file_is_for_who_keeps_the_rules(world: World) -> None:
    for role, org in (("analyst", None), ("head", None), ("executor", world.organisation)):
        assert (await world.get(PATH, role=role, org=org)).status_code == 403
    assert rows(await world.get(PATH)) == []
