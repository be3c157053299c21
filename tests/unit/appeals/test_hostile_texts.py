"""No text stalls classification or the checks of a reply: the work grows linearly with the length of the text.

Work is counted in steps of a regex matcher and in executed lines of Python, so that the speed of the machine does
not matter.
"""

import gc
import importlib
import pkgutil
import re
import sys
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import product
from random import Random
from types import FrameType
from typing import Any

import pytest

import services.appeals.classification
import services.appeals.replies.checks
import shared.masking
from bench.hostile_texts import hostile_texts
from services.appeals.classification.locations.location_finder import find_location
from services.appeals.classification.model import rule_features as wanted
from services.appeals.classification.model.message_classifier import MessageClassifier
from services.appeals.classification.model.tfidf_features import char_ngrams, lemma_ngrams
from services.appeals.classification.rules import keyword_classifier
from services.appeals.classification.rules.urgency_signals import detect_urgency_signals, post_urgency_signals
from services.appeals.classification.text.language_detection import detect_language
from services.appeals.classification.text.lemmatizer import lemmatize, words_kept_as_written
from services.appeals.classification.text.text_limits import MAX_TEXT_LENGTH, MAX_WORD_LENGTH
from services.appeals.classification.text.tokenizer import clean_text, tokenize
from services.appeals.classification.text.transliteration import to_cyrillic
from services.appeals.classification.training.examples import load_examples
from services.appeals.classification.types import MessageContext
from services.appeals.inbound.matter import compare
from services.appeals.inbound.message_reading import AppealReading, MessageReading
from services.appeals.replies.checks.check_text import check_reply
from services.appeals.replies.checks.hints import ReplyContext
from shared.masking import mask
from shared.text.morphology import analyzer
from shared.text.normalize import fold_text
from tests.support.regex_step_counter import Steps, samples

SHAPES = (
    "[id1:", "(", "«", "а", "А", " ", "8", "8 ", "-", "8-", '"', "@", "http://a", "www.а/(", "\u200b", "а\u0301",
    "аa", "😀", "\n", "\n ", "улица ", "дом 1 ", "до Кабанска ", "в чите ", "в турке ", "Кабанск ",
    "из Кяхты в Кабанск ", "в Кабанске а у нас ", "на Ленина 5 ", "ул Бабушкна ", "8 (912) 345-67-89 ",
    "үдэ һайн ", "Иванов И. И. ", "паспорт ", "мороз", "пиш", "пожар ", "когда? ", "privet ", "ghbdtn ", "x.ru/",
    "\ufdfa", "\u0f73", ". ", "а. ",
)  # fmt: skip
# The maximum growth of work for a text twice as long. It exceeds 2 because bounded look-ahead does not reach its
# bound in short texts.
MOST = 3.0


