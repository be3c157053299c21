"""The keyword rules, by the project's own examples in the style of real pages."""

import importlib
from collections import Counter

import pytest

from bench import labelled_messages
from services.appeals.classification.rules import lexicon
from services.appeals.classification.rules.keyword_classifier import classify_by_keywords
from services.appeals.classification.text.tokenizer import StemIndex, clean_text, tokenize
from services.appeals.classification.types import MessageContext
from shared.text.normalize import fold_text

_reference = importlib.import_module("migrations.versions.0004_appeals_reference")

POST = MessageContext(post_text="Завтра начинаем ремонт дороги на улице Бабушкина")
TO_CITIZEN = MessageContext(replies_to_citizen=True)
MESSAGE = MessageContext(kind="message")
PHOTO = MessageContext(has_attachments=True)
STICKER = MessageContext(has_attachments=True, only_stickers=True)
C = MessageContext()


@pytest.mark.parametrize(
    ("text", "context", "needs_answer", "kind", "urgency", "topic"),
    [
        ("Когда починят дорогу на ул. Трактовой?", C, "yes", "question", "normal", "roads"),
        ("когда уже автобус пустят до дачного", C, "yes", "question", "normal", "transport"),
        ("А когда?", POST, "yes", "question", "normal", "roads"),
        ("Подскажите режим работы МФЦ", C, "yes", "question", "normal", "authorities"),
        ("во сколько начало концерта", C, "yes", "question", "normal", "culture"),
        ("Фонари на Ключевской не горят вторую неделю", C, "yes", "complaint", "normal", "roads"),
        ("Мусор не вывозят с нового года", C, "yes", "complaint", "normal", "waste"),
        ("В садике дети сидят в куртках, холодно", C, "yes", "complaint", "high", "education"),
        (
            "В поселке нет света с утра, весь район сидит без электричества",
            C,
            "yes",
            "complaint",
            "high",
            "energy",
        ),
        ("Во дворе открыт люк, дети бегают рядом", C, "yes", "complaint", "high", "amenities"),
        ("Стая собак напала на женщину у школы", C, "yes", "complaint", "high", "safety"),
        ("В подъезде сильно пахнет газом!!!", C, "yes", "complaint", "high", None),
        ("Спасибо, конечно, но маршрутка так и не ходит", C, "yes", "complaint", "normal", "transport"),
        ("Ну молодцы, отчитались! А врача в селе нет второй год", C, "yes", "complaint", "normal", "health"),
        ("Прошу отремонтировать качели на площадке", C, "yes", "request", "normal", "amenities"),
        ("Уберите снег с тротуара у школы 5", C, "yes", "request", "normal", None),
        ("Предлагаю поставить лавочки в парке", C, "yes", "proposal", "normal", "amenities"),
        ("Было бы хорошо сделать освещение на лыжной базе", C, "yes", "proposal", "normal", None),
        ("Идиоты, третий день трубу прорвало и никто не едет", C, "yes", "complaint", "normal", "utilities"),
        ("Не могу дозвониться до регистратуры, талонов нет", C, "yes", "complaint", "normal", "health"),
        ("Поздравляю с праздником! Когда откроют каток?", C, "yes", "question", "normal", "sport"),
        ("Удаляете комментарии вместо ответа", C, "yes", "complaint", "normal", "centre"),
        ("У нас тоже воды нет, соседний дом", TO_CITIZEN, "yes", "complaint", "high", "utilities"),
        ("Дорогу каждый год обещают, а ямы на месте", C, "yes", "complaint", "normal", "roads"),
        ("Пандус на почте сделайте, мама на коляске", C, "yes", "request", "normal", "social"),
        ("[club101|Администрация], где выплата за февраль", C, "yes", "question", "normal", None),
        ("Отвратительное обслуживание в больнице", C, "yes", "complaint", "normal", "health"),
        ("Спасибо большое!", C, "no", "thanks", "normal", None),
        ("Поздравляем с юбилеем любимую школу, здоровья и счастья!", C, "no", "thanks", "normal", None),
        ("Спасибо за ремонт, теперь нет ям", C, "no", "thanks", "normal", None),
        ("Светлая память. Соболезнования родным", C, "no", "thanks", "normal", None),
        ("Наша школа самая лучшая", C, "no", "thanks", "normal", None),
        ("👍👍👍", C, "no", "chatter", "normal", None),
        ("+", C, "no", "chatter", "normal", None),
        ("...", C, "no", "chatter", "normal", None),
        ("", STICKER, "no", "chatter", "normal", None),
        ("Здравствуйте", MESSAGE, "no", "chatter", "normal", None),
        ("Кто со мной?", C, "no", "chatter", "normal", None),
        ("А вы откуда?", TO_CITIZEN, "no", "chatter", "normal", None),
        ("Согласна с вами полностью", TO_CITIZEN, "no", "chatter", "normal", None),
        ("Вопрос снят, все заработало", C, "no", "chatter", "normal", None),
        ("Ждём с нетерпением", C, "no", "chatter", "normal", None),
        ("Идиоты", C, "no", "abuse", "normal", None),
        ("Заработок от 5000 в день, пишите в лс", C, "no", "spam", "normal", None),
        ("Продам дрова недорого, доставка по району", C, "no", "spam", "normal", None),
        ("Казино с бонусом, переходи по https://example.invalid/x", C, "no", "spam", "normal", None),
        ("", PHOTO, "unsure", "chatter", "normal", None),
        ("???", C, "unsure", "question", "normal", None),
        ("Би мүнөөдэр һургуулида ошооб", C, "unsure", "chatter", "normal", None),
        ("Яагаад автобус ябанагүй бэ?", C, "unsure", "chatter", "normal", "transport"),
        ("ул. Ленина 5", C, "unsure", "chatter", "normal", None),
        ("Отправила документы вчера вечером", MESSAGE, "unsure", "chatter", "normal", None),
        ("Автобус номер 25", C, "unsure", "chatter", "normal", "transport"),
    ],
)
def test_examples_are_classified_as_expected(
    *, text: str, context: MessageContext, needs_answer: str, kind: str, urgency: str, topic: str | None
) -> None:
    judged = classify_by_keywords(text, context)
    assert (judged.needs_answer, judged.type, judged.urgency) == (needs_answer, kind, urgency), judged
    if topic is not None:
        assert judged.topic == topic, judged
    assert 0 < judged.needs_answer_confidence <= 1
    assert judged.why


