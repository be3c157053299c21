"""The content of a letter with the weekly report: a summary of the top sheet, to be read on a phone."""

from collections.abc import Sequence
from dataclasses import dataclass

from services.webhooks.notices.mail.letters import safe_name
from services.webhooks.notices.reports.report_pdf import NoPdf
from shared.contracts.report_top_sheet import ReportTopSheet, TopSheetCount
from shared.russian import day_of_month, grouped, period, plural

_APPEALS = ("обращение", "обращения", "обращений")
# Sentences of the top sheet end with a number, which must not be cut off.
_MAX_SENTENCE_LENGTH = 500
_WITHOUT_PDF: dict[NoPdf, str | None] = {
    NoPdf.SWITCHED_OFF: None,
    NoPdf.TOO_LARGE: "Отчёт в PDF не приложен: он больше, чем допускает почта.",
    NoPdf.UNAVAILABLE: "Приложить отчёт в PDF не удалось.",
}


@dataclass(frozen=True)
class Figure:
    """A number of the top sheet with its name and a comparison."""

    label: str
    value: str
    remark: str | None = None


@dataclass(frozen=True)
class ReportLetter:
    """A letter with a report, before it is rendered.

    `gaps` says what is missing in the data; `attachment_note`, what is attached or why there is no attachment.
    """

    subject: str
    title: str
    period: str
    preview: str
    summary: Sequence[str]
    figures: Sequence[Figure]
    gaps: Sequence[str]
    attention: Sequence[str]
    attachment_note: str | None
    url: str
    week: str


def compose_report(sheet: ReportTopSheet, pdf: bytes | NoPdf | None, *, front_end_url: str) -> ReportLetter:
    """Return the letter about this report; `pdf` is the attached file, or why there is none."""
    total = sheet.total
    change = f" ({_signed(total.change)})" if total.change else ""
    preview = [f"Просрочено ответов: {_number(sheet.outcomes.overdue)}."]
    if sheet.promises.due:
        preview.append(f"Не выполнено обещаний: {_number(sheet.promises.broken)}.")
    return ReportLetter(
        subject=f"Отчёт за неделю {_short_period(sheet)}: {_number(total.value)} "
        f"{plural(total.value, _APPEALS)}{change}",
        title="Отчёт за неделю",
        period=period(sheet.first_day, sheet.last_day),
        preview=" ".join(preview),
        summary=[
            _total_in_words(total),
            *_answered_in_words(sheet),
            *([] if sheet.attention else ["Событий, требующих внимания, за неделю нет."]),
        ],
        figures=_figures(sheet),
        gaps=[safe_name(gap, _MAX_SENTENCE_LENGTH) for gap in sheet.gaps],
        attention=_attention(sheet),
        attachment_note=_attachment_note(pdf),
        url=f"{front_end_url.rstrip('/')}/reports/weekly/{sheet.week}",
        week=sheet.week,
    )


def _figures(sheet: ReportTopSheet) -> list[Figure]:
    """Return the figures of the report's first page."""
    total, outcomes, promises = sheet.total, sheet.outcomes, sheet.promises
    of_opened = f"из {_number(outcomes.opened)} открытых"
    found = [
        Figure("Обращений", _number(total.value), _compared(total)),
        Figure("Отвечено", _number(outcomes.answered), of_opened),
        Figure("Просрочено ответов", _number(outcomes.overdue), of_opened),
    ]
    if promises.due:
        of_due = f"из {_number(promises.due)} со сроком на неделе"
        found.append(Figure("Не выполнено обещаний", _number(promises.broken), of_due))
    return found


def _attention(sheet: ReportTopSheet) -> list[str]:
    """Return sentences about what needs attention and is not among the figures.

    They include overdue answers to appeals of earlier weeks: the figure counts only appeals of the week.
    """
    found = []
    for item in sheet.attention:
        text = safe_name(item.text, _MAX_SENTENCE_LENGTH)
        if item.kind == "overdue" and item.count != sheet.outcomes.overdue:
            found.append(f"{text}, считая прежние недели")
        elif item.kind not in ("overdue", "promises_broken"):
            found.append(text)
    return found


def _attachment_note(pdf: bytes | NoPdf | None) -> str | None:
    if isinstance(pdf, bytes):
        return "Полный отчёт приложен к письму в формате PDF."
    return None if pdf is None else _WITHOUT_PDF[pdf]


def _total_in_words(total: TopSheetCount) -> str:
    if total.value == 0:
        return "За неделю обращений не поступило."
    came = f"За неделю поступило {_number(total.value)} {plural(total.value, _APPEALS)}"
    if total.change is None:
        return f"{came}; данных за прошлую неделю для сравнения нет."
    if total.change == 0:
        return f"{came}, столько же, сколько неделей раньше."
    direction = "больше" if total.change > 0 else "меньше"
    return f"{came}, на {_number(abs(total.change))} {direction}, чем неделей раньше."


def _answered_in_words(sheet: ReportTopSheet) -> list[str]:
    opened, answered = sheet.outcomes.opened, sheet.outcomes.answered
    if opened == 0:
        return []
    if answered == opened:
        return ["Ответ дан на каждое обращение недели."]
    return [f"Ответы даны на {_number(answered)} из {_number(opened)}."]


def _compared(total: TopSheetCount) -> str:
    if total.last_week is None or total.change is None:
        return "неделей раньше нет данных"
    return f"{_signed(total.change)}, неделей раньше {_number(total.last_week)}"


def _short_period(sheet: ReportTopSheet) -> str:
    """Return the first and last day without the year, to keep the subject short for a phone."""
    first, last = sheet.first_day, sheet.last_day
    if first.month == last.month:
        return f"{first.day}\N{EN DASH}{day_of_month(last)}"
    return f"{day_of_month(first)} \N{EN DASH} {day_of_month(last)}"


def _number(value: int) -> str:
    return grouped(f"{value:,}")


def _signed(value: int) -> str:
    return f"+{_number(value)}" if value > 0 else _number(value)