def repeated(shape: str, length: int) -> str:
    """Return a text of this length that repeats the shape."""
    return (shape * (length // len(shape) + 1))[:length]


def _patterns() -> Iterator[tuple[str, re.Pattern[str]]]:
    """Yield every pattern of the modules that process texts, except those applied only to words."""
    words = {"_PATRONYMIC", "_SURNAME", "_BURYAT_NAME", "_GENITIVE", "_ADDRESS"}
    names = ["shared.logs"]
    for package in (services.appeals.classification, services.appeals.replies.checks, shared.masking):
        names += [found.name for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")]
    for name in names:
        for key, value in vars(importlib.import_module(name)).items():
            if isinstance(value, re.Pattern) and key not in words:
                yield f"{name}.{key}", value


PATTERNS = dict(_patterns())


@pytest.fixture
def deep() -> Iterator[None]:
    """Raise the recursion limit for the matcher."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(20_000)
    yield
    sys.setrecursionlimit(before)


def _opened(pattern: re.Pattern[str], chance: Random) -> list[tuple[str, str]]:
    """Return a match of the pattern with each of several characters that may be repeated after it."""
    *_, whole = samples(pattern, chance)
    return [(whole, run) for run in ("\n", " ", "а", "8", "-")]


def _growth(
    pattern: re.Pattern[str], shapes: Iterable[str], length: int, opened: Iterable[tuple[str, str]] = ()
) -> tuple[float, str]:
    """Return the greatest growth of steps from a text to one twice as long, and its shape."""
    counted = Steps(pattern)
    worst = 0.0, ""
    for opening, shape in dict.fromkeys([*(("", shape) for shape in shapes), *opened]):
        steps = []
        for letters in (length, 2 * length):
            text = opening + repeated(shape, letters)
            assert counted.spans(text) == [found.span() for found in pattern.finditer(text)], shape
            steps.append(counted.count)
        # Up to 8 steps per letter count as linear: a quantifier of at most 200 may match most of the shorter text.
        worst = max(worst, (steps[1] / max(steps[0], 8 * length), opening + shape))
    return worst


@pytest.mark.usefixtures("deep")
@pytest.mark.parametrize("name", PATTERNS)
def test_patterns_run_in_linear_time(name: str) -> None:
    pattern = PATTERNS[name]
    chance = Random(name)
    shapes = [*SHAPES[::3], "мороз", *list(samples(pattern, chance))[::3]]
    growth, shape = _growth(pattern, shapes, 150, _opened(pattern, chance))
    assert growth <= MOST, shape


@pytest.mark.long
@pytest.mark.usefixtures("deep")
@pytest.mark.parametrize("name", PATTERNS)
def test_patterns_run_in_linear_time_after_any_prefix(name: str) -> None:
    pattern = PATTERNS[name]
    chance = Random(f"{name}0")
    shapes = [*SHAPES[::2], *samples(pattern, chance), *("".join(chance.sample(SHAPES, 2)) for _ in range(8))]
    # Long enough for a quantifier of at most 200 to match less than half of the shorter text.
    growth, shape = _growth(pattern, shapes, 500, _opened(pattern, chance))
    assert growth <= MOST, shape


@pytest.mark.usefixtures("deep")
def test_pattern_check_detects_quadratic_time() -> None:
    """The patterns resemble those that once stalled the classification of a wall post."""
    mention = re.compile(r"\[(?:id|club|public)\d+(?::[^|\]]*)?\|[^\]]*\]", re.IGNORECASE)
    assert _growth(mention, list(samples(mention, Random(1))), 150)[0] > MOST
    assert _growth(re.compile(r"мороз\w*\s?\d"), ["мороз"], 150)[0] > MOST


def test_address_pattern_takes_a_bounded_number_of_steps_on_short_texts() -> None:
    address = Steps(wanted._ADDRESS)
    chance = Random(3)
    worst = 0
    for _ in range(300):
        unit = "".join(chance.choice("1 и-,/ад.+") for _ in range(chance.randint(1, 6)))
        address.spans(repeated(unit, wanted._SHORT - 1) + "!")
        worst = max(worst, address.count)
    assert worst < 30_000


def lines_run(work: Callable[[], object]) -> int:
    """Return how many lines of Python the work executes."""
    count = 0

    def trace(_frame: FrameType, event: str, _argument: object) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    gc.disable()  # finalizers of objects from earlier tests would be counted too
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
        gc.enable()
    return count


def _place(text: str) -> object:
    return find_location(text, page_owner="Администрация Кабанского района", page_municipality=None)


def _place_under(text: str) -> object:
    return find_location("а у нас?", page_owner=None, page_municipality=None, post=text)


def _matter(text: str) -> object:
    reading = MessageReading.of(text, keyword_classifier.classify_by_keywords(text, MessageContext()))
    return compare(reading, AppealReading((reading, reading)))


FINDERS: dict[str, Callable[[str], object]] = {
    "place": _place,
    "place of a post": _place_under,
    "language": detect_language,
    "signs": detect_urgency_signals,
    "signs of a post": post_urgency_signals,
    "rule": lambda text: keyword_classifier.classify_by_keywords(text, MessageContext()),
    "rule under a post": lambda text: keyword_classifier.classify_by_keywords(
        "где?", MessageContext(post_text=text)
    ),
    "lemmas": lemma_ngrams,
    "pieces": char_ngrams,
    "script": to_cyrillic,
    "masking": mask,
    "checks of a reply": lambda text: check_reply(text, "interim", ReplyContext(question=text)),
    "matter": _matter,
    "classification": lambda text: MessageClassifier.load().classify([(text, MessageContext())]),
}
# The maximum of Python lines per letter; quadratic work on 8,000 letters takes many times more.
MOST_LINES = {"classification": 400}


@pytest.mark.parametrize("finder", FINDERS)
def test_finders_run_in_linear_time(finder: str) -> None:
    find = FINDERS[finder]
    for shape in SHAPES:
        # Fill the caches of words first: that is not measured.
        find(shape * (900 // len(shape)))
        half, whole = (lines_run(partial(find, shape * (letters // len(shape)))) for letters in (1_000, 2_000))
        assert whole <= MOST * max(half, 1_000), shape


@pytest.mark.long
@pytest.mark.parametrize("finder", FINDERS)
def test_finders_take_bounded_time_per_letter_for_any_text(finder: str) -> None:
    find = FINDERS[finder]
    for name, text in hostile_texts(24, MAX_TEXT_LENGTH, seed=7):
        find(text + "!")
        assert lines_run(partial(find, text)) <= MOST_LINES.get(finder, 150) * MAX_TEXT_LENGTH, name


def test_words_made_of_prefixes_are_analysed_in_bounded_time() -> None:
    half, whole = (lines_run(partial(analyzer().parse, "недо" * times)) for times in (5, 10))
    assert whole <= MOST * half


def test_long_runs_of_combining_marks_are_cut_before_normalisation() -> None:
    folded = fold_text("е" + "\u0327\u0301" * 5_000 + "ж")
    assert len(folded) <= 35
    assert (folded[-1], unicodedata.combining(folded[-2]) > 0) == ("ж", True)
    # Marks of a decomposed letter count too; texts of real scripts are unchanged.
    assert len(fold_text("\u0f73" * 1_000)) <= 100
    vietnamese = "Tiếng Việt " * 30
    assert fold_text(unicodedata.normalize("NFD", vietnamese)) == fold_text(vietnamese)


def test_long_words_and_texts_are_truncated() -> None:
    assert tokenize("я" * 65_000) == ["я" * MAX_WORD_LENGTH]
    assert len(clean_text("\ufdfa" * MAX_TEXT_LENGTH)) == MAX_TEXT_LENGTH
    assert lemmatize("я" * MAX_WORD_LENGTH) == "я" * MAX_WORD_LENGTH


def test_number_of_guessed_unknown_words_is_limited() -> None:
    assert words_kept_as_written(["когда", "починят", "дорогу", "в", "шмарцево"]) == ()
    invented = ["шмар" + "".join(ends) for ends in product("абвгдежзи", "лмнопрстуф", "бвгджзклмн")]
    assert words_kept_as_written(["дорога", *invented, *invented]) == set(invented[2_000 // len(invented[0]) :])


def test_truncated_text_is_noted_and_left_to_a_person() -> None:
    thanks = "Спасибо за праздник! "
    asking = "Когда починят дорогу в Кабанске? "
    model = MessageClassifier.load()
    whole, cut, asks = model.classify(
        [
            (thanks, MessageContext()),
            (repeated(thanks, 64_000), MessageContext()),
            (repeated(asking, 64_000), MessageContext()),
        ]
    )
    assert whole.needs_answer == "no"
    assert (cut.needs_answer, asks.needs_answer) == ("unsure", "yes")
    assert "Прочитано начало: 8000 знаков из 64000" in cut.why
    assert "8000 знаков из 64000" in asks.why
    (blank,) = model.classify([(" " * 9_000 + asking, MessageContext())])
    by_rule = keyword_classifier.classify_by_keywords(repeated(thanks, 64_000), MessageContext())
    for found in (blank, by_rule):
        assert found.needs_answer == "unsure"
        assert "Прочитано начало" in found.why
    (predicted,) = model.predict([(repeated(asking, 64_000), MessageContext())])
    assert "8000 знаков из 64000" in predicted.why


def test_truncated_rest_does_not_change_the_result() -> None:
    text = repeated(" ".join(example.text for example in load_examples()[:60]), MAX_TEXT_LENGTH)
    model = MessageClassifier.load()
    alone, longer = model.predict([(text, MessageContext()), (text + "пожар в школе " * 900, MessageContext())])
    assert (alone.needs_answer, alone.groups, alone.location, alone.urgency_signals) == (
        longer.needs_answer,
        longer.groups,
        longer.location,
        longer.urgency_signals,
    )
