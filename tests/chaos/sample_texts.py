"""Texts of citizens: invented ordinary and hostile texts, and real texts if the reference data exists."""

import csv
import random
from pathlib import Path

REFERENCE_APPEALS = Path(__file__).parents[2].parent / "shared" / "data" / "appeals" / "kursk2022-train.csv"

_LOCATIONS = (
    "в Кабанске",
    "на Левом берегу",
    "в Гусиноозёрске",
    "у школы",
    "во дворе",
    "на остановке",
    "в Хоринске",
)
_PROBLEMS = (
    "третий день нет горячей воды",
    "не вывозят мусор",
    "не горят фонари",
    "разбита дорога",
    "нет записи к педиатру",
    "автобус не пришёл",
    "холодно в группе",
    "течёт крыша",
)
_QUESTIONS = ("Когда исправят?", "Примите меры.", "К кому обратиться?", "Сколько ещё ждать?", "")

_HOSTILE_PARTS = (
    "строка\nстрока\r\nстрока\rстрока",
    "\ttab\tи  двойные   пробелы ",
    " пробел в начале",
    "конец с пробелом ",
    "эмодзи 😀👨‍👩‍👧‍👦🏳️‍🌈🇷🇺",
    "разметка <br> <script>alert(1)</script> <b>",
    "сущности &lt;br&gt; &amp;amp; &#128516; &nbsp;",
    "и\u0306о\u0301е\u0308 combining Z\u0335\u0322\u0321a\u0334l\u0334g\u0334o\u0334",
    "до\x00после и ещё \x00\x00",
    "нет света на улице\x00Бабушкина, дом\x0020",
    "обращение [id123|Имя] и [club1|Группа] и @durov",
    "{group:12345}группа{group} {media_topic:77}",
    "кавычки \" ' ` « » и \\ обратная черта \\n \\u0000",
    "'; DROP TABLE messages; --",
    "%s %d {0} {} $1 :name %(x)s",
    "справа налево \u202eабв\u202c и нулевая ширина a\u200bb\ufeffc",
    "өдэр бүри һайн, үхибүүд",
    "управляющие \x01\x02\x1b[31m\x7f",
    "частная область \ue000 \ue0000 \uf8ff",
    "вне плоскости 𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𐍈 𠜎",
    "\u2028разделители\u2029 и неразрывный\u00a0пробел",
)


def hostile(count: int = 200, seed: int = 1) -> list[str]:
    """Return texts that break careless software: line breaks, markup, NUL, combining marks, mentions."""
    rng = random.Random(seed)
    texts = list(_HOSTILE_PARTS)
    while len(texts) < count:
        parts = rng.sample(_HOSTILE_PARTS, rng.randint(2, 4))
        texts.append(rng.choice(["", " ", "\n"]).join(parts) + f" №{len(texts)}")
    return texts[:count]


def ordinary(count: int, seed: int = 1) -> list[str]:
    """Return different invented complaints and questions."""
    rng = random.Random(seed)
    return [
        f"{rng.choice(_LOCATIONS).capitalize()} {rng.choice(_PROBLEMS)}, обращаюсь {n}-й раз. "
        f"{rng.choice(_QUESTIONS)} {'Подробности. ' * rng.randint(0, 40)}".strip()
        for n in range(count)
    ]


def real() -> list[str] | None:
    """Return the real appeals if the reference data exists next to the project, else None."""
    if not REFERENCE_APPEALS.exists():
        return None
    with REFERENCE_APPEALS.open(encoding="utf-8", newline="") as file:
        return [row["text"] for row in csv.DictReader(file)]