def test_deciding_words_are_quoted() -> None:
    judged = classify_by_keywords("В селе нет воды, фонари не горят", MessageContext())
    assert "«нет воды»" in judged.why
    assert "«не горят»" in judged.why


@pytest.mark.parametrize(
    "text", ["\x00", "\ud800", "ѣ" * 100_000, "?!" * 50_000, "\u202e<br>&amp;\n\r\t", "[id1|]"]
)
def test_any_text_is_classified_without_error(text: str) -> None:
    assert classify_by_keywords(text, MessageContext()).needs_answer in {"yes", "no", "unsure"}


def test_links_mentions_and_case_do_not_change_the_words() -> None:
    assert tokenize(clean_text("[id5|Анна Ёлкина], СВЕТ отключили! #свет https://vk.com/wall1 @club1")) == [
        "свет",
        "отключили",
    ]


def test_stems_match_beginnings_whole_words_and_phrases() -> None:
    index = StemIndex({"a": ["дорог", "яма$", "нет свет"]})
    assert [hit.words for hit in index.find(tokenize("дорогами ямайка яма нет света нет тут света"))] == [
        "дорогами",
        "яма",
        "нет света",
    ]
    with pytest.raises(ValueError, match="too short"):
        StemIndex({"a": ["я"]})


def test_matches_equal_those_of_comparing_every_stem() -> None:
    stems = {
        "negation": lexicon.NEGATION, "problem": lexicon.PROBLEM, "outage": lexicon.OUTAGE, "spam": lexicon.SPAM,
        "whole": ["не работает$", "нет воды$", "не$ горит свет$", "воды$ нет$"],
    }  # fmt: skip
    index, found = StemIndex(stems), 0
    parts = [(label, fold_text(stem).split()) for label, given in stems.items() for stem in given]
    texts = [
        row["text"]
        for path in sorted(labelled_messages.MESSAGE_SETS_DIR.glob("*.csv"))
        for row in labelled_messages.read(path)
    ]
    for text in [*texts, "не", "нет воды", "нет водыы", "не горит света", "не горит свет"]:
        words = tokenize(clean_text(text))
        expected = Counter(
            (label, " ".join(words[start : start + len(stem)]), start, len(stem))
            for start in range(len(words))
            for label, stem in parts
            if len(words) - start >= len(stem) and all(map(_matches, stem, words[start:]))
        )
        matches = index.find(words)
        assert Counter((hit.label, hit.words, hit.start, hit.weight) for hit in matches) == expected
        assert [hit.start for hit in matches] == sorted(hit.start for hit in matches)
        found += sum(hit.weight > 1 for hit in matches)
    assert found > 100


def _matches(part: str, word: str) -> bool:
    return word == part[:-1] if part[-1] == "$" else word.startswith(part)


def test_every_topic_group_has_at_least_eight_stems() -> None:
    assert len(_reference.TOPICS) == 26
    for code, _, stems in _reference.TOPICS:
        assert len(stems.split(",")) >= 8, code
