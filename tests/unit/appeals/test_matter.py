"""Comparison of a message with the appeals of its author, by readings made by hand."""

from typing import Any

import pytest

from services.appeals.classification.rules.keyword_classifier import classify_by_keywords
from services.appeals.classification.types import ClassificationResult, MessageContext
from services.appeals.inbound import matter
from services.appeals.inbound.matter import choose, compare, most_related, takes_topic
from services.appeals.inbound.matter_readings import LoadedReading, alone, whole_text
from services.appeals.inbound.message_reading import AppealReading, MessageReading, NamedLocation


def result(*groups: tuple[str, float], topic: str | None = None, **values: Any) -> ClassificationResult:
    """Return a classification with these topic groups, best first."""
    best = groups[0] if groups else (None, None)
    return ClassificationResult(
        needs_answer=values.pop("needs_answer", "yes"),
        type=values.pop("type", "complaint"),
        urgency="normal",
        topic=topic or best[0],
        needs_answer_confidence=0.9,
        why="тест",
        topic_confidence=values.pop("topic_confidence", best[1]),
        topic_candidates=groups,
        **values,
    )


def read(text: str, *groups: tuple[str, float], **values: Any) -> MessageReading:
    """Return the reading of a text with these topic groups."""
    return MessageReading.of(text, result(*groups, **values))


def appeal(*messages: MessageReading, **values: Any) -> AppealReading:
    """Return the reading of an appeal with these messages."""
    return AppealReading(messages, **values)


ROAD = appeal(
    read("Когда отремонтируют дорогу на ул. Бабушкина?", ("roads", 0.97), street="Бабушкина", topic="roads.06")
)
VAGUE = appeal(read("Обещанного три года ждут", ("sport", 0.2), ("domestic-policy", 0.2)))


def test_another_certain_topic_is_another_matter() -> None:
    found = compare(read("Почему в поликлинике нет педиатра?", ("health", 0.98)), ROAD)
    assert found.relation == "other"
    assert "Здравоохранение" in found.reason
    assert "Дороги" in found.reason


def test_same_topic_and_words_are_the_same_matter() -> None:
    found = compare(read("Так когда дорогу сделают, ответьте", ("roads", 0.9)), ROAD)
    assert found.relation == "same"
    assert "дорогу" in found.reason


def test_message_with_only_an_address_is_an_addition_whatever_its_topic() -> None:
    opened = appeal(read("Дома холодно, батареи ледяные", ("utilities", 0.99)))
    found = compare(read("ул. Ключевская, 60а", ("roads", 0.9), street="Ключевская", house="60а"), opened)
    assert (found.relation, found.reason) == ("addition", "Называет место")


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("А на Модогоева вообще тротуара нет", {"street": "Модогоева"}),
        ("В Соколе тоже дорогу разбили", {"settlement": "Сокол", "location_source": "text"}),
    ],
)
def test_same_problem_in_another_location_is_another_matter(text: str, places: dict[str, Any]) -> None:
    found = compare(read(text, ("roads", 0.98), **places), ROAD)
    assert found.relation == "other"
    assert "друго" in found.reason.lower()


def test_message_with_only_another_address_is_left_to_a_person() -> None:
    address = read("ул. Гагарина, 7", ("roads", 0.4), street="Гагарина", house="7")
    found = compare(address, ROAD)
    assert (found.relation, found.reason) == (
        "unsure",
        "Возможно, другой вопрос: другое место: Гагарина, а в обращении Бабушкина",
    )
    also = read("На Гагарина 7 тоже", ("roads", 0.4), street="Гагарина", house="7")
    assert compare(also, ROAD).relation == "other"


def test_another_settlement_of_the_municipality_is_another_matter() -> None:
    opened = read("Дорога в Кабанске вся в ямах", ("roads", 0.9), settlement="Кабанск", location_source="text")
    known = AppealReading((opened,), location=NamedLocation(municipality="Кабанский район"))
    new = read("Дорога в Каменске в ямах", ("roads", 0.9), settlement="Каменск", location_source="text")
    assert compare(new, known).relation == "other"


