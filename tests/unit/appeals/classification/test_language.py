"""Detection of Russian, Buryat and mixed texts. The project wrote the sentences."""

import csv
from pathlib import Path

import pytest

from services.appeals.classification.text.language_detection import detect_language

REFERENCE = Path(__file__).parents[5] / "shared" / "data"

BURYAT = (
    "Манай тосхондо хоёр хоног гэрэл үгы",
    "Харгы муу, ехэ нүхэтэй",
    "һургуулиин автобус хэзээ ерэхэб?",
    "Нютагай зон ехэ баяртай байна",
    "Эмнэлгэдэ эмшэн үгы, хаана ошохобиб?",
    "Ехэ һайхан найр болобо",
    # Buryat without its special letters, as typed on a Russian keyboard.
    "Манай нютагта уhан угы, хэзээ захабта?",
    "Хуушан гэрнууд шэнэлэгдэхэ гу?",
    "Эжы абанараа хулеэжэ байнабди",
    # A text with loan words is still Buryat.
    "Поликлиникада регистратура хэзээ нээгдэхэб?",
)
RUSSIAN = (
    "Когда починят дорогу в Кабанске?",
    "Сайн байна! Подскажите, во сколько открывается МФЦ",
    "Амар мэндэ, когда дадут горячую воду?",
    "Спасибоо огромное врачам!!!",
    "ааааа ну скооолько можнооо",
    "Сэр, это эхо экономики: эскалатор в экспоцентре",
    "нееет, опять света нет",
    "Дэлэг, а почему автобус в Орлик отменили?",
    "",
    "😡😡😡",
    "https://vk.com/wall-1_2",
)
MIXED = (
    "Нохойнууд стаей бегают возле школы, үчөөдэр хүбүү хазаа, примите меры!",
    "У нас в улусе уһан үгы, гэртээ и во дворе сухо, когда заһаха юм?",
)


@pytest.mark.parametrize("text", BURYAT)
def test_buryat_text_is_detected(text: str) -> None:
    assert detect_language(text) == "bxr"


@pytest.mark.parametrize("text", RUSSIAN)
def test_russian_text_is_never_detected_as_buryat(text: str) -> None:
    assert detect_language(text) == "ru"


@pytest.mark.parametrize("text", MIXED)
def test_mixed_text_is_detected(text: str) -> None:
    assert detect_language(text) == "mixed"


@pytest.mark.skipif(not REFERENCE.exists(), reason="the reference data is not beside the project: not tried")
def test_treebank_sentences_and_real_posts_are_classified_by_language() -> None:
    sentences = (REFERENCE / "buryat" / "sentences.txt").read_text(encoding="utf-8").splitlines()
    recognised = [detect_language(sentence) == "bxr" for sentence in sentences if sentence.strip()]
    assert sum(recognised) / len(recognised) >= 0.90
    with (REFERENCE / "chatter" / "rusentiment-sample.csv").open(encoding="utf-8", newline="") as file:
        taken = [detect_language(row["text"]) != "ru" for row in csv.DictReader(file)]
    assert sum(taken) / len(taken) <= 0.005
