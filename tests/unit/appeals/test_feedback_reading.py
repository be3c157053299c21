"""Reading of feedback from phrases as citizens write them, including misleading ones."""

import pytest

from services.appeals.feedback.feedback_reading import LOWEST_CONTENT_MARK, read_feedback

THANKS = [
    "Спасибо!",
    "Спасибо большое!",
    "Спасибо вам огромное, всё сделали",
    "Большое спасибо за оперативную помощь!",
    "Спасибо за ответ",
    "Спасибо за быстрый и подробный ответ, всё понятно",
    "Благодарю за помощь 🙏",
    "Благодарим вас от всей души, жители дома!",
    "спс",
    "Спасибо, вопрос решён",
    "Вопрос решен, спасибо",
    "Всё починили, спасибо!",
    "Свет дали, спасибо большое ❤️",
    "Заработало! Спасибо",
    "Баярлаа!",
    "Ехэ баярлаа танда",
    "Ехэ баярлаа",
    "Молодцы, всё быстро сделали. Спасибо!",
    "Спасибо, убрали 👍",
    "Спасибо)))",
    "Вопрос решён",
    "Мусор вывезли, благодарю",
    "Решено",
    "Всё работает",
]
MARKS = [
    ("5", 5),
    ("5+", 5),
    ("4-", 4),
    ("5!", 5),
    ("5️⃣", 5),
    ("⭐⭐⭐⭐", 4),
    ("★★★★★", 5),
    ("★★★☆☆", 3),
    ("оценка 4", 4),
    ("Оценка: 4", 4),
    ("Ставлю 5", 5),
    ("5 баллов", 5),
    ("Пятёрка вам, спасибо!", 5),
    ("Моя оценка - пять", 5),
    ("5 из 5", 5),
    ("4/5", 4),
    ("5 с плюсом, молодцы", 5),
    ("троечка", 3),
    ("Оцениваю на 5, всё сделали быстро", 5),
]
# Texts with their mark and whether they contain nothing else.
NOT_SOLVED = [
    ("1", 1, True),
    ("2", 2, True),
    ("⭐", 1, True),
    ("Оценка 2", 2, True),
    ("Единица вам", 1, True),
    ("Двойка, ничего не сделали", 2, True),
    ("Не решено", None, True),
    ("не решено!!!", None, True),
    ("Спасибо, но не решено", None, True),
    ("Вопрос не решён", None, True),
    ("Проблема не решена", None, True),
    ("Ничего не сделали", None, True),
    ("Так и не сделали", None, True),
    ("Так и не сделали тротуар на Ленина", None, False),
    ("До сих пор не убрали", None, True),
    ("Никто не приехал, воды нет", None, False),
    ("Это отписка", None, True),
    ("Ответ не устраивает", None, True),
    ("Не согласна с ответом", None, True),
    ("Воз и ныне там", None, True),
    ("И где? До сих пор не отремонтировали!", None, False),
    ("Ничего не изменилось", None, True),
    ("Это отписка, ничего не сделано", None, True),
]
# Additions, questions, other matters, conditions and sarcasm are left to people or the classifier.
SOMETHING_ELSE = [
    "5 домов без света",
    "5 минут",
    "Дом 5",
    "5 подъезд",
    "10",
    "55",
    "8 из 10",
    "3 дня без воды",
    "спасибо вам большое (нет)",
    "Спасибо за отписку",
    "Спасибо, что не отписка",
    "Фонари убрали",
    "Двор закрыт",
    "Воду включили?",
    "Отписка",
    "Ну спасибо",
    "И на том спасибо",
    "Спасибо, конечно, но когда?",
    "Спасибо за «работу»",
    "Спасибо 🤦",
    "Спасибо! А когда починят дорогу на Ленина?",
    "Спасибо, что не забыли",
    "Спасибо, будем ждать",
    "Не решено?",
    "Если не решено, куда обращаться?",
    "Двор убрали, а дорогу не сделали",
    "Думал, не сделают, а сделали! Спасибо",
    "У соседей тоже не сделали",
    "Спасибо, а ещё лифт сломан",
    "Ок",
    "👍",
    "Когда включат воду?",
    "Оценка 5, но не решено",
    "Оценка имущества сделана неправильно",
    "Поставьте лавочку и 2 урны",
    "Кто ответит за это?",
    "три",
    "Спасибо за ничего",
    "Спасибо, посмотрим",
    "Пятёрочка на Ленина закрыта",
    "Еще один вопрос: не решено с фонарем",
]


@pytest.mark.parametrize("text", THANKS)
def test_thanks_and_confirmations_are_read_as_thanks(text: str) -> None:
    found = read_feedback(text)
    assert found is not None
    assert (found.kind, found.mark) == ("thanks", None)


@pytest.mark.parametrize(("text", "mark"), MARKS)
def test_marks_are_read_in_digits_words_and_stars(text: str, mark: int) -> None:
    found = read_feedback(text)
    assert found is not None
    assert (found.kind, found.mark) == ("mark", mark)


@pytest.mark.parametrize(("text", "mark", "is_alone"), NOT_SOLVED)
def test_denied_results_and_low_marks_are_dissatisfaction(text: str, mark: int | None, is_alone: bool) -> None:
    found = read_feedback(text)
    assert found is not None
    assert (found.kind, found.mark, found.is_alone) == ("not_solved", mark, is_alone)
    assert mark is None or mark < LOWEST_CONTENT_MARK


@pytest.mark.parametrize("text", SOMETHING_ELSE)
def test_uncertain_text_is_read_as_no_feedback(text: str) -> None:
    assert read_feedback(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "\x00",
        "⭐" * 6,
        "спасибо " * 5_000,
        "не " * 5_000,
        "⭐ " * 250 + "x",
        ")" * 500 + "x",
        "5" * 10_000,
    ],
)
def test_empty_and_very_long_texts_are_read_as_no_feedback(text: str) -> None:
    assert read_feedback(text) is None


def test_only_a_mark_without_words_is_bare() -> None:
    bare = [found.is_bare for text in ("4", "4+", "оценка 4") if (found := read_feedback(text)) is not None]
    assert bare == [True, True, False]


def test_reason_quotes_the_words_that_decided() -> None:
    found = read_feedback("Спасибо, но вопрос не решён")
    assert found is not None
    assert found.reason == "Вопрос не решён: «не решен»"