def test_corrected_location_is_an_addition() -> None:
    found = compare(read("Ошибся, не Бабушкина, а Гагарина", ("roads", 0.6), street="Гагарина"), ROAD)
    assert found.relation == "addition"


def test_message_about_a_different_house_of_the_street_is_left_to_a_person() -> None:
    opened = appeal(read("Нет воды, Жердева 42", ("utilities", 0.9), street="Жердева", house="42"))
    found = compare(read("Жильцы Жердева 44 жалуются", ("economy", 0.3), street="Жердева", house="44"), opened)
    assert found.relation == "unsure"
    assert found.reason.startswith("Возможно, другой вопрос: другое место: 44")


def test_explicit_words_make_another_matter_of_the_same_topic() -> None:
    found = compare(read("По другому поводу: светофор не горит", ("roads", 0.9)), ROAD)
    assert found.relation == "other"


def test_message_with_clarifying_words_is_an_addition_despite_another_topic() -> None:
    opened = appeal(read("Не вывезли, баки полные", ("waste", 0.98)))
    found = compare(read("Забыла написать, это у школы номер восемь", ("education", 0.8)), opened)
    assert found.relation == "addition"


def test_clear_message_completes_a_vague_appeal_and_a_further_question_does_not() -> None:
    question = read("Когда отремонтируют дорогу по Жердева?", ("roads", 0.99), street="Жердева")
    assert VAGUE.is_vague
    assert compare(question, VAGUE).relation == "addition"
    more = read("И ещё один вопрос: когда отремонтируют дорогу?", ("roads", 0.99))
    assert compare(more, VAGUE).relation == "other"


def test_buryat_text_is_not_vague() -> None:
    unread = read("Эмнэлгэдэ дохтор үгы", ("energy", 0.28), language="bxr")
    assert not unread.is_vague
    assert compare(read("Почему автобус ходит редко?", ("transport", 0.95)), appeal(unread)).relation == "other"


def test_another_utility_failure_is_another_matter() -> None:
    opened = appeal(read("Нет воды", ("utilities", 0.6), utility_failure="water"))
    found = compare(read("Света тоже нет", ("utilities", 0.45), utility_failure="power"), opened)
    assert found.relation == "other"


def test_complaint_about_a_missing_answer_stays_with_the_appeal() -> None:
    found = compare(read("Почему вы никому не отвечаете?", ("centre", 0.95)), ROAD)
    assert found.relation == "same"


def test_question_in_other_words_without_a_topic_is_left_to_a_person() -> None:
    new = read("Сколько стоит въезд на побережье, кто установил сборы?", ("tourism", 0.2), type="question")
    assert compare(new, ROAD).relation == "unsure"


def test_topic_set_by_a_person_counts_as_certain() -> None:
    corrected = appeal(read("Сделайте что-нибудь", ("roads", 0.3)), group="waste")
    assert compare(read("Почему нет педиатра?", ("health", 0.98)), corrected).relation == "other"
    assert compare(read("Баки переполнены", ("waste", 0.98)), corrected).relation == "same"


def test_message_joins_the_appeal_of_its_matter() -> None:
    doctor = appeal(read("Почему в поликлинике нет педиатра?", ("health", 0.98)))
    assert choose(read("Так когда дорогу сделают?", ("roads", 0.9)), [doctor, ROAD]).index == 1
    assert choose(read("Педиатра всё нет", ("health", 0.9)), [doctor, ROAD]).index == 0
    other = choose(read("Когда вывезут мусор с пляжа?", ("waste", 0.99)), [doctor, ROAD])
    assert (other.index, other.comparison.relation) == (None, "other")


def test_message_without_a_matter_joins_the_appeal_it_replies_to_or_else_the_first() -> None:
    doctor = read("Почему в поликлинике нет педиатра?", ("health", 0.98))
    empty = read("Ну так что?", ("centre", 0.4))
    assert choose(empty, [ROAD, appeal(doctor)]).index == 0
    assert choose(empty, [ROAD, appeal(doctor, replied_to=True)]).index == 1


