"""Classification of messages: the project's own examples, unseen sets, and arbitrary text."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench import labelled_messages
from bench.classification import BARS
from services.appeals.classification.locations.location_finder import DetectedLocation
from services.appeals.classification.model import message_classifier
from services.appeals.classification.model.message_classifier import MessageClassifier
from services.appeals.classification.training.examples import examples_digest, load_examples
from services.appeals.classification.training.train_builtin import word_list_digest
from services.appeals.classification.types import MessageContext

MODEL = MessageClassifier.load()
DOCTOR = MessageContext(page_owner="ГБУЗ «Кабанская ЦРБ»", page_municipality="Кабанский район")


def test_model_card_matches_examples_and_word_lists() -> None:
    """After a change of either run `python -m services.appeals.classification.training.train_builtin`."""
    assert MODEL.card["examples"]["digest"] == examples_digest()
    assert MODEL.card["examples"]["rows"] == len(load_examples())
    assert MODEL.card["examples"]["words"] == word_list_digest()


def test_result_has_topic_location_urgency_and_reasons() -> None:
    text = "во всём селе со вчерашнего дня нет света, дети замерзают!! с. Оймур ул. Ленина 5"
    (found,) = MODEL.classify([(text, MessageContext())])
    assert (found.needs_answer, found.type, found.urgency) == ("yes", "complaint", "high")
    assert found.topic_candidates[0][0] == "energy"
    assert found.topic is not None
    assert found.topic.startswith("energy")
    assert (found.municipality, found.settlement, found.street, found.house) == (
        "Кабанский район", "Оймур", "Ленина", "5",
    )  # fmt: skip
    assert (found.location_source, found.utility_failure, found.language) == ("text", "power", "ru")
    for word in ("Энергетика", "света", "оймур"):
        assert word in found.why


def test_short_comment_takes_topic_from_post_and_location_from_page() -> None:
    above = MessageContext(
        post_text="Завтра врач-кардиолог ведёт приём в поликлинике", page_owner=DOCTOR.page_owner,
        page_municipality=DOCTOR.page_municipality,
    )  # fmt: skip
    (found,) = MODEL.classify([("во сколько?", above)])
    assert (found.needs_answer, found.topic_candidates[0][0]) == ("yes", "health")
    assert (found.municipality, found.location_source) == ("Кабанский район", "page")


def test_message_disputing_the_answer_of_the_page_is_left_to_a_person() -> None:
    answer = "Фонари на вашей улице исправны, бригада выезжала вчера."
    disputed, thanked = MODEL.classify(
        [
            (text, MessageContext(post_text=answer, replies_to_page=True))
            for text in ("Врёте, никто не приезжал, темно", "Спасибо большое!")
        ]
    )
    assert disputed.needs_answer != "no"
    assert disputed.topic_candidates[0][0] in {"roads", "energy"}
    assert thanked.needs_answer == "no"
    short = "мы вашу бригаду в глаза не видели"
    to_page, to_post = MODEL.classify(
        [(short, MessageContext(post_text=answer, replies_to_page=to_page)) for to_page in (True, False)]
    )
    assert (to_page.needs_answer, to_post.needs_answer) == ("unsure", "no")


def test_angry_message_is_not_abuse_and_buryat_is_left_to_a_person() -> None:
    angry, buryat = MODEL.classify(
        [
            ("Совсем совесть потеряли! Третью неделю мусор не вывозите, крысы бегают!", MessageContext()),
            ("Манай тосхондо эмшэн үгы, хаана ошохобиб?", DOCTOR),
        ]
    )
    assert (angry.needs_answer, angry.type, angry.topic_candidates[0][0]) == ("yes", "complaint", "waste")
    assert (buryat.needs_answer, buryat.language, buryat.topic) == ("unsure", "bxr", None)


def test_problem_in_another_region_is_left_to_a_person() -> None:
    (found,) = MODEL.classify([("В Чите на Ленина вторую неделю не вывозят мусор, помогите", MessageContext())])
    assert (found.needs_answer, found.other_region) == ("unsure", "Чита")
    assert "Другой регион" in found.why


def test_message_that_needs_no_answer_has_no_topic_location_or_urgency() -> None:
    (found,) = MODEL.classify([("Спасибо докторам Кабанской больницы за спасённую маму!", DOCTOR)])
    assert (found.needs_answer, found.type, found.urgency) == ("no", "thanks", "normal")
    assert (found.topic, found.topic_candidates, found.municipality, found.utility_failure) == (
        None,
        (),
        None,
        None,
    )


def test_reasons_quote_texts_and_posts_without_control_characters() -> None:
    broken = "нет света на улице\x00Бабушкина, дом\x0020\x07"
    found = MODEL.classify([(broken, MessageContext()), ("и у нас тоже нет", MessageContext(post_text=broken))])
    assert found[0].street == "Бабушкина"
    assert all(character.isprintable() for one in found for character in one.why)


def test_failed_location_detection_keeps_the_rest_of_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(text: str, **_: object) -> DetectedLocation:
        raise IndexError(text)

    monkeypatch.setattr(message_classifier, "find_location", fails)
    (found,) = MODEL.classify([("третий день нет света во всём селе, дети мёрзнут", DOCTOR)])
    assert (found.needs_answer, found.topic_candidates[0][0], found.municipality) == ("yes", "energy", None)
    assert "место: не прочитано" in found.why
    assert found.location_error == "IndexError"


def test_urgent_result_names_words_even_without_a_signal() -> None:
    (found,) = MODEL.classify([("В школе плюс восемь, детей держат в куртках", MessageContext())])
    assert found.urgency == "high"
    assert "срочно: «" in found.why or "опасность: «" in found.why or "нет тепла: «" in found.why


@pytest.mark.parametrize(
    ("text", "urgency"),
    [
        ("Горит дом на Ленина в Кяхте", "high"),
        ("В бараке пожар!", "high"),
        ("пахнет газом в подъезде", "high"),
        ("Висит провод на детской площадке", "high"),
        ("Завтра перекроют дорогу?", "normal"),
        ("Автобус не пришёл, люди мёрзнут на остановке", "normal"),
        ("Когда снимут противопожарный режим?", "normal"),
    ],
)
def test_obvious_danger_is_urgent_and_similar_wording_is_not(text: str, urgency: str) -> None:
    (found,) = MODEL.classify([(text, MessageContext())])
    assert (found.needs_answer, found.urgency) == ("yes", urgency)


def test_cold_at_a_bus_stop_is_not_a_heating_failure() -> None:
    outside, inside = MODEL.classify(
        [
            (text, MessageContext())
            for text in ("Автобус не пришёл, люди мёрзнут на остановке", "Мёрзнем всем домом")
        ]
    )
    assert (outside.utility_failure, inside.utility_failure) == (None, "heat")


@pytest.mark.parametrize("text", ["", " ", "\x00", "🙏", "+", "[id1|", "\ud83d", "1" * 4000, "а" * 20_000, "ул."])
def test_any_text_is_classified_without_error(text: str) -> None:
    assert len(MODEL.classify([(text, MessageContext())])) == 1


@settings(max_examples=30)
@given(st.lists(st.text(max_size=60), min_size=1, max_size=5))
def test_result_of_a_text_does_not_depend_on_its_batch(texts: list[str]) -> None:
    together = MODEL.classify([(text, MessageContext()) for text in texts])
    alone = [MODEL.classify([(text, MessageContext())])[0] for text in texts]
    for one, other in zip(together, alone, strict=True):
        assert (one.needs_answer, one.type, one.urgency, one.municipality) == (
            other.needs_answer, other.type, other.urgency, other.municipality,
        )  # fmt: skip
        assert one.needs_answer_confidence == pytest.approx(other.needs_answer_confidence, abs=1e-3)


def test_scores_on_unseen_sets_stay_above_minimum() -> None:
    """The minimums hold for all sets together: a single set is too small (about fifty urgent messages)."""
    sets = {path.stem: labelled_messages.read(path) for path in labelled_messages.MESSAGE_SETS_DIR.glob("*.csv")}
    everything = [row for rows in sets.values() for row in rows]
    together = labelled_messages.scores(everything, labelled_messages.classify_rows(everything))
    missed = {name: str(together[name]) for name, bar in BARS.items() if together[name].value < bar}
    assert missed == {}
    for name, rows in sets.items():
        alone = labelled_messages.scores(rows, labelled_messages.classify_rows(rows))
        below = {(name, bar): str(alone[bar]) for bar, value in BARS.items() if alone[bar].interval[1] < value}
        assert below == {}


def test_unseen_sets_share_no_text_with_the_examples() -> None:
    """Except for texts that many people write alike («спасибо», «+»)."""
    learnt = {example.text.strip().lower() for example in load_examples()}
    for path in labelled_messages.MESSAGE_SETS_DIR.glob("*.csv"):
        long_rows = (row for row in labelled_messages.read(path) if len(row["text"].split()) > 3)
        assert not [row["id"] for row in long_rows if row["text"].strip().lower() in learnt]
