"""Messages are classified again before a comparison only if the stored result depends on the post or a person."""

from collections.abc import Sequence

import pytest

from services.appeals.classification.classifier_process import ClassifiedText, ClassifierInput
from services.appeals.classification.rules.keyword_classifier import classify_by_keywords
from services.appeals.classification.types import MessageContext
from services.appeals.inbound import matter_readings
from services.appeals.inbound.matter_readings import ClassifiedMessage
from shared.ids import new_id
from shared.tables.ingest import Message

TEXT = "Когда отремонтируют дорогу?"
ON_A_PAGE = MessageContext(kind="message", page_owner="Школа", page_municipality="Кабанский район")
BELOW_A_POST = MessageContext(post_text="Врачи едут в район", page_owner="Школа")


class RecordingPool:
    """A classifier pool that classifies by keywords and records its inputs."""

    def __init__(self) -> None:
        self.asked: list[ClassifierInput] = []

    async def classify(self, items: Sequence[ClassifierInput]) -> list[ClassifiedText]:
        self.asked += items
        return [ClassifiedText(classify_by_keywords(*item), "rule:keywords") for item in items]


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> RecordingPool:
    made = RecordingPool()
    monkeypatch.setattr(matter_readings, "classifier_pool", lambda: made)
    return made


def item(context: MessageContext, classified_by: str = "rule:keywords") -> ClassifiedMessage:
    message = Message(id=new_id(), text=TEXT)
    return ClassifiedMessage(message, classify_by_keywords(TEXT, context), classified_by, context=context)


async def test_message_without_a_post_above_is_not_classified_again(pool: RecordingPool) -> None:
    alone, below = item(ON_A_PAGE), item(BELOW_A_POST)
    readings = await matter_readings.read_messages([alone, below])
    assert pool.asked == [(TEXT, MessageContext(page_owner="Школа"))]
    assert {readings[one.message.id].topic for one in (alone, below)} == {"roads"}


async def test_message_classified_by_a_person_is_classified_again(pool: RecordingPool) -> None:
    await matter_readings.read_messages([item(ON_A_PAGE, classified_by="person")])
    assert pool.asked == [(TEXT, ON_A_PAGE)]
