"""The text of a letter with the weekly report, and the age at which a report is no longer sent."""

from datetime import date, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from services.metrics.rendering.canonical_json import encode
from services.webhooks.notices.mail.examples import EXAMPLE_SHEET
from services.webhooks.notices.reports.published_reports import is_late
from services.webhooks.notices.reports.report_letter import ReportLetter, compose_report
from services.webhooks.notices.reports.report_pdf import NoPdf
from shared.clock import REGION_TIME_ZONE
from shared.contracts.metrics_events import ReportReady
from shared.contracts.report_top_sheet import (
    ReportTopSheet,
    TopSheetAttention,
    TopSheetCount,
    TopSheetOutcomes,
    TopSheetPromises,
    TopSheetTotal,
)
from tests.support.sample_report import empty_report, sample_report


def sheet(value: int = 508, last_week: int | None = 558, **changes: Any) -> ReportTopSheet:
    change = None if last_week is None else value - last_week
    total = TopSheetTotal(channel="all", appeals=TopSheetCount(value=value, last_week=last_week, change=change))
    return EXAMPLE_SHEET.model_copy(update={"totals": [total], **changes})


def composed(found: ReportTopSheet, pdf: bytes | NoPdf | None = b"%PDF") -> ReportLetter:
    return compose_report(found, pdf, front_end_url="https://front.example.ru/")


def plain(text: str | None) -> str:
    return (text or "").replace("\xa0", " ")


@pytest.mark.parametrize(
    ("value", "last_week", "words", "subject"),
    [
        (508, 558, "За неделю поступило 508 обращений, на 50 меньше, чем неделей раньше.", "508 обращений (−50)"),
        (
            1021,
            1000,
            "За неделю поступило 1 021 обращение, на 21 больше, чем неделей раньше.",
            "1 021 обращение (+21)",
        ),
        (2, 2, "За неделю поступило 2 обращения, столько же, сколько неделей раньше.", "2 обращения"),
        (5, None, "За неделю поступило 5 обращений; данных за прошлую неделю для сравнения нет.", "5 обращений"),
        (0, 7, "За неделю обращений не поступило.", "0 обращений (−7)"),
    ],
)
def test_total_is_compared_with_last_week_in_words(
    value: int, last_week: int | None, words: str, subject: str
) -> None:
    letter = composed(sheet(value, last_week))
    assert plain(letter.summary[0]) == words
    assert plain(letter.subject) == f"Отчёт за неделю 16–22 ноября: {subject}"


def test_letter_contains_the_figures_of_the_top_sheet() -> None:
    letter = composed(sheet())
    assert [(figure.label, figure.value, plain(figure.remark)) for figure in letter.figures] == [
        ("Обращений", "508", "−50, неделей раньше 558"),
        ("Отвечено", "470", "из 508 открытых"),
        ("Просрочено ответов", "12", "из 508 открытых"),
        ("Не выполнено обещаний", "2", "из 8 со сроком на неделе"),
    ]
    assert letter.attention == [
        "31 ответ просрочен на конец недели, считая прежние недели",
        "1 вопрос удалён сообществом",
        "Автомобильные дороги: 62 обращения, обычно 31,5 за неделю",
        "3 страницы замолчали",
    ]
    assert letter.url == "https://front.example.ru/reports/weekly/2026-W47"
    assert letter.gaps == ["2 страницы не сверены с сетью за неделю ни разу."]
    assert "нет" not in " ".join(letter.summary)


def test_attention_list_omits_overdue_answers_that_are_all_from_this_week() -> None:
    overdue = TopSheetAttention(kind="overdue", count=12, text="12 ответов просрочено на конец недели")
    assert composed(sheet(attention=[overdue])).attention == []


def test_long_sentence_is_kept_with_its_numbers() -> None:
    text = f"{'Содержание дорог ' * 15}: 62 обращения, обычно 31,5 за неделю"
    growing = TopSheetAttention(kind="topic_grows", count=62, text=text)
    assert composed(sheet(attention=[growing])).attention == [text]


@pytest.mark.parametrize("change", [{"format": 2}, {"totals": []}])
def test_document_with_another_structure_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ReportTopSheet.model_validate(EXAMPLE_SHEET.model_dump() | change)


def test_letter_about_a_calm_week_says_that_it_was_calm() -> None:
    calm = sheet(
        attention=[],
        outcomes=TopSheetOutcomes(opened=508, answered=508, overdue=0),
        promises=TopSheetPromises(due=0, broken=0),
    )
    letter = composed(calm)
    assert letter.summary[1:] == [
        "Ответ дан на каждое обращение недели.",
        "Событий, требующих внимания, за неделю нет.",
    ]
    assert [figure.label for figure in letter.figures] == ["Обращений", "Отвечено", "Просрочено ответов"]
    assert letter.preview == "Просрочено ответов: 0."


@pytest.mark.parametrize(
    ("pdf", "note"),
    [
        (b"%PDF", "Полный отчёт приложен к письму в формате PDF."),
        (NoPdf.TOO_LARGE, "Отчёт в PDF не приложен: он больше, чем допускает почта."),
        (NoPdf.UNAVAILABLE, "Приложить отчёт в PDF не удалось."),
        (NoPdf.SWITCHED_OFF, None),
        (None, None),
    ],
)
def test_letter_says_what_is_attached(pdf: bytes | NoPdf | None, note: str | None) -> None:
    assert composed(sheet(), pdf).attachment_note == note


@pytest.mark.parametrize(
    ("first", "last", "subject", "period"),
    [
        ("2026-09-28", "2026-10-04", "28 сентября – 4 октября", "28 сентября – 4 октября 2026 г."),
        ("2025-12-29", "2026-01-04", "29 декабря – 4 января", "29 декабря 2025 г. – 4 января 2026 г."),
    ],
)
def test_week_in_two_months_is_written_with_both_months(first: str, last: str, subject: str, period: str) -> None:
    days: dict[str, Any] = {"first_day": date.fromisoformat(first), "last_day": date.fromisoformat(last)}
    letter = composed(sheet(**days))
    assert plain(letter.subject).startswith(f"Отчёт за неделю {subject}: ")
    assert plain(letter.period) == period


@pytest.mark.parametrize("report", [sample_report(), empty_report(), sample_report(hostile=True)])
def test_published_document_has_the_top_sheet(report: Any) -> None:
    # The hostile sample has invalid codes of channels, so use those of the normal sample.
    document = report.report.model_copy(update={"totals": sample_report().report.totals})
    found = ReportTopSheet.model_validate_json(encode(document))
    assert found == ReportTopSheet.model_validate(document.model_dump())
    assert found.total.value == document.totals[0].appeals.value
    assert composed(found).summary


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        ("2026-11-23 07:07", False),
        ("2026-11-29 23:59", False),
        ("2026-11-30 00:00", True),
        ("2026-12-09 10:00", True),
    ],
)
def test_report_is_late_when_the_next_week_has_ended(moment: str, expected: bool) -> None:
    days: dict[str, Any] = {"first_day": EXAMPLE_SHEET.first_day, "last_day": EXAMPLE_SHEET.last_day}
    report = ReportReady(week="2026-W47", digest="none", appeals=508, **days)
    assert is_late(report, datetime.fromisoformat(moment).replace(tzinfo=REGION_TIME_ZONE)) is expected
