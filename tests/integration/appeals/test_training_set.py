"""The export of a training set: only labels set by people, with personal data masked."""

import csv
import io
from datetime import timedelta
from typing import Any

import httpx

from tests.integration.appeals.conftest import WEDNESDAY, AppealsScenario
from tests.integration.appeals.test_appeal_matching import QUESTION
from tests.integration.appeals.test_review_decisions import CITY, classified_message, decide, topic

PATH = "/reviews/training.csv"


def rows(answer: httpx.Response) -> list[dict[str, str]]:
    """Return the rows of the exported CSV table."""
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/csv")
    return list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))


async def test_training_row_contains_only_what_people_decided(scenario: AppealsScenario) -> None:
    message = await classified_message(
        scenario, "=Яма на дороге, звоните 8 (301) 233-44-55,\nмне: +7 914 123-45-67 когда?"
    )
    await decide(
        scenario,
        message,
        topic_id=await topic(scenario, "roads.02"),
        municipality=CITY,
        urgency="high",
        type="complaint",
    )
    only_need = await classified_message(scenario, author="b", at=WEDNESDAY + timedelta(hours=1))
    await decide(scenario, only_need)
    thanks = await scenario.citizen_writes("Спасибо", author="c")
    await decide(scenario, thanks, needs_answer=False, type="thanks")
    await classified_message(scenario, author="never reviewed")
    whole = rows(await scenario.get(PATH))
    appeal = next(appeal for appeal in await scenario.all() if appeal["urgency"] == "high")
    text = whole[0].pop("Текст инцидента")
    assert "914" not in text
    assert text.startswith("'=Яма на дороге")
    assert whole[0] == {
        "Номер инцидента": str(appeal["number"]),
        "Дата создания": "2026-03-04T10:00:00+08:00",
        "Группа тем": "Дороги",
        "Тема": appeal["topic"]["name"],
        "Муниципалитет": appeal["location"]["municipality"]["name"],
        # The decision names only the municipality, and the predicted street stays.
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
    assert [row["Тема"] for row in rows(await scenario.get(PATH, labelled="true"))] == [appeal["topic"]["name"]]


async def test_training_set_excludes_messages_deleted_by_their_author_or_edited_since(
    scenario: AppealsScenario,
) -> None:
    async def changed(author: str, change: str) -> None:
        message = await classified_message(scenario, f"{QUESTION} {author}", author=author)
        await decide(scenario, message, confirm=True)
        await scenario.ingest.execute(f"UPDATE messages SET {change} WHERE id = $1", message)

    await changed("stays", "version = 1")
    await changed("removed by the page", "deleted_at = now(), deleted_by = 'community'")
    await changed("edited before", "edited_at = received_at")
    await changed("deleted", "deleted_at = now(), deleted_by = 'author'")
    await changed("edited since", "edited_at = now() + interval '1 hour'")
    kept = [row["Текст инцидента"].removeprefix(f"{QUESTION} ") for row in rows(await scenario.get(PATH))]
    assert kept == ["stays", "removed by the page", "edited before"]


async def test_training_set_of_several_chunks_is_complete_and_ordered(
    scenario: AppealsScenario, monkeypatch: Any
) -> None:
    monkeypatch.setattr("services.appeals.moderation.training_set.CHUNK_ROWS", 2)
    for number in range(5):
        await decide(
            scenario, await classified_message(scenario, f"{QUESTION} {number}", author=f"a{number}"), confirm=True
        )
    found = rows(await scenario.get(PATH, labelled="true"))
    assert [row["Текст инцидента"][-1] for row in found] == ["0", "1", "2", "3", "4"]


async def test_training_set_export_without_the_right_to_manage_rules_is_refused(scenario: AppealsScenario) -> None:
    for role, org in (("analyst", None), ("head", None), ("executor", scenario.organisation)):
        assert (await scenario.get(PATH, role=role, org=org)).status_code == 403
    assert rows(await scenario.get(PATH)) == []
