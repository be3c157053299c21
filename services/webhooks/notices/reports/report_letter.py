"""The words of a letter with the weekly report: what the top sheet says, to be read on a phone."""

from collections.abc import Sequence
from dataclasses import dataclass

from services.webhooks.notices.letters import safe_name
from services.webhooks.notices.reports.report_pdf import NoPdf
from shared.contracts.report_top_sheet import ReportTopSheet, TopSheetCount
from shared.russian import day_of_month, grouped, period, plural

_APPEALS = ("обращение", "обращения", "обращений")
# Told as figures.
_FIGURES = frozenset({"overdue", "promises_broken"})
_WITHOUT_PDF: dict[NoPdf, str | None] = {
    NoPdf.SWITCHED_OFF: None,
    NoPdf.TOO_LARGE: "Отчёт в PDF не приложен: он больше, чем допускает почта. Откройте его по ссылке.",
    NoPdf.UNAVAILABLE: "Приложить отчёт в PDF не удалось. Откройте его по ссылке.",
}


@dataclass(frozen=True)
class Figure:
    """A number of the top sheet with its name, and what it is compared with."""

    label: str
    value: str
    remark: str | None = None


@dataclass(frozen=True)
class ReportLetter:
    """A letter with a report, before it is rendered. `remark` says what is attached, or why nothing is."""

    subject: str
    title: str
    period: str
    preview: str
    words: Sequence[str]
    figures: Sequence[Figure]
    attention: Sequence[str]
    remark: str | None
    url: str


def compose_report(sheet: ReportTopSheet, pdf: bytes | NoPdf, *, front_end_url: str) -> ReportLetter:
    """Return the letter that tells of this report; `pdf` is what is attached, or why nothing is."""
    total = sheet.totals[0].appeals
    overdue = next((item.count for item in sheet.attention if item.kind == "overdue"), 0)
    broken = sheet.promises.broken
    is_calm = not sheet.attention
    change = f" ({_signed(total.change)})" if total.change is not None else ""
    return ReportLetter(
        subject=f"Отчёт за неделю {_short_period(sheet)}: {_number(total.value)} "
        f"{plural(total.value, _APPEALS)}{change}",
        title="Отчёт за неделю",
        period=period(sheet.first_day, sheet.last_day),
        preview=f"Просрочено ответов: {_number(overdue)}. Не выполнено обещаний: {_number(broken)}.",
        words=[
            _total_in_words(total),
            *_answered_in_words(sheet),
            *(["Событий, требующих внимания, за неделю нет."] if is_calm else []),
        ],
        figures=[
            Figure("Обращений", _number(total.value), _compared(total)),
            Figure("Отвечено", _number(sheet.outcomes.answered), f"из {_number(sheet.outcomes.opened)}"),
            Figure("Просрочено ответов", _number(overdue), "на конец недели"),
            Figure(
                "Не выполнено обещаний", _number(broken), f"из {_number(sheet.promises.due)} со сроком на неделе"
            ),
        ],
        attention=[safe_name(item.text) for item in sheet.attention if item.kind not in _FIGURES],
        remark=_WITHOUT_PDF[pdf] if isinstance(pdf, NoPdf) else "Полный отчёт приложен к письму в формате PDF.",
        url=f"{front_end_url.rstrip('/')}/reports/weekly/{sheet.week}",
    )


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
        return ["Ответы даны на все."]
    return [f"Ответы даны на {_number(answered)} из {_number(opened)}."]


def _compared(total: TopSheetCount) -> str:
    if total.last_week is None or total.change is None:
        return "неделей раньше нет данных"
    return f"{_signed(total.change)}, неделей раньше {_number(total.last_week)}"


def _short_period(sheet: ReportTopSheet) -> str:
    """Return the days without the year: a subject is read on a phone."""
    first, last = sheet.first_day, sheet.last_day
    if first.month == last.month:
        return f"{first.day}\N{EN DASH}{day_of_month(last)}"
    return f"{day_of_month(first)} \N{EN DASH} {day_of_month(last)}"


def _number(value: int) -> str:
    return grouped(f"{value:,}")


def _signed(value: int) -> str:
    return f"+{_number(value)}" if value > 0 else _number(value)