def test_reply_about_another_matter_does_not_join_the_appeal_it_replies_to() -> None:
    replied = AppealReading(ROAD.messages, replied_to=True)
    doctor = appeal(read("Почему в поликлинике нет педиатра?", ("health", 0.98)))
    new = read("По другому поводу: педиатра в поликлинике так и нет", ("health", 0.99))
    assert choose(new, [replied]).index is None
    assert choose(read("Педиатра в поликлинике так и нет", ("health", 0.99)), [replied, doctor]).index == 1


def test_staff_reply_belongs_to_the_appeal_whose_words_it_repeats() -> None:
    texts = ["Когда отремонтируют дорогу на Бабушкина?", "Почему в поликлинике нет педиатра?"]
    assert most_related("Педиатр выйдет на работу в понедельник", texts) == 1
    assert most_related("Дорогу включили в план ремонта", texts) == 0
    assert most_related("Здравствуйте! Ответим позже", texts) is None


def test_topic_of_the_keyword_rules_is_compared_too() -> None:
    """Keyword rules give no probabilities."""
    opened, new = (
        MessageReading.of(text, classify_by_keywords(text, MessageContext()))
        for text in ("Когда отремонтируют дорогу?", "Почему в поликлинике нет врача?")
    )
    assert compare(new, appeal(opened)).relation == "other"


def whole(*groups: tuple[str, float], topic: str | None = None, confidence: float) -> ClassificationResult:
    """Return the classification of an appeal's messages, taken together as one text."""
    return result(*groups, topic=topic, topic_confidence=confidence)


@pytest.mark.parametrize(
    ("known", "confidence", "together", "relation", "taken"),
    [
        (None, 0.0, whole(("roads", 0.3), confidence=0.3), "same", True),
        ("sport", 0.2, whole(("roads", 0.97), confidence=0.97), "addition", True),
        ("sport", 0.2, whole(("roads", 0.15), confidence=0.15), "addition", False),
        ("roads", 0.9, whole(("roads", 0.9), topic="roads.06", confidence=0.8), "addition", True),
        ("roads.06", 0.9, whole(("roads", 0.9), topic="roads.20", confidence=0.6), "addition", False),
        ("utilities", 0.9, whole(("roads", 0.9), confidence=0.9), "addition", True),
        ("utilities", 0.9, whole(("roads", 0.9), confidence=0.9), "same", False),
        ("utilities", 0.9, whole(("health", 0.9), confidence=0.9), "addition", False),
    ],
)
def test_appeal_takes_the_topic_of_all_its_messages_if_it_is_more_certain(
    known: str | None, confidence: float, together: ClassificationResult, relation: matter.Relation, taken: bool
) -> None:
    reading = read("Яма на дороге", ("roads", 0.9))
    assert takes_topic(known, confidence, reading, together, relation) is taken


def test_context_of_a_message_alone_omits_the_post() -> None:
    context = MessageContext(post_text="Ремонт дороги", page_owner="Школа", replies_to_page=True)
    assert alone(context) == MessageContext(page_owner="Школа")


def test_whole_text_has_the_first_and_the_last_messages() -> None:
    texts = [f"сообщение {number}" for number in range(10)]
    assert whole_text(texts).splitlines() == [texts[0], *texts[-5:]]
    assert whole_text(["а" * 9_000, "ул. Ленина"]).endswith("\nул. Ленина")


def test_appeal_keeps_the_first_and_the_last_five_messages_for_comparison() -> None:
    """The limit keeps hundreds of messages in one batch from all being compared with each other."""
    loaded = LoadedReading(appeal(read("сообщение 0")), ("сообщение 0",))
    for number in range(1, 10):
        text = f"сообщение {number}"
        loaded = loaded.with_message(read(text), text)
    assert loaded.texts == ("сообщение 0", *(f"сообщение {number}" for number in range(5, 10)))
    assert [message.text.cleaned for message in loaded.reading.messages] == list(loaded.texts)


def test_location_taken_from_the_page_is_not_a_named_location() -> None:
    at_page = read("Когда починят?", ("roads", 0.9), municipality="Кабанский район", location_source="page")
    assert not at_page.location
    named = read(
        "Когда починят в Каменске?", ("roads", 0.9), municipality="Кабанский район", settlement="Каменск",
        location_source="page",
    )  # fmt: skip
    assert named.location.settlement == "Каменск"
    assert named.location.municipality is None
