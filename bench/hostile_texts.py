"""Speed of classifying hostile texts compared with ordinary texts: `python -m bench.hostile_texts`.

Ours: the slowest of the generated hostile texts, each classified once, with words that are in no cache. The floor:
an ordinary text of the same length, concatenated from the project's examples; the median of twenty. Unit: texts
per second; each text is classified as a message and as the post of another message.
"""

import os
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from random import Random

from bench.measure import Measurement, run_benchmark

ORDINARY_TEXTS = 20
_RUSSIAN = "абвгдежзийклмнопрстуфхцчшщъыьэюяё"
_UNITS = (
    "[id1:", "[club1|", "(", "«", "[", "\"", "'", "@", "#а", "-", "—", ".", "!", "?", "1", "8 ",
    "8-", "8----888", "12 34 ", "\n", " ", "\t", "\u200b", "\u00ad", "а\u0301", "\u0327\u0301",
    "\u0f73", "\ufdfa", "й\u0306", "а", "Я", "я ", "аa", "oо", "😀", "👨‍👩‍👧 ", "https://a.ru/(",
    "http://", "www.", "x.ru/((", "a@", "a.b@", "улица ", "ул. ", "улица Бабушкна ", "дом 1 ",
    "д. 1 кв. 2 ", "Кабанск ", "в Кабанске ", "до Кабанска ", "из Кяхты в Кабанск ",
    "в Кабанске хуже а у нас ", "в чите ", "в турке ", "на Ленина 5 ", "112 мкр ",
    "Верхняя Берёзовка ", "кабанском ", "+7 (301) 221-22-22 ", "8 912 345 67 89 ", "Иванов И. И. ",
    "Доржо Цыренов ", "паспорт 81 ", "карта 1234 ", "мороз", "минус ", "пиш", "адрес", "пожар ",
    "горит дом ", "когда? ", "нет света ", "спасибо ", "кредит ", "үдэ һайн ", "баярлаа ",
    "ghbdtn ", "privet ", "shch", "недо", "супер", "не", "по-", "а-", "1а", "1/", "р-н ", "б-р ",
)  # fmt: skip


def _words(rng: Random, letters: str, size: int) -> str:
    return " ".join("".join(rng.choices(letters, k=size)) for _ in range(9_000 // (size + 1) + 1))


def _one_letter_apart(rng: Random) -> str:
    words = []
    for _ in range(900):
        word = list(rng.choice(("кабанского", "заиграевский", "улан-удэнская", "недонедопере")))
        word[rng.randrange(len(word))] = rng.choice(_RUSSIAN)
        words.append("".join(word) + rng.choice(_RUSSIAN))
    return " ".join(words)


def _prefixed(rng: Random) -> str:
    prefixes = ("недо", "не", "до", "супер", "анти", "пере", "само", "псевдо", "за", "ре", "де")
    return " ".join("".join(rng.choices(prefixes, k=8)) + _words(rng, _RUSSIAN, 4)[:4] for _ in range(300))


def _mixture(rng: Random) -> str:
    parts = [rng.choice(_UNITS) * rng.randint(1, 40) for _ in range(rng.randint(2, 6))]
    return "".join(parts)


_GENERATORS: tuple[Callable[[Random], str], ...] = (
    lambda rng: _words(rng, _RUSSIAN, rng.randint(1, 12)),
    lambda rng: _words(rng, _RUSSIAN, rng.randint(13, 70)),
    lambda rng: _words(rng, "аоэүөһбгдлнрх", rng.randint(3, 9)),
    lambda rng: _words(rng, "abcdefghijklmnoprstuvyz'", rng.randint(2, 12)),
    lambda rng: _words(rng, "аaеeоoрpсc", rng.randint(2, 12)),
    lambda rng: _words(rng, "0123456789", rng.randint(1, 12)),
    lambda rng: _words(rng, "0123456789-() +@[]«»\".,/|:", rng.randint(5, 40)),
    _one_letter_apart,
    _prefixed,
    _mixture,
    _mixture,
    _mixture,
)  # fmt: skip


def hostile_texts(count: int, length: int, seed: int = 1) -> list[tuple[str, str]]:
    """Return `count` named hostile texts of `length` characters: repeated units, then generated texts.

    The name of a text is its beginning.
    """
    rng = Random(seed)
    order = list(_UNITS)
    rng.shuffle(order)
    shapes = order[: count // 3]
    shapes += [_GENERATORS[n % len(_GENERATORS)](rng) for n in range(count - len(shapes))]
    return [(ascii(shape[:16]), (shape * (length // len(shape) + 1))[:length]) for shape in shapes]


def ordinary_text(length: int, seed: int) -> str:
    """Return examples in random order, cut to the length."""
    from services.appeals.classification.training.examples import load_examples  # noqa: PLC0415

    rng = Random(seed)
    texts = [example.text for example in load_examples()]
    text = ""
    while len(text) < length:
        text += rng.choice(texts) + "\n"
    return text[:length]


async def run(count: int, *, length: int) -> tuple[float, float]:
    """Return texts per second for ordinary texts and for the slowest hostile text."""
    from services.appeals.classification.model.message_classifier import MessageClassifier  # noqa: PLC0415
    from services.appeals.classification.training.examples import load_examples  # noqa: PLC0415
    from services.appeals.classification.types import MessageContext  # noqa: PLC0415
    from shared import gc_tuning  # noqa: PLC0415

    model = MessageClassifier.load()
    model.classify([(example.text, example.context) for example in load_examples()])
    # As the classifier process does; otherwise one text waits until the garbage collector has searched the model.
    gc_tuning.freeze_startup_objects()

    def seconds(text: str) -> float:
        started = time.process_time()
        model.classify([(text, MessageContext(kind="wall_post")), ("а у нас?", MessageContext(post_text=text))])
        return time.process_time() - started

    ordinary = statistics.median(seconds(ordinary_text(length, seed)) for seed in range(ORDINARY_TEXTS))
    slowest, name = max((seconds(text), name) for name, text in hostile_texts(count, length, seed=length))
    print(f"  {length:,} characters: ordinary {ordinary * 1000:.0f} ms, slowest {slowest * 1000:.0f} ms: {name}")
    return 1 / ordinary, 1 / slowest


MEASUREMENTS = (
    Measurement("hostile texts of 16,000 characters", 0.1, "texts/s", 500, 60, partial(run, length=16_000)),
    Measurement(
        "hostile texts of 64,000 characters", 0.1, "texts/s", 500, 60, partial(run, length=64_000), "long_"
    ),
)

if __name__ == "__main__":
    # Use one core: numpy's linear algebra library would use all of them.
    if os.environ.get("OMP_NUM_THREADS") != "1":
        os.execve(sys.executable, [sys.executable, "-m", "bench.hostile_texts", *sys.argv[1:]],
                  {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"})  # fmt: skip
    # Only one run: in a second run the words would already be cached.
    run_benchmark("hostile_texts", MEASUREMENTS, runs=1)
