"""The weekly report as PDF."""

import io
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import cycle

import pytest
import time_machine
from hypothesis import given
from hypothesis import strategies as st
from pypdf import PdfReader
from pypdf.generic import DictionaryObject

from services.metrics.rendering import html, pdf, xlsx
from services.metrics.rendering.pdf_text import COVERED_RANGES, EMOJI, OTHER_SCRIPT, printable
from services.metrics.schemas.weekly_report import ReportOut
from tests.support.report_numbers import missing_numbers, spaced
from tests.support.sample_report import (
    LONG_NAME,
    empty_report,
    report_of_distinct_numbers,
    report_with_text,
    report_with_texts,
    report_without_measurements,
    sample_report,
)


def read(report: ReportOut) -> PdfReader:
    return PdfReader(io.BytesIO(pdf.render(report)))


def text_of(reader: PdfReader) -> str:
    return spaced(" ".join(page.extract_text() for page in reader.pages))


@pytest.fixture(scope="module")
def sample() -> PdfReader:
    return read(sample_report(organisations=20))


def test_first_page_has_the_main_figures(sample: PdfReader) -> None:
    first = spaced(sample.pages[0].extract_text())
    for text in (
        "Обратная связь жителей: отчёт за неделю",
        "16–22 ноября 2026 г.",
        "508 (−50)",
        "264 (−6)",
        "2 обещания не выполнены",
        "Закрыто без ответа",
        "Оперативность: ответы в срок 94,1 % (+6,6 п. п.)",
        "Полнота: ответ на заданный вопрос 88,4 %",
    ):
        assert text in first
    assert "Первые темы" not in first
    assert "Первые темы" in sample.pages[1].extract_text()


def test_every_number_is_shown() -> None:
    report, numbers = report_of_distinct_numbers()
    assert missing_numbers(text_of(read(report)), numbers) == []


def test_document_is_tagged_and_declares_pdf_ua(sample: PdfReader) -> None:
    root = sample.root_object
    assert root["/MarkInfo"]["/Marked"]  # type: ignore[index]
    assert str(root["/Lang"]) == "ru"
    assert "/StructTreeRoot" in root
    metadata = root["/Metadata"].get_object().get_data().decode()  # type: ignore[union-attr]
    assert "<pdfuaid:part>1</pdfuaid:part>" in metadata
    assert sample.metadata is not None
    assert sample.metadata.title == (
        "Обратная связь жителей: отчёт за неделю, 16–22\u00a0ноября 2026\u00a0г. (47-я неделя 2026 года)"
    )


def test_charts_have_a_description(sample: PdfReader) -> None:
    entries = [sample.get_object(number) for number in range(1, int(str(sample.trailer["/Size"])))]
    descriptions = [
        str(entry["/Alt"]) for entry in entries if isinstance(entry, DictionaryObject) and "/Alt" in entry
    ]
    assert len(descriptions) == 5
    assert any("отвечено – 470" in text for text in descriptions)


def test_sections_have_bookmarks(sample: PdfReader) -> None:
    titles = [item.title for item in sample.outline if not isinstance(item, list)]
    assert titles[:3] == ["Главное за неделю", "Темы", "Районы и города"]
    assert titles[-1] == "Как посчитано"


def test_hostile_texts_are_printed_and_not_interpreted() -> None:
    text = text_of(read(sample_report(hostile=True, organisations=8)))
    assert '#panic("x") $sum_1^2$ ] * _ ` @ref <label>' in text
    assert "<script>alert(1)</script>" in text
    assert '{% include "/etc/passwd" %}' in text
    assert f"{EMOJI} семья, {EMOJI} флаг, тибетское {OTHER_SCRIPT}" in text
    assert "root:" not in text
    assert LONG_NAME[:40] in text


def test_fonts_have_a_glyph_for_every_allowed_character() -> None:
    covered = [chr(code) for first, last in COVERED_RANGES for code in range(first, last + 1)]
    assert len(covered) > 2_500
    some = cycle(" ".join(covered[at : at + 50]) for at in range(0, len(covered), 50))
    # Plain and bold, in tables and charts: a character without a glyph is invalid in PDF/UA.
    assert pdf.render(report_with_texts(lambda _text: next(some))).startswith(b"%PDF")


@given(st.text(max_size=60))
def test_any_text_becomes_printable(text: str) -> None:
    allowed = {"\n", "\t", "\u200b"}
    shown = [letter for letter in printable(text) if letter not in allowed]
    assert all(any(first <= ord(letter) <= last for first, last in COVERED_RANGES) for letter in shown)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("привет 👩‍👩‍👧!", "привет [эмодзи]!"),
        ("флаг 🇷🇺🇷🇺", "флаг [эмодзи]"),
        ("клавиша 1\ufe0f\u20e3", "клавиша 1"),
        ("по-бурятски: Һайн байна, ү ө", "по-бурятски: Һайн байна, ү ө"),
        ("и\u0306 краткое", "й краткое"),
        ("з\u0301\u0302\u0303алго", "з\u0301алго".replace("\u0301", "")),
        ("ᠮᠣᠩᠭᠣᠯ", "[иное письмо]"),
        ("а" * 50, "а" * 20 + "\u200b" + "а" * 20 + "\u200b" + "а" * 10),
        ("b" * 64, "b" * 64),
    ],
)
def test_text_is_made_printable(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_week_without_appeals_and_missing_values_are_printed() -> None:
    empty = text_of(read(empty_report()))
    assert "Событий, требующих внимания, за неделю нет" in empty
    missing = text_of(read(report_without_measurements()))
    assert "нет данных" in missing
    assert "мало данных" in missing
    assert "none" not in missing


def test_same_report_gives_the_same_bytes_at_any_time() -> None:
    report = sample_report(organisations=4)
    with time_machine.travel(datetime(2027, 3, 1, tzinfo=UTC), tick=False):
        first = pdf.render(report)
    assert pdf.render(report) == first


def test_threads_render_concurrently_without_mixing_reports() -> None:
    def rendered(report: ReportOut) -> tuple[bytes, bytes, bytes]:
        return html.render(report), pdf.render(report), xlsx.render(report, {})

    reports = [report_with_text("Почему не чистят дорогу?"), empty_report()]
    alone = [rendered(report) for report in reports]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(rendered, reports * 2)) == alone * 2
